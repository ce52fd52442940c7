"""A dataset with some of its videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

from faim.data.coco_vid import CocoVid, VideoRecord


def with_videos(data: CocoVid, videos: Sequence[VideoRecord]) -> CocoVid:
    """Some of the videos, as if they were the dataset."""
    part = copy(data)
    part.videos = list(videos)
    return part


def part(content: Mapping[str, Any], sequences: Sequence[str]) -> dict[str, Any]:
    """A CocoVID file's content with some of its videos; all categories stay."""
    videos = [video for video in content["videos"] if video["name"] in sequences]
    ids = {video["id"] for video in videos}
    images = [image for image in content["images"] if image["video_id"] in ids]
    there = {image["id"] for image in images}
    annotations = [a for a in content["annotations"] if a["image_id"] in there]
    return {**content, "videos": videos, "images": images, "annotations": annotations}
