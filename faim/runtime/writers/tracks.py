"""What was found, by track: for formats that know objects, and not boxes alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from faim.runtime.sinks import Result
from faim.runtime.writers.boxes import Box, one_a_track, solid_boxes_of
from faim.stream.frames import FrameSource


@dataclass(frozen=True)
class Keyframe:
    """A box of a track; `place` counts the frames that were looked at, `frame` the source's."""

    place: int
    frame: int
    box: Box


@dataclass(frozen=True)
class Track:
    """An object over the frames; a box without a track is one by itself.

    Attributes:
        runs: keyframes in order, a new run after every frame in which the track has no box.
    """

    runs: Sequence[Sequence[Keyframe]]

    @property
    def keyframes(self) -> list[Keyframe]:
        """Of all runs."""
        return [keyframe for run in self.runs for keyframe in run]

    @property
    def label(self) -> str:
        """The one class that the track's boxes speak for, weighted by their scores."""
        votes: Counter[str] = Counter()
        for keyframe in self.keyframes:
            votes[keyframe.box.label] += keyframe.box.score  # type: ignore[assignment]
        return max(votes, key=votes.__getitem__)

    @property
    def score(self) -> float:
        """Mean of its boxes."""
        keyframes = self.keyframes
        return sum(keyframe.box.score for keyframe in keyframes) / len(keyframes)


class TrackBook:
    """Collects the frames of one source.

    Attributes:
        frames: numbers, in the source, of the frames that were looked at.
        size: width and height of the first, in pixels.
    """

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.size = (0, 0)
        self._tracks: dict[object, list[Keyframe]] = {}

    def add(self, result: Result) -> None:
        """Take the next frame."""
        place = len(self.frames)
        if not place:
            height, width = result.frame.image.shape[:2]
            self.size = width, height
        self.frames.append(result.frame.index)
        for number, box in enumerate(one_a_track(solid_boxes_of(result))):
            key: object = (place, number) if box.track is None else box.track
            self._tracks.setdefault(key, []).append(Keyframe(place, result.frame.index, box))

    def tracks(self) -> Iterator[Track]:
        """All tracks, in the order in which they began."""
        for keyframes in self._tracks.values():
            runs: list[list[Keyframe]] = []
            for keyframe in keyframes:
                if runs and keyframe.place == runs[-1][-1].place + 1:
                    runs[-1].append(keyframe)
                else:
                    runs.append([keyframe])
            yield Track(runs)

    def total(self, source: FrameSource) -> int:
        """Frames of the source, as far as it is known: a run may end before it does."""
        return max(getattr(source, "whole_count", source.frame_count) or 0, self.frames[-1] + 1)

    def after(self, last: Keyframe, source: FrameSource) -> int | None:
        """The first frame in which a track is known not to be; None at the end of the source."""
        following = last.place + 1
        if following < len(self.frames):
            return self.frames[following]
        # What headers promise beyond the last frame is not always there.
        more = getattr(source, "goes_on", False) and last.frame + 1 < self.total(source)
        return last.frame + 1 if more else None
