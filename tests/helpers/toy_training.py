"""A family of one number, which a training is to bring to three."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from faim.experiments.common import CommonExperiment
from faim.experiments.stage import AveragePrecision, Moment, Stage
from faim.nn.schedule import Steps

WANTED = 3.0


@dataclass(kw_only=True)
class ToyExperiment(CommonExperiment):
    learning_rate: float = 0.1
    stage: ClassVar[str] = "toy_training:ToyStage"


class Number(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))


class ToyStage(Stage[ToyExperiment, Number]):
    def read_data(self) -> list[float]:
        return [WANTED] * 20

    def describe(self, data: list[float]) -> str:
        return f"a number from {len(data)} numbers"

    def identity(self, data: list[float]) -> dict[str, Any]:
        return {"numbers": len(data)}

    def dataset(self, data: list[float]) -> Any:
        return data

    @staticmethod
    def collate(items: Sequence[float]) -> tuple[Tensor, ...]:
        images = torch.zeros(len(items), 3, 1, 1)
        return images, torch.tensor(items)

    def starting_model(self, data: list[float]) -> Number:
        return Number()

    def losses(self, model: Number, batch: tuple[Any, ...], moment: Moment) -> dict[str, Tensor]:
        return {"total": (model.value - batch[1]).square().mean()}

    def make_optimizer(self, model: Number) -> torch.optim.Optimizer:
        return torch.optim.SGD(model.parameters(), lr=self.experiment.learning_rate)

    def schedule(self, steps_per_epoch: int) -> Steps:
        return Steps((), 1.0)

    def save_weights(self, path: Path, model: Number) -> None:
        save_file(model.state_dict(), path)

    def evaluate(
        self,
        model: Number,
        device: torch.device | str,
        frames: int | None,
        average_precision: AveragePrecision,
    ) -> dict[str, float]:
        return {"near": 100 - 10 * abs(WANTED - float(model.value.detach()))}
