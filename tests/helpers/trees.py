"""Small folders in the layout of ImageNet VID and DET."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 64, 48

DOG, CAT, ZEBRA = "n02084071", "n02121808", "n02391049"
#: A person: a class of DET that VID does not have.
PERSON = "n00007846"

#: name, xmin, ymin, xmax, ymax, trackid
Tag = tuple[str, float, float, float, float, int]

VIDEO_A = "train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_00000000"
VIDEO_B = "train/ILSVRC2015_VID_train_0001/ILSVRC2015_train_00001002"
VAL_A, VAL_B = "val/ILSVRC2015_val_00000000", "val/ILSVRC2015_val_00000001"
IMAGE_A = "train/ILSVRC2014_train_0000/ILSVRC2014_train_00000663"
IMAGE_B = "train/ILSVRC2013_train/n02085620/n02085620_1"
IMAGE_C = "train/ILSVRC2014_train_0000/ILSVRC2014_train_00000664"


def imagenet_tree(parent: Path) -> Path:
    """ILSVRC2015 with two videos for training, two for validation and three images of DET.

    VIDEO_A has 12 frames, with a dog (track 0) that moves by a pixel a frame, and from frame 6 on
    a cat (track 1). VIDEO_B has 5 frames, with a zebra (track 0). VAL_A has 4 frames, the last two
    empty; VAL_B has 3, with a dog. IMAGE_A shows a dog and a person, IMAGE_B a dog, IMAGE_C a
    person.
    """
    root = parent / "ILSVRC2015"
    for number in range(12):
        tags: list[Tag] = [(DOG, 2 + number, 3, 12 + number, 23, 0)]
        if number >= 6:
            tags.append((CAT, 30, 30, 40, 44, 1))
        add_frame(root, VIDEO_A, number, tags)
    for number in range(5):
        add_frame(root, VIDEO_B, number, [(ZEBRA, 0, 0, 63, 47, 0)])
    for number in range(4):
        add_frame(root, VAL_A, number, [(CAT, 5, 5, 25, 15, 0)] if number < 2 else [])
    for number in range(3):
        add_frame(root, VAL_B, number, [(DOG, 1, 1, 11, 11, 0)])
    add_image(root, IMAGE_A, [(DOG, 10, 10, 20, 30, -1), (PERSON, 0, 0, 5, 5, -1)])
    add_image(root, IMAGE_B, [(DOG, 4, 6, 14, 26, -1)])
    add_image(root, IMAGE_C, [(PERSON, 0, 0, 5, 5, -1)])
    return root


def add_frame(root: Path, video: str, number: int, tags: Sequence[Tag]) -> None:
    _write(root, f"VID/{video}/{number:06}", tags)


def add_image(root: Path, name: str, tags: Sequence[Tag]) -> None:
    _write(root, f"DET/{name}", tags)


def annotation_xml(tags: Sequence[Tag], width: int = WIDTH, height: int = HEIGHT) -> str:
    objects = "".join(_object(tag) for tag in tags)
    size = f"<size><width>{width}</width><height>{height}</height></size>"
    return f"<annotation><folder>f</folder>{size}{objects}</annotation>"


def _object(tag: Tag) -> str:
    name, x1, y1, x2, y2, track = tag
    bounds = f"<xmax>{x2}</xmax><xmin>{x1}</xmin><ymax>{y2}</ymax><ymin>{y1}</ymin>"
    in_video = f"<trackid>{track}</trackid>" if track >= 0 else ""
    flags = "<occluded>1</occluded><generated>0</generated>" if track >= 0 else ""
    return f"<object>{in_video}<name>{name}</name><bndbox>{bounds}</bndbox>{flags}</object>"


def _write(root: Path, name: str, tags: Sequence[Tag]) -> None:
    image, xml = root / f"Data/{name}.JPEG", root / f"Annotations/{name}.xml"
    for path in (image, xml):
        path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(image.with_suffix(".jpg")), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    image.with_suffix(".jpg").rename(image)
    xml.write_text(annotation_xml(tags))
