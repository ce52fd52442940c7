"""The one dataset format: CocoVID JSON as MMTracking writes it.

COCO's `images`, `annotations` and `categories`, plus `videos`, `video_id` and `frame_id` on images,
`instance_id` on annotations and, where there are masks, `segmentation`. Optional: `degradation` on
images, `split` on videos. A COCO file without `videos` is read as videos of one frame each.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from faim.data.records import (
    Annotation,
    FrameRecord,
    VideoRecord,
    check_mask,
    read_frame,
    read_image,
    read_json,
    read_mask,
)
from faim.errors import FaimError

__all__ = [
    "Annotation",
    "CocoVid",
    "FrameRecord",
    "VideoRecord",
    "read_frame",
    "read_image",
    "read_json",
    "read_mask",
]

#: Pixels by which a box may stick out of its image; it is clipped. Annotation tools round.
BOX_TOLERANCE = 1.0


class CocoVid:
    """A dataset read from a CocoVID (or plain COCO) JSON file.

    Annotations marked `iscrowd` are left out: they cover groups that no single box describes.
    Videos without images are left out too.

    Attributes:
        annotation_file: the JSON file.
        image_root: the folder that relative `file_name`s start from.
        classes: category names, sorted by category id.
        category_ids: the file's category ids in the same order.
        videos: in the file's order.

    Raises:
        FaimError: the file is missing, empty or not JSON; a key is missing; an id is used twice or
            refers to nothing; a box is not finite, has no area, or lies outside its image.
    """

    def __init__(self, annotation_file: Path, image_root: Path | None = None) -> None:
        """Read and validate; `image_root` defaults to the JSON file's folder."""
        self.annotation_file = Path(annotation_file)
        self.image_root = Path(image_root) if image_root else self.annotation_file.parent
        content = read_json(self.annotation_file)
        categories = sorted(self._index(content, "categories").items())
        self.category_ids: tuple[int, ...] = tuple(number for number, _ in categories)
        self.classes: tuple[str, ...] = tuple(
            str(self._get(entry, "name", "category")) for _, entry in categories
        )
        if len(set(self.classes)) != len(self.classes):
            raise self._error(f"category names {list(self.classes)}; expected each once")
        images = self._index(content, "images")
        frames = self._frames(images, self._annotations(content, images))
        self.videos: list[VideoRecord] = self._videos(content, images, frames)

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

    def _annotations(
        self, content: dict[str, Any], images: dict[int, dict[str, Any]]
    ) -> dict[int, list[Annotation]]:
        """Annotations by image id."""
        dense = {number: index for index, number in enumerate(self.category_ids)}
        found: dict[int, list[Annotation]] = {number: [] for number in images}
        for number, entry in self._index(content, "annotations").items():
            what = f"annotation {number}"
            image_id = self._get(entry, "image_id", what)
            category_id = self._get(entry, "category_id", what)
            for key, value, known in (
                ("image", image_id, images),
                ("category", category_id, dense),
            ):
                if not isinstance(value, int) or value not in known:
                    raise self._error(
                        f"{what} refers to {key} {value!r}, which the file does not have"
                    )
            if entry.get("iscrowd"):
                continue
            instance_id = entry.get("instance_id", -1)
            found[image_id].append(
                Annotation(
                    box=self._box(self._get(entry, "bbox", what), images[image_id], what),
                    category_id=dense[category_id],
                    instance_id=instance_id if isinstance(instance_id, int) else -1,
                    segmentation=entry.get("segmentation") or None,
                )
            )
        return found

    def _box(
        self, bbox: Any, image: dict[str, Any], what: str
    ) -> tuple[float, float, float, float]:
        """COCO's x, y, width, height as corners inside the image."""
        if not (isinstance(bbox, list) and len(bbox) == 4 and all(map(_is_finite, bbox))):
            raise self._error(f"{what} has bbox {bbox!r}; expected four finite numbers x, y, w, h")
        x, y, w, h = map(float, bbox)
        if w <= 0 or h <= 0:
            raise self._error(f"{what} has bbox {bbox}; expected a width and height above 0")
        width, height = self._side(image, "width"), self._side(image, "height")
        low, slack = -BOX_TOLERANCE, BOX_TOLERANCE
        inside = x >= low and y >= low and x + w <= width + slack and y + h <= height + slack
        corners = max(x, 0.0), max(y, 0.0), min(x + w, float(width)), min(y + h, float(height))
        if not inside or corners[0] >= corners[2] or corners[1] >= corners[3]:
            raise self._error(
                f"{what} has bbox {bbox} outside image {image['id']}; expected it within "
                f"{width}x{height} pixels"
            )
        return corners

    def _frames(
        self, images: dict[int, dict[str, Any]], annotations: dict[int, list[Annotation]]
    ) -> dict[int, FrameRecord]:
        return {
            number: FrameRecord(
                image_id=number,
                path=self.image_root / str(self._get(entry, "file_name", f"image {number}")),
                width=self._side(entry, "width"),
                height=self._side(entry, "height"),
                frame_id=frame_id if isinstance(frame_id := entry.get("frame_id"), int) else 0,
                annotations=tuple(annotations[number]),
                degradation=entry.get("degradation"),
            )
            for number, entry in images.items()
        }

    def _videos(
        self,
        content: dict[str, Any],
        images: dict[int, dict[str, Any]],
        frames: dict[int, FrameRecord],
    ) -> list[VideoRecord]:
        if not content.get("videos"):
            return [
                VideoRecord(number, str(images[number]["file_name"]), (frame,))
                for number, frame in frames.items()
            ]
        videos = self._index(content, "videos")
        members: dict[int, dict[int, FrameRecord]] = {number: {} for number in videos}
        for number, frame in frames.items():
            video_id = self._get(images[number], "video_id", f"image {number}")
            frame_id = self._get(images[number], "frame_id", f"image {number}")
            if not isinstance(video_id, int) or video_id not in members:
                raise self._error(
                    f"image {number} refers to video {video_id!r}, which the file does not have"
                )
            if not isinstance(frame_id, int) or frame_id in members[video_id]:
                raise self._error(
                    f"image {number} has frame_id {frame_id!r}; expected a whole number that no "
                    f"other image of video {video_id} has"
                )
            members[video_id][frame_id] = frame
        return [
            VideoRecord(
                number,
                str(entry.get("name", number)),
                tuple(frame for _, frame in sorted(members[number].items())),
                self._split(entry, number),
            )
            for number, entry in videos.items()
            if members[number]
        ]

    def _split(self, video: dict[str, Any], number: int) -> str | None:
        split = video.get("split")
        if split is not None and not isinstance(split, str):
            raise self._error(f"video {number} has split {split!r}; expected a name")
        return split

    def _index(self, content: dict[str, Any], key: str) -> dict[int, dict[str, Any]]:
        """The entries of one of the file's lists by their ids, in the file's order."""
        entries = self._get(content, key, "the file")
        if not isinstance(entries, list):
            raise self._error(f"`{key}` is a {type(entries).__name__}; expected a list")
        indexed: dict[int, dict[str, Any]] = {}
        for entry in entries:
            number = self._get(entry, "id", f"an entry of `{key}`")
            if not isinstance(number, int):
                raise self._error(f"`{key}` has id {number!r}; expected a whole number")
            if number in indexed:
                raise self._error(f"`{key}` has id {number} twice; expected each id once")
            indexed[number] = entry
        return indexed

    def _get(self, entry: Any, key: str, what: str) -> Any:
        if not isinstance(entry, dict) or key not in entry:
            raise self._error(f"{what} has no `{key}`; expected the CocoVID format")
        return entry[key]

    def _side(self, image: dict[str, Any], key: str) -> int:
        side = self._get(image, key, f"image {image['id']}")
        if not isinstance(side, int) or side < 1:
            raise self._error(
                f"image {image['id']} has {key} {side!r}; expected a whole number of pixels above 0"
            )
        return side

    def _error(self, message: str) -> FaimError:
        return FaimError(f"{self.annotation_file}: {message}")


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _shortened(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
