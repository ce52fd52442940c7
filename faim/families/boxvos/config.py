"""Every number of the box-to-mask network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from faim.checks import is_side
from faim.errors import FaimError

BackboneName = Literal["resnet18", "resnet50", "mobilenet_v3_large", "yolox_nano"]

#: Bounds of what a network is made of, so that a damaged config asks for no endless memory or time.
MAX_SIDE, MAX_DIM, MAX_KERNEL, MAX_COUNT, MAX_CROP = 8192, 4096, 31, 10_000, 1000


@dataclass(frozen=True)
class BoxVosConfig:
    """The network and how it is run; defaults are the paper's (sections 3.4 and 3.5).

    Attributes:
        backbone: F.
        size: height and width of the crop that the network sees, multiples of 32.
        stride: of the deep features x that encoder and aggregation work on.
        decoder_strides: levels of F that the decoder uses, deepest first; the last is its output's.
        feature_dim: D, channels of x after the convolution that reduces them.
        encoding_dim: C, channels of e, w, m and s.
        mask_dim: channels of the object encoder's mask features.
        decoder_dims: channels of each of these levels.
        kernel: K, of the filter z.
        train_iterations: steepest descent steps in training.
        test_iterations: the same in inference.
        single_frame: whether the decoder is given m (Table 2).
        multi_frame: whether it is given s (Table 2).
        iterative: whether a second pass refines the masks (section 3.3).
        crop_factor: side of the crop over that of the box, in inference.
        frames: T, in inference.
        interval: Δ, frames between two of a window.

    Raises:
        FaimError: a value out of range.
    """

    backbone: BackboneName = "resnet50"
    size: tuple[int, int] = (480, 832)
    stride: int = 16
    decoder_strides: tuple[int, ...] = (32, 16, 8, 4)
    feature_dim: int = 512
    encoding_dim: int = 16
    mask_dim: int = 64
    decoder_dims: tuple[int, ...] = (256, 128, 128, 64)
    kernel: int = 3
    train_iterations: int = 5
    test_iterations: int = 15
    single_frame: bool = True
    multi_frame: bool = True
    iterative: bool = True
    crop_factor: float = 4.0
    frames: int = 9
    interval: int = 15

    def __post_init__(self) -> None:
        """Check the values."""
        if self.backbone not in get_args(BackboneName):
            names = ", ".join(get_args(BackboneName))
            raise FaimError(f"backbone is {self.backbone!r}; expected one of {names}")
        if len(self.size) != 2 or not all(is_side(side, MAX_SIDE) for side in self.size):
            raise FaimError(
                f"size is {self.size}; expected multiples of 32 pixels, at most {MAX_SIDE}"
            )
        if self.stride not in (8, 16):
            raise FaimError(f"stride is {self.stride}; expected 8 or 16")
        strides = self.decoder_strides
        if (
            not strides
            or not set(strides) <= {4, 8, 16, 32}
            or sorted(set(strides))[::-1] != list(strides)
        ):
            raise FaimError(f"decoder_strides is {strides}; expected some of 32, 16, 8, 4, falling")
        dims = self.decoder_dims
        if len(dims) != len(strides) or min(dims) < 1 or max(dims) > MAX_DIM:
            raise FaimError(
                f"decoder_dims is {dims}; expected {len(strides)} numbers from 1 to {MAX_DIM}, "
                "one for each of decoder_strides"
            )
        for name in ("feature_dim", "encoding_dim", "mask_dim"):
            self._within(name, MAX_DIM)
        for name in ("train_iterations", "test_iterations", "frames", "interval"):
            self._within(name, MAX_COUNT)
        if not (1 <= self.kernel <= MAX_KERNEL and self.kernel % 2):
            raise FaimError(
                f"kernel is {self.kernel}; expected an odd number from 1 to {MAX_KERNEL}"
            )
        self._within("crop_factor", MAX_CROP)
        if not (self.single_frame or self.multi_frame):
            raise FaimError("single_frame and multi_frame are both false; expected one of them")
        if self.iterative and not self.multi_frame:
            raise FaimError("iterative is true without multi_frame, which it repeats")

    def _within(self, name: str, high: int) -> None:
        value = getattr(self, name)
        if not 1 <= value <= high:
            raise FaimError(f"{name} is {value}; expected a number from 1 to {high}")
