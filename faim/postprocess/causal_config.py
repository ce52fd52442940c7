"""The settings of causal post-processing."""

from __future__ import annotations

from dataclasses import dataclass

from faim.errors import FaimError
from faim.postprocess.linking import LinkConfig, is_number

#: Most of the settings that are numbers; the least is 0.
_MOST = {"emphasis": 8, "box_trust": 8, "start_score": 1, "carry_score": 1, "carry_decay": 1}


@dataclass(frozen=True)
class CausalConfig:
    """The settings of `CausalRepp`; the defaults were chosen on DAVIS 2016's training videos.

    Attributes:
        linking: how pairs are found, and which scores count, as in REPP.
        memory: frames over which scores are averaged; from then on older ones fade.
        emphasis: a frame counts in the mean by its best score to this power, in [0, 8]; with 0
            all frames count alike, but for those of another class.
        patience: frames that a tubelet may miss before it ends, 0 or more. A box that says little
            for its class counts as a miss too, in part or whole; see `CausalRepp`.
        box_trust: a box as strong as its tubelet is taken where it is; a weaker one moves the
            tubelet by a share of the way, the ratio of the best scores to this power, in [0, 8];
            with 0 all boxes are taken where they are.
        start_score: boxes whose best class is below it continue tubelets, but begin none; in
            [0, 1].
        carry_score: a tubelet that misses a frame is shown in it if its best class reaches this,
            in [0, 1].
        carry_decay: its scores are multiplied by this for every frame missed, in [0, 1]; with 0 it
            is not shown.

    Raises:
        FaimError: a value out of its range.
    """

    linking: LinkConfig = LinkConfig()  # noqa: RUF009 - it is frozen
    memory: int = 30
    emphasis: float = 0.75
    patience: int = 2
    box_trust: float = 1.0
    start_score: float = 0.1
    carry_score: float = 0.2
    carry_decay: float = 0.9

    def __post_init__(self) -> None:
        """Check the values."""
        for name, first in (("memory", 1), ("patience", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < first:
                raise FaimError(
                    f"causal post-processing: {name} is {value!r}; expected a whole number from "
                    f"{first} on"
                )
        for name, most in _MOST.items():
            value = getattr(self, name)
            if not is_number(value) or not 0 <= value <= most:
                raise FaimError(
                    f"causal post-processing: {name} is {value!r}; expected a number from 0 to "
                    f"{most}"
                )
