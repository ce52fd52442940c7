"""Predicted masks over their frames, with the true ones' outlines, as video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import chain, count, islice
from pathlib import Path

import numpy as np
import supervision as sv

from faim.data.coco_vid import CocoVid, FrameRecord, VideoRecord, read_frame
from faim.errors import FaimError
from faim.files import check_writable
from faim.masks.evaluation.evaluate import read_or_none
from faim.masks.evaluation.matching import Pair, match_annotations, match_frames
from faim.masks.evaluation.scores import MaskScores
from faim.pictures.image import Image, Mask
from faim.pictures.lettering import put_text, text_size
from faim.runtime.results import FrameResult
from faim.runtime.video_sink import VIDEO_EXTENSIONS, VideoSink
from faim.stream.frames import Frame

#: Frames a second of the video; annotation files do not tell.
FPS = 24.0
#: Pixels around the text.
_PADDING = 5


class OverlayWriter:
    """Writes frames with filled predicted masks, true outlines in white, and the frame's mean J.

    Args:
        place: a video file for all sequences one after the other, or a folder (a name without
            ending) for a file `<sequence>.mp4` each.

    Raises:
        FaimError: it cannot be written, or a file's ending is no video's.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.as_file = place.suffix.lower() in VIDEO_EXTENSIONS
        if not self.as_file and place.suffix and not place.is_dir():
            raise FaimError(
                f"{place}: cannot tell the kind of video by its name; expected a folder, or a name "
                f"ending in {', '.join(VIDEO_EXTENSIONS)}"
            )
        check_writable(place if self.as_file else place / "video.mp4")

    def write(
        self,
        predicted: CocoVid,
        truth: CocoVid,
        scores: MaskScores,
        done: Callable[[], object] | None = None,
    ) -> list[Path]:
        """The files written, one a sequence or one of all.

        Args:
            predicted: annotations with masks.
            truth: annotations with true masks; its `image_root` is where the images are.
            scores: of the two.
            done: called after each frame.

        Raises:
            FaimError: an image is missing or of another size, or a file cannot be written.
        """
        drawn = ((video, _drawn(video, predicted, truth, scores)) for video in truth.videos)
        if self.as_file:
            every = (image for _, images in drawn for image in images)
            return [_write(self.place, every, done)]
        names = file_names([video.name for video in truth.videos])
        return [
            _write(self.place / name, images, done)
            for name, (_, images) in zip(names, drawn, strict=True)
        ]


def _write(path: Path, images: Iterator[Image], done: Callable[[], object] | None) -> Path:
    first = list(islice(images, 1))  # an image that is missing must not cost an older video
    with closing(VideoSink(path, FPS)) as sink:
        for index, image in enumerate(chain(first, images)):
            frame = Frame(index, index / FPS, image)
            sink.write(FrameResult(frame, sv.Detections.empty()))
            if done:
                done()
    return path


def _drawn(
    video: VideoRecord, predicted: CocoVid, truth: CocoVid, scores: MaskScores
) -> Iterator[Image]:
    frames = match_frames(predicted, truth)
    by_image: dict[int, list[float]] = {}
    for each in scores.objects:
        for mask in each.masks:
            by_image.setdefault(mask.image_id, []).append(mask.jaccard)
    colours: dict[int, int] = {}
    for frame in video.frames:
        other = frames.get(frame.image_id)
        pairs = match_annotations(other.annotations if other else (), frame.annotations)
        text = f"{video.name} {frame.frame_id}"
        if found := by_image.get(frame.image_id):
            text += f"  J {100 * sum(found) / len(found):.1f}"
        yield draw_overlay(read_frame(frame), pairs, frame, text, colours)


def draw_overlay(
    image: Image, pairs: list[Pair], frame: FrameRecord, text: str, colours: dict[int, int]
) -> Image:
    """A copy of `image` (h, w, 3) BGR with the masks of `frame` and `text` in its upper left.

    Args:
        image: the frame's.
        pairs: predicted and true annotations.
        frame: their frame.
        text: a line.
        colours: the places of the objects' colours by instance id; new objects are added.
    """
    scene = image.copy()
    predicted, numbers, true = [], [], []
    for pair in pairs:
        mask = read_or_none(pair.predicted, frame) if pair.predicted else None
        if mask is not None:
            predicted.append(mask)
            numbers.append(colours.setdefault(pair.instance_id, len(colours)))
        outline = read_or_none(pair.truth, frame) if pair.truth else None
        if outline is not None:
            true.append(outline)
    if predicted:
        scene = sv.MaskAnnotator(opacity=0.5).annotate(scene, _detections(predicted, numbers))
    if true:
        line = sv.PolygonAnnotator(color=sv.Color.WHITE, thickness=1)
        scene = line.annotate(scene, _detections(true, [0] * len(true)))
    return _with_caption(scene, text)


def _with_caption(scene: Image, text: str) -> Image:
    """The text, white on black, in the upper left corner of the scene, which is changed."""
    scale = max(0.35, sv.calculate_optimal_text_scale((scene.shape[1], scene.shape[0])))
    width, height = text_size(text, scale)
    scene[: height + 2 * _PADDING, : width + 2 * _PADDING] = 0
    put_text(scene, text, (_PADDING, height + _PADDING), scale, (255, 255, 255))
    return scene


def _detections(masks: list[Mask], numbers: list[int]) -> sv.Detections:
    stacked = np.stack(masks)
    return sv.Detections(
        xyxy=sv.mask_to_xyxy(stacked), mask=stacked, class_id=np.array(numbers, int)
    )


def file_names(videos: Sequence[str]) -> list[str]:
    """A file's name for each video; from the second of a name on, -2, -3 … are added.

    Names that differ in upper and lower case alone are the same.
    """
    taken: set[str] = set()
    names = []
    for video in videos:
        stem = video.replace("/", "_")
        tries = chain([stem], (f"{stem}-{number}" for number in count(2)))
        name = next(each for each in tries if each.casefold() not in taken)
        taken.add(name.casefold())
        names.append(f"{name}.mp4")
    return names
