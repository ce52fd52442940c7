"""The one dataset format: CocoVID JSON as MMTracking writes it.

COCO's `images`, `annotations` and `categories`, plus `videos`, `video_id` and `frame_id` on images,
`instance_id` on annotations and, where there are masks, `segmentation`. Optional: `degradation` on
images, `split` on videos, `exhaustive` in `info`. A COCO file without `videos` is read as videos of
one frame each.
"""

from __future__ import annotations

import os
from pathlib import Path

from loguru import logger

from faim.data.contents import WORTH_A_WARNING, Listener, read_contents
from faim.data.records import (
    Annotation,
    FrameRecord,
    VideoRecord,
    check_mask,
    read_frame,
    read_mask,
)
from faim.data.rules import EntryError
from faim.errors import FaimError
from faim.pictures.reading import read_image
from faim.reading import read_json

__all__ = [
    "Annotation",
    "CocoVid",
    "FrameRecord",
    "VideoRecord",
    "read_frame",
    "read_image",
    "read_mask",
]


class CocoVid:
    """A dataset read from a CocoVID (or plain COCO) JSON file.

    Annotations marked `iscrowd` cover groups that no single box describes; they are each frame's
    `crowds`. Boxes without a width or height are left out, and those partly outside their image
    clipped, each with a warning. Videos without images are left out too.

    Attributes:
        annotation_file: the JSON file.
        image_root: the folder that relative `file_name`s start from.
        classes: category names, sorted by category id.
        category_ids: the file's category ids in the same order.
        videos: in the file's order.
        exhaustive: whether all objects of these classes have a label, None where the file does not
            say: `"info": {"exhaustive": false}` is for data with one labelled object a frame, say.

    Raises:
        FaimError: the file is missing, empty or not JSON; a key is missing; an id is used twice or
            refers to nothing; a box is not finite, has a negative size, or lies outside its image;
            `info.exhaustive` is neither true nor false.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> image = {"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}
        >>> box = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [8, 8, 16, 24]}
        >>> content = {
        ...     "videos": [{"id": 1, "name": "walk"}],
        ...     "images": [{**image, "video_id": 1, "frame_id": 0}],
        ...     "annotations": [{**box, "area": 384, "instance_id": 1}],
        ...     "categories": [{"id": 7, "name": "dog"}],
        ... }
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = Path(folder, "ann.json").write_text(json.dumps(content))
        ...     data = CocoVid(Path(folder, "ann.json"))
        >>> data.classes, len(data.videos), data.frames[0].annotations[0].box
        (('dog',), 1, (8.0, 8.0, 24.0, 32.0))
    """

    def __init__(self, annotation_file: Path, image_root: Path | None = None) -> None:
        """Read and validate; `image_root` defaults to the JSON file's folder."""
        self.annotation_file = Path(annotation_file)
        self.image_root = Path(image_root) if image_root else self.annotation_file.parent
        content, notes = read_json(self.annotation_file), _Notes()
        try:
            found = read_contents(content, self.image_root, notes)
        except EntryError as error:
            raise self._error(str(error)) from error
        for kind, (count, where) in notes.found.items():
            logger.warning(f"{self.annotation_file}: {count} x {kind}, first: {where}")
        self.category_ids: tuple[int, ...] = tuple(found.categories)
        self.classes: tuple[str, ...] = tuple(found.categories.values())
        self.videos: list[VideoRecord] = list(found.videos)
        self.exhaustive = found.exhaustive

    @property
    def frames(self) -> list[FrameRecord]:
        """All frames, video by video, in temporal order."""
        return [frame for video in self.videos for frame in video.frames]

    def check(
        self, *, num_classes: int | None, masks_required: bool, images_required: bool = True
    ) -> None:
        """Find what would stop a training or an evaluation, before it starts.

        Args:
            num_classes: classes of the model, or None to accept any.
            masks_required: every annotation must have a sound mask of its image's size.
            images_required: every image file must be there, and the first be readable.

        Raises:
            FaimError: no frames or annotations, another number of classes, a missing or damaged
                mask, a missing image, or a first image of another size than the file says.
        """
        frames = self.frames
        if not frames:
            raise self._error("no images; expected at least one")
        if not any(frame.annotations for frame in frames):
            raise self._error("no annotations; expected at least one")
        if num_classes is not None and num_classes != len(self.classes):
            raise self._error(
                f"{len(self.classes)} classes ({_shortened(self.classes)}); expected {num_classes},"
                " as many as the model has"
            )
        if masks_required:
            for frame in frames:
                self._check_masks(frame)
        if images_required:
            self._check_images(frames)

    def _check_masks(self, frame: FrameRecord) -> None:
        for annotation in frame.annotations:
            where = f"an annotation of image {frame.image_id}"
            if not annotation.segmentation:
                raise self._error(
                    f"{where} has no mask; expected `segmentation` on every annotation (make masks "
                    "first, or train without the mask loss)"
                )
            if isinstance(annotation.segmentation, dict):
                size = annotation.segmentation.get("size")
                if size != [frame.height, frame.width]:
                    raise self._error(
                        f"{where} has a mask of size {size}; expected "
                        f"[{frame.height}, {frame.width}], the image's"
                    )
            try:
                check_mask(annotation, frame.height, frame.width)
            except FaimError as error:
                raise self._error(f"image {frame.image_id}: {error}") from error

    def _check_images(self, frames: list[FrameRecord]) -> None:
        for frame in frames:
            if not os.path.isfile(frame.path):  # noqa: PTH113 - is_file raises for names too long
                raise self._error(
                    f"image {frame.image_id} was looked for at {frame.path} and is not there; "
                    "expected `file_name` relative to the image folder, by default the folder of "
                    "the JSON file"
                )
        read_frame(frames[0])

    def _error(self, message: str) -> FaimError:
        return FaimError(f"{self.annotation_file}: {message}")


class _Notes(Listener):
    """Keeps what a user should hear of: how often, and the first place, by kind."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[int, str]] = {}

    def note(self, kind: str, where: str) -> None:
        if kind in WORTH_A_WARNING:
            count, first = self.found.get(kind, (0, where))
            self.found[kind] = count + 1, first


def _shortened(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
