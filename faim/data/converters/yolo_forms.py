"""What a line of YOLO's label files holds: decided once for a whole data set, never line by line.

Counting cells cannot tell: a triangle, and a box with its confidence and track, have seven; poses
of 17 points that can be hidden 56, as has a polygon with a track.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from faim.data.converters.items import BoxItem
from faim.data.mask_encoding import encode_polygon
from faim.errors import FaimError

#: What the option `--labels` calls the objects of a line, and what may follow them.
BODIES = ("box", "polygon", "pose", "obb")
TAILS = ("", "+confidence", "+track", "+confidence+track")
LABELS = tuple(body + tail for body in BODIES for tail in TAILS)
#: Points of a pose, and whether each has x and y alone (2) or visibility too (3).
KeypointShape = tuple[int, int]
#: From this many lines on, what holds for nearly all of them is no coincidence.
_MANY = 10
_NEARLY_ALL, _HALF = 0.95, 0.5
#: Numbers of cells from which they can be told to vary, as those of polygons do.
_VARIED = 4
_SHORTEST_POLYGON = 7


@dataclass(frozen=True)
class LineForm:
    """How every line of a data set is read.

    Attributes:
        body: "box", "polygon" (a line of five cells is a box there too), "pose" or "obb".
        confidence: a confidence stands behind the object.
        track: the number of the object's track may stand at the end.
        keypoints: of a pose.
    """

    body: str = "box"
    confidence: bool = False
    track: bool = True
    keypoints: KeypointShape | None = None

    @classmethod
    def named(cls, name: str, keypoints: KeypointShape | None) -> LineForm:
        """That of the option `--labels`, one of `LABELS`.

        Raises:
            FaimError: there is no such form.
        """
        if name not in LABELS:
            raise FaimError(f"labels is {name!r}; expected one of {', '.join(LABELS)}")
        body, *tail = name.split("+")
        track = "track" in tail or (body == "box" and not tail)
        return cls(body, "confidence" in tail, track, keypoints if body == "pose" else None)

    def parse(self, cells: list[str], width: int, height: int) -> BoxItem:
        """One line of an image of this size; ValueError if it is not of this form."""
        category, values, track = self._parts(cells)
        if self.body in ("box", "pose") or len(values) == 4:
            x, y, w, h = (values[:4] * (width, height, width, height)).tolist()
            return BoxItem(category, (x - w / 2, y - h / 2, x + w / 2, y + h / 2), track=track)
        points = values.reshape(-1, 2) * (width, height)
        (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        mask = None if self.body == "obb" else encode_polygon(points, height, width)
        return BoxItem(category, (x1, y1, x2, y2), track=track, segmentation=mask)

    def _parts(self, cells: list[str]) -> tuple[int, np.ndarray, int]:
        """Class, coordinates and track."""
        tail = len(cells) - 1 - self._length(len(cells))
        if not self.confidence <= tail <= self.confidence + self.track:
            raise ValueError("another number of cells")
        values = np.array(cells[1 : len(cells) - tail], np.float64)
        if self.confidence and not 0 <= float(cells[len(cells) - tail]) <= 1:
            raise ValueError("a confidence beyond 0 to 1")
        if len(values) < 4 or not np.isfinite(values).all():
            raise ValueError("too few numbers, or one that is not finite")
        track = max(int(cells[-1]), -1) if tail > self.confidence else -1
        return int(cells[0]), values, track

    def _length(self, cells: int) -> int:
        """Coordinates in a line of so many cells."""
        if self.body == "obb":
            return 8
        rest = cells - 1 - self.confidence
        if self.body == "pose":
            if self.keypoints is None:
                return rest - self.track
            return 4 + self.keypoints[0] * self.keypoints[1]
        if self.body == "polygon" and rest >= _SHORTEST_POLYGON - 1:
            return rest - rest % 2  # pairs of numbers: an odd one at the end is the track
        return 4


@dataclass
class Evidence:
    """What the lines of a data set have in common; those that are no numbers do not count.

    Attributes:
        lines: sound ones by their number of cells, from five on.
        whole: those whose last cell is written as a whole number.
        beyond: those whose last cell is a whole number above 1, as only tracks are.
        shares: those whose last cell is from 0 to 1.
        shares_before: those whose last cell but one is.
        inside: those whose coordinates all lie in the image, as a polygon's do.
        poses: those whose box holds the points; by cells, values of a point, and cells after them.
        first: a file and line of each number of cells.
    """

    lines: Counter[int] = field(default_factory=Counter)
    whole: Counter[int] = field(default_factory=Counter)
    beyond: Counter[int] = field(default_factory=Counter)
    shares: Counter[int] = field(default_factory=Counter)
    shares_before: Counter[int] = field(default_factory=Counter)
    inside: Counter[int] = field(default_factory=Counter)
    poses: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    first: dict[int, str] = field(default_factory=dict)

    def add(self, cells: list[str], where: str) -> None:
        """Look at one line."""
        try:
            values = [float(cell) for cell in cells]
            int(cells[0])
        except (ValueError, IndexError):  # an empty line has no cells
            return
        size = len(cells)
        if size < 5 or not all(map(math.isfinite, values)):
            return
        self.first.setdefault(size, where)
        self.lines[size] += 1
        whole = cells[-1].lstrip("+-").isdecimal()
        self.whole[size] += whole
        self.beyond[size] += whole and values[-1] > 1
        self.shares[size] += 0 <= values[-1] <= 1
        self.shares_before[size] += 0 <= values[-2] <= 1
        pairs = values[1 : size - (size - 1) % 2]
        self.inside[size] += all(-0.1 <= value <= 1.1 for value in pairs)
        for dimensions in (2, 3):
            for tail in (0, 1, 2):
                if (size - 5 - tail) % dimensions == 0 and size - 5 - tail >= dimensions:
                    points = np.array(values[5 : size - tail]).reshape(-1, dimensions)
                    self.poses[size, dimensions, tail] += _holds(values[1:5], points)

    def all(self, counts: Counter[int], size: int) -> bool:
        """Whether something holds for all lines of a size."""
        return counts[size] == self.lines[size]


def _holds(box: list[float], points: np.ndarray) -> bool:
    """Whether a box (centre and size) holds (k, 2) points or those of (k, 3) that are visible."""
    x, y, w, h = box
    if w <= 0 or h <= 0:
        return False
    if points.shape[1] == 3:
        if not np.isin(points[:, 2], (0, 1, 2)).all():
            return False
        points = points[points[:, 2] > 0]
    away = np.abs(points[:, :2] - (x, y)) / (w, h)
    return bool((away <= 0.55).all())


def decide_form(
    evidence: Evidence, keypoints: KeypointShape | None, root: str, option: str = "--labels"
) -> LineForm:
    """The one form that a data set's lines have.

    Args:
        evidence: of all its lines.
        keypoints: the `kpt_shape` of its `data.yaml`.
        root: names the data set in messages.
        option: by which a user can say the form.

    Raises:
        FaimError: its lines are of several forms, or could be of more than one.
    """
    sizes = sorted(evidence.lines)
    if not sizes or sizes == [5]:
        return LineForm()
    found = _pose(evidence, keypoints) if keypoints else _boxes(evidence) or _long(evidence)
    if found is None:
        examples = ", ".join(f"{size} at {evidence.first[size]}" for size in sizes[:4])
        more = f" and {len(sizes) - 4} more" if len(sizes) > 4 else ""
        shape = f", kpt_shape {list(keypoints)}" if keypoints else ""
        raise FaimError(
            f"{root}: label lines whose form cannot be told ({examples}{more} numbers a line"
            f"{shape}); expected lines of one form, or {option} with one of {', '.join(LABELS)}"
        )
    return found


def _boxes(evidence: Evidence) -> LineForm | None:
    """Boxes with a confidence, a track or both; a track may be missing."""
    sizes = set(evidence.lines)
    if sizes <= {5, 6}:
        if evidence.all(evidence.whole, 6):
            return LineForm(track=True)
        if sizes == {6} and evidence.all(evidence.shares, 6):
            return LineForm(confidence=True, track=False)
    elif sizes <= {6, 7}:
        tracks = evidence.all(evidence.whole, 7) and (
            evidence.beyond[7] or evidence.lines[7] >= _MANY
        )
        confidences = evidence.all(evidence.shares_before, 7) and evidence.all(evidence.shares, 6)
        if tracks and confidences:
            return LineForm(confidence=True, track=True)
    return None


def _pose(evidence: Evidence, keypoints: KeypointShape) -> LineForm | None:
    """Poses of known points; what follows them is a confidence, a track or both."""
    count, dimensions = keypoints
    body = 5 + count * dimensions
    tails = {size - body for size in evidence.lines}
    if tails == {0}:
        return LineForm("pose", track=False, keypoints=keypoints)
    if tails <= {0, 1} and evidence.all(evidence.whole, body + 1):
        return LineForm("pose", track=True, keypoints=keypoints)
    if tails == {1} and evidence.all(evidence.shares, body + 1):
        return LineForm("pose", confidence=True, track=False, keypoints=keypoints)
    if tails <= {1, 2} and evidence.all(evidence.whole, body + 2):
        return LineForm("pose", confidence=True, track=True, keypoints=keypoints)
    return None


def _long(evidence: Evidence) -> LineForm | None:
    """Polygons, or poses whose number of points nobody said."""
    long = {size: count for size, count in evidence.lines.items() if size >= _SHORTEST_POLYGON}
    lines = sum(long.values())
    if len(evidence.lines) == 1:
        (size,) = evidence.lines
        if _share(evidence, size, 3, 0) >= _NEARLY_ALL and size >= 5 + 2 * 3:
            return LineForm("pose", track=False, keypoints=((size - 5) // 3, 3))
        if _share(evidence, size, 2, 0) >= _NEARLY_ALL and lines >= _MANY and size > 9:
            return LineForm("pose", track=False, keypoints=((size - 5) // 2, 2))
        if size == 9:  # turned boxes have four corners too
            return None
    if long.keys() == {7} and evidence.all(evidence.whole, 7):  # or a confidence and a track
        return None
    if len(long) < _VARIED and any(
        _share(evidence, size, dimensions, tail) > _HALF
        for size in long
        for dimensions in (2, 3)
        for tail in (0, 1, 2)
    ):
        return None
    for tracked in (s for s in evidence.lines if s % 2 == 0):
        if not evidence.all(evidence.whole, tracked):
            return None
    if all(evidence.all(evidence.inside, size) for size in long):
        return LineForm("polygon", track=True)
    return None


def _share(evidence: Evidence, size: int, dimensions: int, tail: int) -> float:
    """Part of the lines of a size whose box holds its points, read as such a pose."""
    return evidence.poses[size, dimensions, tail] / evidence.lines[size]
