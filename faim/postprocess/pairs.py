"""Whether two boxes of neighbouring frames show the same object: REPP's matching model."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from faim.errors import FaimError
from faim.files import write_whole
from faim.reading import read_json, shown

Array = NDArray[np.float64]


@dataclass(frozen=True)
class PairModel:
    """A logistic regression on four features of a pair of boxes.

    The defaults are the coefficients that the authors of REPP learnt on ImageNet VID (Sabater et
    al., IROS 2020). `faim repp fit` learns others.

    Attributes:
        centre_distance: weight of the distance between the centres, in longer sides of the frame.
        height_ratio: weight of the smaller height over the larger, in [0, 1].
        iou: weight of the intersection over union.
        width_ratio: weight of the smaller width over the larger, in [0, 1].
        intercept: added to the weighted sum.

    Raises:
        FaimError: a number that is not finite.
    """

    centre_distance: float = -8.72576943
    height_ratio: float = 3.59721623
    iou: float = 3.27772756
    width_ratio: float = 2.4299095
    intercept: float = -4.09120981

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise FaimError(f"pair model: {name} is {value!r}; expected a number")
            if not math.isfinite(_as_float(value)):
                raise FaimError(
                    f"pair model: {name} is {_as_float(value)}; expected a finite number"
                )

    def probability(self, first: Array, second: Array, size: tuple[int, int]) -> Array:
        """Probability that each pair is one object.

        Args:
            first: (a, 4) x1 y1 x2 y2 in pixels, of one frame.
            second: (b, 4), of the next.
            size: height and width of the frames.

        Returns:
            (a, b) in [0, 1].

        Example:
            >>> box, near, far = [0.0, 0, 50, 50], [1.0, 1, 51, 51], [60.0, 0, 90, 9]
            >>> pairs = PairModel().probability(np.array([box]), np.array([near, far]), (100, 100))
            >>> pairs.round(2).tolist()
            [[0.99, 0.0]]
        """
        weights = (self.centre_distance, self.height_ratio, self.iou, self.width_ratio)
        logits = pair_features(first[:, None], second[None], size) @ np.array(weights)
        return 1 / (1 + np.exp(-np.clip(logits + self.intercept, -500, 500)))

    @classmethod
    def from_json(cls, path: str | Path) -> Self:
        """The model that `to_json` wrote.

        Raises:
            FaimError: no such file, or not one number under each of the names.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     PairModel(intercept=-3.0).to_json(f"{folder}/pairs.json")
            ...     PairModel.from_json(f"{folder}/pairs.json").intercept
            -3.0
        """
        content = read_json(Path(path))
        names = [field.name for field in fields(cls)]
        values = {name: content.get(name) for name in names}
        wrong = [
            name
            for name, value in values.items()
            if isinstance(value, bool) or not isinstance(value, (int, float))
        ]
        if wrong:
            raise FaimError(
                f"{path}: {wrong[0]} is {shown(values[wrong[0]])}; expected numbers named "
                f"{', '.join(names)}, as `faim repp fit` writes them"
            )
        try:
            return cls(**{name: _as_float(content[name]) for name in names})
        except FaimError as error:
            raise FaimError(f"{path}: {error}") from error

    def to_json(self, path: str | Path) -> None:
        """Write the weights as a JSON object; see the example of `from_json`.

        Raises:
            FaimError: the file cannot be written.
        """
        text = json.dumps(asdict(self), indent=2) + "\n"
        write_whole(Path(path), lambda part: part.write_text(text, encoding="utf-8"))


def _as_float(value: float) -> float:
    """A float; infinite where a whole number is beyond all of them."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def pair_features(first: Array, second: Array, size: tuple[int, int]) -> Array:
    """What REPP's regression sees of pairs of boxes.

    Args:
        first: (…, 4) x1 y1 x2 y2 in pixels.
        second: (…, 4), broadcast against it.
        size: height and width of the frame. REPP measures positions in the square that the frame is
            padded to, hence its longer side is the unit.

    Returns:
        (…, 4): distance of the centres, height ratio, IoU, width ratio. Ratios of two sides of
        length 0 are 1, the IoU of two boxes without area is 0.
    """
    sides, others = first[..., 2:] - first[..., :2], second[..., 2:] - second[..., :2]
    apart = ((first[..., :2] + first[..., 2:]) - (second[..., :2] + second[..., 2:])) / 2
    distance = np.sqrt((apart**2).sum(axis=-1)) / max(size)
    smaller, larger = np.minimum(sides, others), np.maximum(sides, others)
    ratios = np.divide(smaller, larger, out=np.ones_like(larger), where=larger > 0)
    corners = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(
        first[..., :2], second[..., :2]
    )
    inner = corners.clip(min=0).prod(axis=-1)
    union = sides.prod(axis=-1) + others.prod(axis=-1) - inner
    iou = np.divide(inner, union, out=np.zeros_like(inner), where=union > 0)
    return np.stack([distance, ratios[..., 1], iou, ratios[..., 0]], axis=-1)
