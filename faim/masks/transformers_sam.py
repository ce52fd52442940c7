"""`sam-hf`: Segment Anything and Segment Anything 2 as `transformers` has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors import SafetensorError

from faim.devices import resolve_device
from faim.errors import FaimError
from faim.extras import missing_package
from faim.masks.prompts import (
    Masks,
    batches,
    best_masks,
    check_at_least,
    frame_by_frame,
)
from faim.masks.protocol import Boxes, Frames, ObjectMask, TrackIds
from faim.masks.weight_files import identity
from faim.pictures.image import Image

#: Classes of the network and of what prepares its inputs, by the type that a checkpoint says.
_KINDS = {
    "sam": ("SamModel", "SamProcessor"),
    "sam2": ("Sam2Model", "Sam2Processor"),
    "sam2_video": ("Sam2Model", "Sam2Processor"),
}
_EXPECTED = (
    "the name of a SAM or SAM 2 on huggingface.co, such as facebook/sam-vit-huge, or a folder that "
    "transformers wrote"
)


@dataclass
class TransformersSamMasks:
    """Segment Anything, 1 or 2, by `transformers`, one frame at a time.

    Attributes:
        checkpoint: a folder as `save_pretrained` writes it, or a name on the Hugging Face hub.
        batch: boxes at once.
        device: auto, cpu or a GPU as torch names it.

    Raises:
        FaimError: a value out of its range.
    """

    checkpoint: str | Path = "facebook/sam-vit-base"
    batch: int = 16
    device: str = "auto"

    name: ClassVar[str] = "sam-hf"
    version: ClassVar[int] = 1
    needs_frames: ClassVar[bool] = True
    parallel: ClassVar[bool] = False
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Validate."""
        check_at_least(self.name, "batch", self.batch, 1)

    @property
    def parameters(self) -> dict[str, Any]:
        """The checkpoint by name and content."""
        return identity(self.checkpoint)

    @cached_property
    def loaded(self) -> tuple[Any, Any]:
        """The library's network and its processor; FaimError as `generate`."""
        try:
            import transformers
        except ImportError as error:
            raise missing_package(f"method {self.name}", "transformers", "transformers") from error
        device = resolve_device(self.device)
        where = str(self.checkpoint)
        try:
            kind = transformers.AutoConfig.from_pretrained(where).model_type
            if kind in _KINDS:
                network_class, processor_class = (getattr(transformers, n) for n in _KINDS[kind])
                processor = processor_class.from_pretrained(where)
                network, report = network_class.from_pretrained(where, output_loading_info=True)
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            first = str(error).strip().partition("\n")[0].rstrip(".")
            raise FaimError(f"{where}: cannot be loaded ({first}); expected {_EXPECTED}") from error
        if kind not in _KINDS:
            raise FaimError(f"{where}: a network of type {kind}; expected {_EXPECTED}")
        missing = sorted(report["missing_keys"])
        if missing:
            raise FaimError(
                f"{where}: {len(missing)} weights are missing, {missing[0]} for one; expected "
                f"{_EXPECTED}"
            )
        return network.to(device).eval(), processor

    def generate(
        self, frames: Frames, boxes: Sequence[Boxes], track_ids: Sequence[TrackIds]
    ) -> Iterator[ObjectMask]:
        """See `MaskMethod`."""
        yield from frame_by_frame(frames, boxes, self.predict)

    @torch.inference_mode()
    def predict(self, image: Image, boxes: Boxes) -> Masks:
        """Masks of one frame, which is embedded once.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: (k, 4), x1 y1 x2 y2 in pixels; k at least 1.

        Returns:
            (k, H, W).
        """
        from PIL import Image as Pillow

        network, processor = self.loaded
        # As a Pillow image: of an array the library guesses which dimension is the colour.
        inputs = processor(
            Pillow.fromarray(image), input_boxes=[boxes.tolist()], return_tensors="pt"
        ).to(network.device)
        embedding = network.get_image_embeddings(inputs["pixel_values"])
        prompts = inputs["input_boxes"].float()
        sizes = [inputs[name] for name in _sizes_in(inputs)]
        found = []
        for part in batches(len(boxes), self.batch):
            out = network(
                image_embeddings=embedding,
                input_boxes=prompts[:, part],
                multimask_output=False,
            )
            [masks] = processor.post_process_masks([out.pred_masks[0]], *sizes)
            found.append(best_masks(masks, out.iou_scores[0]))
        return np.concatenate(found)


def _sizes_in(inputs: Any) -> list[str]:
    """What the processor needs for undoing its resizing: SAM pads, SAM 2 does not."""
    return [name for name in ("original_sizes", "reshaped_input_sizes") if name in inputs]
