"""Options that belong together, as they travel from a command line or a call to what heeds them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from faim.choices import MOST_THREADS, BackendName, Classes, PolicyName, PostName, Precision
from faim.errors import FaimError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class BackendOptions:
    """How networks are run.

    Attributes:
        backend: what runs them; "auto" is the fastest that is installed and fits the machine.
        device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1" ...
        precision: what the base detector computes in; "auto" is the backend's choice.
        threads: processor threads; all by default.
        compile: with backend torch, `torch.compile` its modules.

    Raises:
        FaimError: a value that is none of its choices.
    """

    backend: BackendName = "auto"
    device: str | torch.device = "auto"
    precision: Precision = "auto"
    threads: int | None = None
    compile: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        for name, value, choices in (
            ("backend", self.backend, get_args(BackendName)),
            ("precision", self.precision, get_args(Precision)),
        ):
            if value not in choices:
                raise FaimError(f"{name}: {value!r} given; expected one of {', '.join(choices)}")
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise FaimError(f"threads: {self.threads} given; expected 1 to {MOST_THREADS}")


@dataclass(frozen=True)
class MemoryOptions:
    """What a stream remembers.

    Attributes:
        frames: past frames; one less than the model looks at together by default.
        policy: which of them: "recent" the last ones, "spread" half of them the last ones and half
            spread evenly over all that came before.
        scene_cuts: whether the past is forgotten at a hard cut.
    """

    frames: int | None = None
    policy: PolicyName = "spread"
    scene_cuts: bool = True


@dataclass(frozen=True)
class PostOptions:
    """Post-processing.

    Attributes:
        name: "repp" with the modes global and frame, "causal" with mode stream; "auto" is "causal"
            in streams and "repp" in mode global, where frames help each other.
        model: its pair model, a file that `faim repp fit` wrote; the published one by default.
    """

    name: PostName = "auto"
    model: str | Path | None = None


@dataclass(frozen=True)
class SelectionOptions:
    """Which of a frame's detections are given out, as a person says it; see `Selection`.

    Attributes:
        classes: names or numbers of classes; all by default.
        iou: of the last NMS, in [0, 1]; the model's own by default.
        max_det: most detections of a frame; all by default.
        agnostic: whether of boxes of different classes, too, that overlap by more than `iou` only
            the best is given out.
        roi: where the centre of a box has to lie, see `make_region`; anywhere by default.
    """

    classes: Classes | None = None
    iou: float | None = None
    max_det: int | None = None
    agnostic: bool = False
    roi: object = None


@dataclass(frozen=True)
class ExcerptOptions:
    """Which frames of a source are looked at, as a person says it; see `Span.parse`.

    Attributes:
        stride: every so many-th of them.
        start, end: seconds or texts, as `Span.parse` takes them; all by default.
        limit: most of those that are left, 1 or more; all by default.
    """

    stride: int = 1
    start: str | float | None = None
    end: str | float | None = None
    limit: int | None = None
