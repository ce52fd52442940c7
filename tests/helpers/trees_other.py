"""Small data sets in the layouts that DAVIS 2017, OVIS, EPIC-KITCHENS, MOT and YOLO come in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

#: Height and width of most images.
HEIGHT, WIDTH = 40, 60


def write_image(path: Path, width: int = WIDTH, height: int = HEIGHT) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))


def write_text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def rectangle(x: int, y: int, w: int, h: int) -> np.ndarray:
    """A mask (HEIGHT, WIDTH) of 0 and 1."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y : y + h, x : x + w] = 1
    return mask


def compressed(mask: np.ndarray) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


def uncompressed(mask: np.ndarray) -> dict[str, Any]:
    """Run lengths column by column, background first, counted by hand."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *runs] if flat[0] else runs}


def davis2017(root: Path) -> Path:
    """Two sequences of train (3 and 2 frames) and one of val; palette masks, 255 void.

    `dogs-jump`: objects 1 and 2 in frame 0, object 2 in frame 1 beside void, nothing in frame 2.
    `train`: object 1 in both frames.
    """
    masks = {
        "dogs-jump": [
            rectangle(5, 10, 20, 8) + 2 * rectangle(40, 3, 6, 30),
            2 * rectangle(41, 3, 6, 30) + 255 * rectangle(0, 0, 3, 3),
            rectangle(0, 0, 0, 0),
        ],
        "train": [rectangle(0, 0, 60, 40), rectangle(1, 2, 3, 4)],
        "bus": [rectangle(7, 7, 7, 7)],
    }
    for name, frames in masks.items():
        for number, mask in enumerate(frames):
            write_image(root / "JPEGImages/480p" / name / f"{number:05}.jpg")
            write_palette(root / "Annotations/480p" / name / f"{number:05}.png", mask)
    write_text(root / "ImageSets/2017/train.txt", "dogs-jump", "train")
    write_text(root / "ImageSets/2017/val.txt", "bus")
    return root


def write_palette(path: Path, indices: np.ndarray) -> None:
    """A PNG whose pixels are indices into a palette of colours that say nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(indices.astype(np.uint8), mode="P")
    image.putpalette([(7 * k + 128) % 256 for k in range(768)])
    image.save(path)


def ovis(root: Path, *, videos: int = 2) -> dict[str, Any]:
    """Videos of three frames; the first has a fish hidden in frame 1, and a bird without a box.

    Returns:
        What `annotations_train.json` holds, to be changed and written again.
    """
    names = [f"{number:08x}" for number in range(videos)]
    content: dict[str, Any] = {
        "categories": [{"id": 2, "name": "Bird"}, {"id": 1, "name": "Fish"}],
        "videos": [
            {
                "id": number + 1,
                "width": WIDTH,
                "height": HEIGHT,
                "length": 3,
                "file_names": [f"{name}/img_{frame:07}.jpg" for frame in range(1, 4)],
            }
            for number, name in enumerate(names)
        ],
        "annotations": [
            {
                "id": 11,
                "video_id": 1,
                "category_id": 1,
                "iscrowd": 0,
                "segmentations": [
                    compressed(rectangle(4, 5, 10, 6)),
                    None,
                    uncompressed(rectangle(0, 5, 10, 6)),
                ],
                "bboxes": [[4.0, 5.0, 10.0, 6.0], None, [0.0, 5.0, 10.0, 6.0]],
                "areas": [60, None, 60],
                "occlusion": ["no_occlusion", None, "severe_occlusion"],
            },
            {
                "id": 12,
                "video_id": 1,
                "category_id": 2,
                "iscrowd": 0,
                "segmentations": [None, uncompressed(rectangle(30, 20, 12, 9)), None],
                "bboxes": [None, None, None],
                "areas": [None, 108, None],
            },
        ],
    }
    for video in content["videos"]:
        for name in video["file_names"]:
            write_image(root / "train" / name)
    write_ovis(root, content)
    return content


def write_ovis(root: Path, content: Mapping[str, Any], split: str = "train") -> None:
    (root / f"annotations_{split}.json").write_text(json.dumps(content))


NOUNS = (
    "noun_id,class_key,nouns",
    "0,Nothing,['Nothing']",
    "1,pan,\"['pan', 'saucepan']\"",
    "2,pan:dust,['dustpan']",
    "3,tap,['tap']",
)
LABEL_HEADER = "noun_class,noun,participant_id,video_id,frame,bounding_boxes"


def epic(root: Path, rows: Sequence[str], images: Mapping[str, Sequence[int]]) -> Path:
    """The two CSV files, and images of 192x108, a tenth of what the boxes count in.

    Args:
        root: the folder of the data.
        rows: lines of the labels, without the header.
        images: frame numbers by video.
    """
    write_text(root / "annotations/EPIC_noun_classes.csv", *NOUNS)
    write_text(root / "annotations/EPIC_train_object_labels.csv", LABEL_HEADER, *rows)
    for video, numbers in images.items():
        folder = root / "object_detection_images/train" / video.split("_")[0] / video
        for number in numbers:
            write_image(folder / f"{number:010}.jpg", 192, 108)
    return root


def mot(root: Path, name: str, rows: Sequence[str], frames: int = 5) -> Path:
    """One sequence of 60x40 images in `root/train`."""
    folder = root / "train" / name
    write_text(
        folder / "seqinfo.ini",
        "[Sequence]",
        f"name={name}",
        "imDir=img1",
        "frameRate=25",
        f"seqLength={frames}",
        f"imWidth={WIDTH}",
        f"imHeight={HEIGHT}",
        "imExt=.jpg",
    )
    write_text(folder / "gt/gt.txt", *rows)
    for number in range(1, frames + 1):
        write_image(folder / "img1" / f"{number:06}.jpg")
    return folder
