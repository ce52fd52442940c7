"""A whole family: a detector of coloured squares, with one number to learn."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from toy_training import ToyExperiment, ToyStage

from faim.data.coco_vid import CocoVid, read_frame
from faim.data.transforms import letterbox, to_batch
from faim.detector import Kept, Traits, VideoDetector
from faim.experiments.stage import AveragePrecision, Moment
from faim.registry import Family
from faim.structures import ScoredBoxes, TensorRecord

FAMILY = Family("squares", load="toy_family:load", config="")
#: Class by the place of its channel in BGR.
NAMES = ("blue", "green", "red")


@dataclass(frozen=True)
class Squares(TensorRecord):
    """boxes (3, 4) and light (3,) in [0, 1]: of each channel where it is, and how strong."""

    boxes: Tensor
    light: Tensor


class SquareDetector(nn.Module, VideoDetector):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.5))

    @property
    def traits(self) -> Traits:
        return Traits("squares", "Squares", NAMES, (64, 64), 4)

    def look(self, images: Tensor) -> Squares:
        images = images.float()
        there = images > images.mean(dim=1, keepdim=True) + 40
        boxes = torch.zeros(len(images), 3, 4)
        for image, channel in there.flatten(2).any(dim=2).nonzero().tolist():
            y, x = there[image, channel].nonzero(as_tuple=True)
            corners = [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]
            boxes[image, channel] = torch.tensor(corners)
        return Squares(boxes, there.flatten(2).any(dim=2).float())

    def decide(self, seen: TensorRecord, kept: Kept | None = None) -> list[ScoredBoxes]:
        assert isinstance(seen, Squares)
        scores = torch.diag_embed(seen.light * self.gain.clamp(0, 1))
        pairs = zip(seen.boxes, scores, strict=True)
        return [ScoredBoxes(boxes[s.any(1)], s[s.any(1)]) for boxes, s in pairs]

    def step(
        self, key: TensorRecord, bank: TensorRecord | None, kept: Kept | None = None
    ) -> tuple[ScoredBoxes, TensorRecord]:
        return self.decide(key.map(lambda tensor: tensor[None]), kept)[0], TensorRecord()


def load(path: Path, *, aggregate: str, class_names: tuple[str, ...] | None) -> SquareDetector:
    detector = SquareDetector()
    with safe_open(path, framework="pt") as file:
        detector.gain.data = file.get_tensor("gain")
    return detector.eval()


def save(path: Path, model: nn.Module) -> None:
    save_file(model.state_dict(), path, {"family": "squares", "classes": json.dumps(NAMES)})


@dataclass(kw_only=True)
class SquareExperiment(ToyExperiment):
    train_ann: str = ""
    stage: ClassVar[str] = "toy_family:SquareStage"


class SquareStage(ToyStage):
    """Teaches that what is there has a score of 1."""

    def read_data(self) -> Any:
        return CocoVid(self.experiment.train_ann)

    def describe(self, data: Any) -> str:
        return f"squares of {len(data.frames)} frames"

    def identity(self, data: Any) -> dict[str, Any]:
        return {"frames": len(data.frames)}

    def dataset(self, data: Any) -> Any:
        return [letterbox(read_frame(frame), (64, 64))[0] for frame in data.frames]

    @staticmethod
    def collate(items: Sequence[Any]) -> tuple[Tensor, ...]:
        return (to_batch(items).float(),)

    def starting_model(self, data: Any) -> Any:
        return SquareDetector()

    def losses(self, model: Any, batch: tuple[Any, ...], moment: Moment) -> dict[str, Tensor]:
        light = model.look(batch[0]).light
        return {"total": (light * (1 - model.gain)).square().mean()}

    def save_weights(self, path: Path, model: Any) -> None:
        save(path, model)

    def evaluate(
        self,
        model: Any,
        device: torch.device | str,
        frames: int | None,
        average_precision: AveragePrecision,
    ) -> dict[str, float]:
        return average_precision(model, CocoVid(self.experiment.train_ann), "frame", device)
