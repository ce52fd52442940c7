"""The settings of causal post-processing."""

from __future__ import annotations

from dataclasses import dataclass

from faim.errors import FaimError
from faim.postprocess.linking import LinkConfig, is_number

#: Least and most of the settings that are numbers; whether the least itself is allowed.
_RANGES: dict[str, tuple[float, float, bool]] = {
    "emphasis": (0, 8, True),
    "box_weight": (0, 1, False),
    "box_trust": (0, 8, True),
    "start_score": (0, 1, True),
    "carry_score": (0, 1, True),
    "carry_decay": (0, 1, True),
}


@dataclass(frozen=True)
class CausalConfig:
    """The settings of `CausalRepp`; the defaults were chosen on DAVIS 2016's training videos.

    Attributes:
        linking: how pairs are found, and which scores count, as in REPP.
        memory: frames over which scores are averaged; from then on older ones fade.
        emphasis: a frame counts in the mean by its best score to this power, in [0, 8]; with 0
            all frames count alike.
        patience: frames that a tubelet may miss before it ends, 0 or more.
        box_weight: share of the new box in the smoothed one, in (0, 1]; 1 does not smooth.
        box_trust: a box weaker than its tubelet has a smaller share: by the ratio of the best
            scores to this power, in [0, 8].
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
    emphasis: float = 0.5
    patience: int = 2
    box_weight: float = 0.85
    box_trust: float = 0.5
    start_score: float = 0.05
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
        for name, (least, most, closed) in _RANGES.items():
            value = getattr(self, name)
            if (
                not is_number(value)
                or not least <= value <= most
                or (value == least and not closed)
            ):
                expected = f"from {least} to {most}" if closed else f"above {least}, at most {most}"
                raise FaimError(
                    f"causal post-processing: {name} is {value!r}; expected a number {expected}"
                )
