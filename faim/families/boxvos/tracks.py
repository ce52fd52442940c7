"""The objects of a data set, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from faim.data.coco_vid import CocoVid
from faim.data.records import Annotation, FrameRecord, check_mask, read_mask


@dataclass(frozen=True)
class Track:
    """One object of a video: the frames in which its mask has a pixel, in their order."""

    frames: tuple[FrameRecord, ...]
    annotations: tuple[Annotation, ...]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frames)


def tracks_of(data: CocoVid) -> list[Track]:
    """The objects of a data set; those of unknown identity are tracks of one frame.

    Annotations whose mask has no pixel are left out.

    Raises:
        FaimError: a mask is missing or damaged.
    """
    return [track for video in data.videos for track in _video_tracks(video.frames)]


def _video_tracks(frames: Sequence[FrameRecord]) -> Iterator[Track]:
    found: dict[int, list[tuple[FrameRecord, Annotation]]] = {}
    for frame in frames:
        for annotation in frame.annotations:
            if not _has_pixels(annotation, frame):
                continue
            if annotation.instance_id < 0:
                yield Track((frame,), (annotation,))
            else:
                found.setdefault(annotation.instance_id, []).append((frame, annotation))
    for pairs in found.values():
        yield Track(*zip(*pairs, strict=True))


def _has_pixels(annotation: Annotation, frame: FrameRecord) -> bool:
    checked = check_mask(annotation, frame.height, frame.width)
    if isinstance(checked, list):
        return bool(read_mask(annotation, frame.height, frame.width).any())
    return bool(checked[1::2].any())
