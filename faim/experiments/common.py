"""What the experiments of all families have in common, whatever it is that they train."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from reprlib import repr as shortened
from typing import Any, ClassVar, Literal, Self

from faim.checks import is_side
from faim.choices import LONGEST_SIDE
from faim.errors import FaimError
from faim.typed import check_values, field_hints

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]

#: Beyond any use; a slip of the finger ends in a sentence, not in a full memory.
_MOST: dict[str, int] = {
    **{"max_epochs": 100_000, "batch_size": 65_536, "devices": 1024, "num_nodes": 1024},
    **{"workers": 1024, "seed": 2**32 - 1},
}


@dataclass(kw_only=True)
class CommonExperiment(ABC):
    """The numbers of a training; what its family makes of them is its stage (see `stage_of`).

    Attributes:
        name: of the output folder; empty takes the experiment file's name.
        train_ann: annotation file, or files, of the training data.
        val_ann: CocoVID annotation file of validation data, evaluated before the first step and
            after every epoch; None for none.
        val_start: about how many frames of it are looked at before the first step, evenly spread;
            0 leaves that out.
        stop_below: share of what the first evaluation gave, below which the training stops once the
            warm-up is over; 0 goes on whatever comes.
        cache: keep all decoded images in memory.
        ckpt: weights to start from; empty for none.
        max_epochs: length of the training.
        batch_size: items a step over all devices.
        ema: whether the weights that are kept are an exponential moving average.
        ema_decay: its decay.
        ema_ramp: iterations over which the decay grows towards `ema_decay`.
        grad_clip: largest gradient norm; 0 does not clip.
        precision: of the computation, in Lightning's words.
        channels_last: memory format of the network; faster on GPUs with mixed precision.
        seed: of everything random.
        workers: processes that load data, at most one a processor; 0 loads in the training
            process.
        accelerator: auto, cpu, gpu …, as Lightning's.
        devices: number of devices.
        num_nodes: number of machines.
        strategy: auto, ddp …, as Lightning's.
        checkpoint_every: iterations between two checkpoints, besides those at an epoch's end.
        log_every: iterations between two log entries.
        save_history: keep the weights of every epoch.
    """

    name: str = ""
    train_ann: str | tuple[str, ...] = ""
    val_ann: str | None = None
    val_start: int = 500
    stop_below: float = 0.1
    cache: bool = False
    ckpt: str = ""
    max_epochs: int = 7
    batch_size: int = 16
    ema: bool = True
    ema_decay: float = 0.9998
    ema_ramp: int = 2000
    grad_clip: float = 0.0
    precision: Precision = "32-true"
    channels_last: bool = False
    seed: int = 0
    workers: int = 4
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    checkpoint_every: int = 500
    log_every: int = 10
    save_history: bool = False

    #: What is trained by it, "module:Class": a `faim.experiments.stage.Stage`.
    stage: ClassVar[str] = ""
    #: The field that sets the learning rate.
    rate_field: ClassVar[str] = "learning_rate"
    #: Fields that are dictionaries of another dataclass's fields.
    nested: ClassVar[dict[str, type]] = {}
    #: Fields that a resumed training may change: they leave its result alone. The data and the
    #: number of processes are compared by what they are, not by where.
    free_on_resume: ClassVar[frozenset[str]] = frozenset(
        {
            *("name", "ckpt", "cache", "workers", "log_every", "checkpoint_every", "save_history"),
            *("accelerator", "devices", "num_nodes", "strategy", "train_ann", "val_ann", "model"),
            *("val_start", "stop_below"),
        }
    )

    def validate(self) -> None:
        """Find wrong values before anything else is done.

        Raises:
            FaimError: a value of the wrong type or out of range; names the field and what is
                allowed.
        """
        self._check_types()
        for name in ("max_epochs", "batch_size", "devices", "num_nodes", "checkpoint_every"):
            at_least(name, getattr(self, name), 1)
        for name in ("log_every", "ema_ramp"):
            at_least(name, getattr(self, name), 1)
        for name in ("workers", "seed", "grad_clip", "val_start"):
            at_least(name, getattr(self, name), 0)
        for name, most in _MOST.items():
            at_most(name, getattr(self, name), most)
        for name in ("ema_decay", "stop_below"):
            share(name, getattr(self, name))
        processes = self.devices * self.num_nodes
        if self.batch_size % processes:
            raise FaimError(
                f"batch_size is {self.batch_size}; expected a multiple of the {processes} devices"
            )

    def _check_types(self) -> None:
        values = {name: getattr(self, name) for name in field_hints(type(self))}
        values = check_values(values, type(self))
        for name in self.nested.keys() & values.keys():
            values[name] = check_values(values[name], self.nested[name], f"{name}.")
        for name, value in values.items():
            setattr(self, name, value)

    @property
    @abstractmethod
    def learning_rate(self) -> float:
        """The largest of the training, for the whole batch."""

    @property
    def process_batch(self) -> int:
        """Items a process loads at once."""
        return self.batch_size // (self.devices * self.num_nodes)

    @property
    def accumulate(self) -> int:
        """Batches of the loader to one step of the optimiser."""
        return 1

    def settled_as(self, stored: Mapping[str, Any]) -> Self:
        """The experiment with what these settings, perhaps of a checkpoint, decide for it."""
        return self

    def settings(self, identity: Mapping[str, Any]) -> dict[str, Any]:
        """What must be the same for a resumed training to go on as it would have.

        Args:
            identity: of the data and the model; see `Stage.identity`.
        """
        # Plain values: nothing in the checkpoint needs unpickling.
        settings = {n: v for n, v in asdict(self).items() if n not in self.free_on_resume}
        return settings | {**identity, "processes": self.devices * self.num_nodes}


class DetectorExperiment(CommonExperiment):
    """The experiment of a video detector, which can be evaluated too.

    Attributes:
        variant: the detector's size.
    """

    variant: str

    @property
    @abstractmethod
    def test_size(self) -> tuple[int, int] | None:
        """Height and width of the network's input in an evaluation; None for the weights' own."""


def at_least(name: str, value: float, low: float) -> None:
    """FaimError where a field is below `low`."""
    if value < low:
        raise FaimError(f"{name} is {value!r}; expected at least {low}")


def at_most(name: str, value: float, high: float) -> None:
    """FaimError where a field is above `high`."""
    if value > high:
        raise FaimError(f"{name} is {shortened(value)}; expected at most {high}")


def sides(name: str, values: Sequence[int]) -> None:
    """FaimError where not all of a field's sides of network inputs are possible ones."""
    if not values or not all(map(is_side, values)):
        raise FaimError(
            f"{name} is {shortened(values)}; expected multiples of 32 from 32 to {LONGEST_SIDE}"
        )


def share(name: str, value: float) -> None:
    """FaimError where a field is not from 0 to 1."""
    if not 0 <= value <= 1:
        raise FaimError(f"{name} is {value!r}; expected a number from 0 to 1")
