"""Whether every level of the base detector finds objects while it trains.

YOLOX shares the objects of a training step out over its levels (SimOTA), by what each predicts. A
level that once predicts less than its neighbours is given less to learn, and can be left with
nothing: on data with objects of one size two levels take them all, and the third never fires
again, for objects of other sizes neither. The losses do not show it, as they are low.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from loguru import logger
from torch import Tensor

from faim.errors import FaimError
from faim.experiments.stage import Saving
from faim.families.yolox.experiments import Experiment
from faim.nn.pyramid import LEVELS, STRIDES, Assignment, anchor_levels
from faim.structures import FrameTargets

#: Least objectness of a level that fires; a new detector gives it everywhere.
LEAST_OBJECTNESS = 0.01
#: For so many steps and an epoch a level must not have fired: less is too short to tell.
LEAST_STEPS = 500
#: Of the planned steps, that must be done: a level may come late. The warm-up takes less.
LEAST_DONE = 0.5
#: Sides of the objects (roots of their boxes' areas, pixels of the network's input) of which each
#: level gets at least a fifth of the anchors; measured of YOLOX-Nano of COCO, from 8 to 600 pixels.
SIZES = ((0, 64), (32, 256), (96, torch.inf))
SIZES_TOLD = ("below about 64", "about 32 to 256", "above about 96")
#: Share of the objects below which a level has too few of its sizes to learn from.
FEW = 0.01


@dataclass(frozen=True)
class LevelNumbers:
    """What was seen of the levels in some steps, P3, P4, P5.

    Attributes:
        assigned: anchors of each that SimOTA gave to objects, the foreground of the losses.
        objects: ground-truth boxes of the sizes that each is for, see `SIZES`; which overlap.
        boxes: all ground-truth boxes.
        objectness: the largest that each predicted, in [0, 1].
    """

    assigned: tuple[int, ...] = (0, 0, 0)
    objects: tuple[int, ...] = (0, 0, 0)
    boxes: int = 0
    objectness: tuple[float, ...] = (0.0, 0.0, 0.0)

    def __add__(self, other: Self) -> LevelNumbers:
        """What was seen in both."""
        return LevelNumbers(
            tuple(map(sum, zip(self.assigned, other.assigned, strict=True))),
            tuple(map(sum, zip(self.objects, other.objects, strict=True))),
            self.boxes + other.boxes,
            tuple(map(max, zip(self.objectness, other.objectness, strict=True))),
        )

    def __str__(self) -> str:
        """For the log."""
        shares = ", ".join(
            f"{name} {_percent(count, sum(self.assigned)):.0f} %"
            for name, count in zip(LEVELS, self.assigned, strict=True)
        )
        most = ", ".join(f"{value:.2g}" for value in self.objectness)
        return f"levels: {shares} of the assignments; most objectness {most}"


def _percent(count: int, total: int) -> float:
    return 100 * count / max(total, 1)


class LevelTally:
    """Collects `LevelNumbers` of one process on the training's device, without waiting for it."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.clear()

    def clear(self) -> None:
        """Forget what was seen."""
        self._counts = torch.zeros(2 * len(LEVELS) + 1, dtype=torch.long)
        self._logits = torch.full((len(LEVELS),), -torch.inf)

    @torch.no_grad()
    def add(
        self,
        maps: list[Tensor],
        targets: list[FrameTargets],
        assignments: list[Assignment | None],
    ) -> None:
        """A training step's: see `BaseDetector.detection_losses`; an `Observer`."""
        device = maps[0].device
        own = [each.anchors for each in assignments if each is not None]
        levels = anchor_levels(torch.cat([torch.zeros(0, device=device).long(), *own]), maps)[0]
        corners = torch.cat([target.boxes for target in targets]).float()
        sides = (corners[:, 2:] - corners[:, :2]).prod(dim=1).sqrt()
        counts = [(levels == level).sum() for level in range(len(LEVELS))]
        counts += [((sides >= low) & (sides < high)).sum() for low, high in SIZES]
        logits = torch.stack([level[:, 4].amax() for level in maps]).float()
        self._counts = self._counts.to(device)
        self._counts += torch.stack([*counts, counts[0].new_tensor(len(sides))])
        self._logits = torch.maximum(self._logits.to(device), logits)

    def numbers(self, trainer: lightning.Trainer) -> LevelNumbers:
        """Of all processes; to be called on all of them."""
        device = trainer.strategy.root_device
        counts = trainer.strategy.reduce(self._counts.to(device, copy=True), reduce_op="sum")
        logits = trainer.strategy.reduce(self._logits.to(device, copy=True), reduce_op="max")
        count = len(LEVELS)
        *seen, boxes = counts.tolist()
        objectness = tuple(logits.sigmoid().tolist())
        return LevelNumbers(tuple(seen[:count]), tuple(seen[count:]), boxes, objectness)


class LevelWatch(Callback):
    """Logs after each epoch what the levels did, and stops where one never fires.

    A level is taken for dead that has not reached `LEAST_OBJECTNESS` for a whole epoch and
    `LEAST_STEPS` steps, once `LEAST_DONE` of the planned steps are done. The numbers are those of
    the losses: exact, of all processes, and without a further pass.

    Attributes:
        fired: for each level the step at the end of the last epoch in which it fired.
    """

    def __init__(self, saving: Saving, experiment: Experiment) -> None:
        """`saving` writes the checkpoint before the training stops."""
        self.saving = saving
        self.experiment = experiment
        self.fired: list[int] | None = None
        self._epoch = -1
        #: Of this epoch: what came before the training was resumed, and what came since.
        self._before, self._tally = LevelNumbers(), LevelTally()
        self._trainer: lightning.Trainer | None = None
        self._warned: set[int] = set()

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Look at every step from now on."""
        self._trainer = trainer
        if self.fired is None:  # what was before a checkpoint without these numbers is not known
            self.fired = [trainer.global_step] * len(LEVELS)
        module.model.detector.observer = self._tally.add

    def on_train_batch_start(
        self, trainer: lightning.Trainer, module: Any, batch: Any, batch_idx: int
    ) -> None:
        """Forget the epoch before."""
        if trainer.current_epoch != self._epoch:
            self._epoch, self._before = trainer.current_epoch, LevelNumbers()
            self._tally.clear()

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Say what was seen; stop, or warn, where a level is dead.

        Raises:
            FaimError: names the level. The epoch's checkpoint and weights are written.
        """
        seen = self._seen(trainer)
        self.fired = self._fired_by(seen, trainer.global_step)
        if trainer.is_global_zero:
            logger.info(f"epoch {trainer.current_epoch + 1}, {seen}")
        for level in self._dead(trainer, module.steps_per_epoch):
            told = self._sentence(level, seen, trainer.global_step)
            if self.experiment.check_levels:
                error = FaimError(f"{told}; check_levels=False goes on all the same)")
                self.saving.stop(trainer, error)
            if level not in self._warned and trainer.is_global_zero:
                logger.warning(f"{told})")
            self._warned.add(level)

    def teardown(self, trainer: lightning.Trainer, module: Any, stage: str) -> None:
        """Look no more."""
        module.model.detector.observer = None

    def state_dict(self) -> dict[str, Any]:
        """What was seen of this epoch by all processes, on all of which it is called."""
        assert self._trainer is not None
        seen = self._seen(self._trainer)
        fired = self._fired_by(seen, self._trainer.global_step)
        return {"epoch": self._epoch, "fired": fired, "seen": asdict(seen)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._epoch, self.fired = state_dict["epoch"], list(state_dict["fired"])
        self._before = LevelNumbers(**state_dict["seen"])

    def _seen(self, trainer: lightning.Trainer) -> LevelNumbers:
        return self._before + self._tally.numbers(trainer)

    def _fired_by(self, seen: LevelNumbers, step: int) -> list[int]:
        assert self.fired is not None
        return [
            step if most >= LEAST_OBJECTNESS else before
            for most, before in zip(seen.objectness, self.fired, strict=True)
        ]

    def _dead(self, trainer: lightning.Trainer, steps_per_epoch: int) -> list[int]:
        assert self.fired is not None
        step, planned = trainer.global_step, int(trainer.max_epochs or 1) * steps_per_epoch
        if step < LEAST_DONE * planned:
            return []
        silent = max(LEAST_STEPS, steps_per_epoch)
        return [level for level, fired in enumerate(self.fired) if step - fired >= silent]

    def _sentence(self, level: int, seen: LevelNumbers, step: int) -> str:
        """What is wrong with a level and what to try, up to where the bracket closes."""
        assert self.fired is not None
        assigned = _percent(seen.assigned[level], sum(seen.assigned))
        objects = _percent(seen.objects[level], seen.boxes)
        why = "too few to learn from" if objects < 100 * FEW else "so it has died"
        return (
            f"training: level {LEVELS[level]} (stride {STRIDES[level]}) has not fired for "
            f"{step - self.fired[level]} steps: in this epoch its objectness was at most "
            f"{seen.objectness[level]:.2g}, it got {assigned:.3g} % of the assignments, and "
            f"{objects:.3g} % of the objects have sizes for it ({SIZES_TOLD[level]} pixels of the "
            f"network's input), {why}; expected an objectness above {LEAST_OBJECTNESS:g} (try "
            "training data with more objects of these sizes, or more sizes of the input by "
            f"{self.experiment.sizes_field}"
        )
