"""One picture as a Python program holds it, made what the networks take."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor

from faim.errors import FaimError
from faim.pictures.image import Image
from faim.pictures.picture import from_pillow
from faim.stream.frames import to_bgr

#: A picture in memory: an array, a tensor or a Pillow image.
Picture: TypeAlias = NDArray[Any] | Tensor | Pillow.Image
#: How the colours of arrays and tensors follow each other.
ChannelOrder = Literal["bgr", "rgb"]

#: Floats that resizing took a little out of [0, 1] are cut off there.
_OVERSHOOT = 0.01


def check_channel_order(order: object) -> None:
    """Raise FaimError unless it is a `ChannelOrder`, or None."""
    if order is not None and order not in get_args(ChannelOrder):
        raise FaimError(f"channel_order: {order!r} given; expected bgr or rgb")


def check_picture(given: object, name: str) -> None:
    """See that something is a picture, by its kind and shape alone.

    Raises:
        FaimError: it is none; `name` says which in the sentence, as in "frame 3".
    """
    if isinstance(given, np.ndarray):
        fits = given.ndim == 2 or (given.ndim == 3 and given.shape[2] in (1, 3, 4))
        if given.dtype != np.uint8 or not fits or given.size == 0:
            raise FaimError(
                f"{name}: got a {given.dtype} array of shape {given.shape}; expected uint8, "
                "(h, w, 3) BGR, (h, w, 4) BGRA or (h, w) grey"
            )
    elif isinstance(given, Tensor):
        fits = given.ndim == 3 and given.shape[0] in (1, 3, 4) and given.numel() > 0
        if not fits or not (given.dtype == torch.uint8 or given.is_floating_point()):
            raise FaimError(
                f"{name}: got a {given.dtype} tensor of shape {tuple(given.shape)}; expected uint8 "
                "or floats in [0, 1], (3, h, w) RGB, (4, h, w) RGBA or (1, h, w) grey"
            )
    elif not isinstance(given, Pillow.Image):
        raise FaimError(
            f"{name}: got {type(given).__name__}; expected a uint8 (h, w, 3) array, a (3, h, w) "
            "tensor or a PIL image"
        )


def to_image(given: object, name: str, channel_order: ChannelOrder | None = None) -> Image:
    """A picture as (h, w, 3) uint8 BGR; grey is spread over the channels, alpha dropped.

    Args:
        given: a uint8 array (h, w), (h, w, 1), (h, w, 3) or (h, w, 4); a tensor (1, h, w),
            (3, h, w) or (4, h, w), uint8 or floats in [0, 1], on any device; or a PIL image, which
            is turned as its EXIF says.
        name: says which picture it is in an error, as in "frame 3".
        channel_order: of arrays, "bgr" by default, and of tensors, "rgb" by default. PIL images
            know their own.

    Raises:
        FaimError: it is no such thing.

    Example:
        >>> import numpy as np, torch
        >>> to_image(np.array([[[1, 2, 3]]], np.uint8), "frame 0", "rgb").tolist()
        [[[3, 2, 1]]]
        >>> to_image(torch.tensor([1.0, 0.4, 0.0]).reshape(3, 1, 1), "frame 0").tolist()
        [[[0, 102, 255]]]
    """
    check_picture(given, name)
    if isinstance(given, Tensor):
        return _to_bgr(_from_tensor(given, name), channel_order or "rgb")
    if isinstance(given, np.ndarray):
        return _to_bgr(given, channel_order or "bgr")
    assert isinstance(given, Pillow.Image)
    return from_pillow(given, name)


def _to_bgr(array: NDArray[Any], order: ChannelOrder) -> Image:
    array = np.ascontiguousarray(array)
    if order == "rgb" and array.ndim == 3 and array.shape[2] > 1:
        code = cv2.COLOR_RGB2BGR if array.shape[2] == 3 else cv2.COLOR_RGBA2BGR
        return cv2.cvtColor(array, code)
    return to_bgr(array)


def _from_tensor(tensor: Tensor, name: str) -> NDArray[Any]:
    """(h, w, c) uint8."""
    pixels = tensor.detach().cpu()
    if pixels.is_floating_point():
        low, high = (float(bound) for bound in pixels.aminmax())
        if not (low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT):  # NaN too
            raise FaimError(
                f"{name}: got a {tensor.dtype} tensor from {low:g} to {high:g}; expected floats in "
                "[0, 1], or uint8"
            )
        pixels = (pixels.float().clamp(0, 1) * 255).round().to(torch.uint8)
    return pixels.permute(1, 2, 0).numpy()
