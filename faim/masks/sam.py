"""`sam`: Segment Anything, told by each box what to cut out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

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
from faim.state_dicts import StateDict, load_weights, read_weights

#: Channels of the image encoder of each model.
WIDTHS = {"vit_b": 768, "vit_l": 1024, "vit_h": 1280}
_WIDTH_IS_IN = "image_encoder.pos_embed"
_WHERE = (
    "sam_vit_h_4b8939.pth, sam_vit_l_0b3195.pth or sam_vit_b_01ec64.pth of "
    "https://github.com/facebookresearch/segment-anything#model-checkpoints"
)


@dataclass
class SamMasks:
    """Segment Anything (Kirillov et al., 2023) by `segment-anything`, one frame at a time.

    The image is embedded once a frame, whatever number of boxes it has.

    Attributes:
        checkpoint: path of one of the project's files; the library has no names for them.
        model: vit_h, vit_l or vit_b; auto reads it off the file.
        batch: boxes at once.
        device: auto, cpu or a GPU as torch names it.
        multimask: three masks a box, of which the one that the network thinks best is taken,
            instead of one; the project advises one for boxes.

    Raises:
        FaimError: a value out of its range.
    """

    checkpoint: str | Path = ""
    model: str = "auto"
    batch: int = 16
    device: str = "auto"
    multimask: bool = False

    name: ClassVar[str] = "sam"
    version: ClassVar[int] = 1
    needs_frames: ClassVar[bool] = True
    parallel: ClassVar[bool] = False
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Validate."""
        check_at_least(self.name, "batch", self.batch, 1)
        if self.model not in ("auto", *WIDTHS):
            raise FaimError(
                f"method sam: model is {self.model!r}; expected one of auto, {', '.join(WIDTHS)}"
            )

    @property
    def parameters(self) -> dict[str, Any]:
        """The checkpoint by name and content, and `multimask`; FaimError without a checkpoint."""
        self._check_file()
        return {**identity(self.checkpoint), "model": self.model, "multimask": self.multimask}

    @cached_property
    def predictor(self) -> Any:
        """The library's `SamPredictor`, loaded; FaimError as `generate`."""
        self._check_file()
        try:
            import segment_anything
        except ImportError as error:
            raise missing_package(f"method {self.name}", "segment-anything", "sam") from error
        device = resolve_device(self.device)
        state = read_weights(Path(self.checkpoint), _WHERE)
        model = self._model_of(state)
        network = segment_anything.sam_model_registry[model]()
        load_weights(network, state, self.checkpoint, f"weights of {model}")
        return segment_anything.SamPredictor(network.to(device).eval())

    def generate(
        self, frames: Frames, boxes: Sequence[Boxes], track_ids: Sequence[TrackIds]
    ) -> Iterator[ObjectMask]:
        """See `MaskMethod`."""
        yield from frame_by_frame(frames, boxes, self.predict)

    def predict(self, image: Image, boxes: Boxes) -> Masks:
        """Masks of one frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: (k, 4), x1 y1 x2 y2 in pixels; k at least 1.

        Returns:
            (k, H, W).
        """
        predictor = self.predictor
        predictor.set_image(image, "RGB")
        scaled = predictor.transform.apply_boxes(boxes, image.shape[:2])
        prompts = torch.as_tensor(scaled, dtype=torch.float32, device=predictor.device)
        found = []
        for part in batches(len(boxes), self.batch):
            masks, scores, _ = predictor.predict_torch(
                None, None, boxes=prompts[part], multimask_output=self.multimask
            )
            found.append(best_masks(masks, scores))
        return np.concatenate(found)

    def _check_file(self) -> None:
        if not Path(self.checkpoint).is_file():
            given = f"{self.checkpoint}: no such file" if self.checkpoint else "no checkpoint"
            raise FaimError(f"method sam: {given}; expected {_WHERE}")

    def _model_of(self, state: StateDict) -> str:
        """The model that the weights are of; FaimError if that is none, or not `self.model`."""
        width = state[_WIDTH_IS_IN].shape[-1] if _WIDTH_IS_IN in state else None
        found = next((model for model, channels in WIDTHS.items() if channels == width), None)
        if found is None:
            raise FaimError(f"{self.checkpoint}: no weights of Segment Anything; expected {_WHERE}")
        if self.model not in ("auto", found):
            raise FaimError(
                f"{self.checkpoint}: weights of {found}; expected model={found}, or those of "
                f"{self.model}"
            )
        return found
