"""What a family brings to a training, and where an experiment's family is found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, Protocol, TypeVar

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.experiments.common import CommonExperiment
from faim.registry import resolve

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.utils.data import Dataset

Own = TypeVar("Own", bound=CommonExperiment)
Net = TypeVar("Net", bound="nn.Module")


@dataclass(frozen=True)
class Moment:
    """How far a training is: its epoch and its step of the optimiser, both from 0."""

    epoch: int
    step: int


class Schedule(Protocol):
    """The learning rate over a training.

    Attributes:
        warmup: iterations until it is at its full height.
    """

    @property
    def warmup(self) -> int: ...  # noqa: D102

    def __call__(self, iteration: int, /) -> float:
        """The factor on the learning rate at an iteration, from 0 on."""
        ...


class Saving(Protocol):
    """What writes a training's files, as a watch sees it."""

    def stop(self, trainer: Any, error: FaimError) -> NoReturn:
        """Write the epoch's checkpoint and weights, and end the training with `error`.

        To be called in all of its processes.
        """
        ...


class AveragePrecision(Protocol):
    """What measures a video detector; see `faim.evaluation.in_hand`."""

    def __call__(
        self,
        model: Any,
        data: CocoVid,
        mode: Literal["frame", "global"],
        device: torch.device | str,
    ) -> dict[str, float]:
        """AP50, AP75 and AP50:95 from 0 to 100, by their names."""
        ...


class Stage(ABC, Generic[Own, Net]):
    """What a family brings to a training: data, model, losses, optimiser and what is measured.

    A batch is a tuple whose first part are images, (..., 3, h, w); whatever has a method `to` in it
    is moved to the training's device.

    Attributes:
        experiment: the numbers.
    """

    experiment: Own

    def __init__(self, experiment: Own) -> None:
        """The stage of an experiment; see `stage_of`."""
        self.experiment = experiment

    @abstractmethod
    def read_data(self) -> Any:
        """The training data, with all that can be known about them before the first step.

        Raises:
            FaimError: the training or the validation data are missing or wrong.
        """

    @abstractmethod
    def describe(self, data: Any) -> str:
        """What is trained on what, for the first line of the log."""

    @abstractmethod
    def identity(self, data: Any) -> dict[str, Any]:
        """Data and model in plain values that stay the same when the training is resumed."""

    @abstractmethod
    def dataset(self, data: Any) -> Dataset[Any]:
        """The training items."""

    @staticmethod
    @abstractmethod
    def collate(items: Sequence[Any]) -> tuple[Any, ...]:
        """Items as a batch; a function of the module, as processes that load data call it."""

    def start_epoch(self, dataset: Any, epoch: int) -> None:
        """Prepare the dataset for an epoch, before its first item is read."""

    @abstractmethod
    def starting_model(self, data: Any) -> Net:
        """The model with the weights that training starts from; FaimError for wrong ones."""

    def settled(self, model: Net) -> dict[str, Any]:
        """Of the settings, what only the model that training starts from decides."""
        return {}

    def settle(self, settings: Mapping[str, Any]) -> None:
        """Go on with what these settings, perhaps of a checkpoint, have as `settled`."""
        self.experiment = self.experiment.settled_as(settings)

    def prepare(self, model: Net) -> None:
        """The last changes to a model before it trains."""

    def hold(self, model: Net) -> None:
        """Put back what stays as in evaluation, of a model that was put into training mode."""

    @abstractmethod
    def losses(self, model: Net, batch: tuple[Any, ...], moment: Moment) -> dict[str, Tensor]:
        """Scalars of a batch on the model's device; `total` carries the gradient."""

    @abstractmethod
    def make_optimizer(self, model: Net) -> Optimizer:
        """The optimiser of what trains in the model; FaimError where that is nothing."""

    @abstractmethod
    def schedule(self, steps_per_epoch: int) -> Schedule:
        """The learning rate over the training."""

    @abstractmethod
    def save_weights(self, path: Path, model: Net) -> None:
        """Write the weights to use, whole or not at all; FaimError where that is impossible."""

    @abstractmethod
    def evaluate(
        self,
        model: Net,
        device: torch.device | str,
        frames: int | None,
        average_precision: AveragePrecision,
    ) -> dict[str, float]:
        """Figures of the validation data by name, from 0 to 100; the best have most of the first.

        Args:
            model: in whatever mode, which it is left in.
            device: where it is.
            frames: about how many of the validation data are looked at; None for all.
            average_precision: measures detectors.

        Raises:
            FaimError: the data are wrong, or cannot be read.
        """

    def watches(self, saving: Saving) -> list[Any]:
        """Lightning's callbacks that look at the training besides, and may stop it."""
        return []


def stage_of(experiment: CommonExperiment) -> Stage[Any, Any]:
    """The stage that an experiment's class names.

    Raises:
        FaimError: it names none, or one that is not there.
    """
    kind = type(experiment)
    try:
        found = resolve(kind.stage)
    except (ImportError, AttributeError, ValueError) as error:
        raise FaimError(
            f"{kind.__name__}: its stage {kind.stage!r} cannot be found ({error}); expected "
            "module:Class of what it trains"
        ) from error
    stage: Stage[Any, Any] = found(experiment)
    return stage
