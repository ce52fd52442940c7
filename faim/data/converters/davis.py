"""DAVIS 2016 (Perazzi et al., CVPR 2016) to CocoVID: one foreground object a sequence."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from faim.data.coco_vid import read_image, read_json
from faim.errors import FaimError


def convert_davis(
    root: Path,
    out: Path,
    labels: Literal["coco", "vid"] = "coco",
    *,
    clean_only: bool = False,
    classes: Sequence[str] | None = None,
    sequences: Mapping[str, str] | None = None,
) -> Path:
    """Write the CocoVID JSON of a DAVIS folder, with RLE masks and their tight boxes.

    The folder holds `JPEGImages/480p/<sequence>/*.jpg` and `Annotations/480p/<sequence>/*.png`
    (or another single resolution), and `labels.json`: for each sequence an object with `coco` and
    `vid`, the class in that set's names or null, and `clean`, false where other objects of the
    class are in view without annotation. A frame with an empty mask has no annotation.

    Args:
        root: the DAVIS folder.
        out: the JSON file to write, or a folder for `annotations.json`. Images stay where they are;
            their names are written relative to the JSON file's folder.
        labels: which names; sequences without one in this set are left out.
        clean_only: leave out the sequences that are not clean.
        classes: the categories in order; by default the classes that occur, sorted.
        sequences: the class of each sequence to convert, in this order; `labels.json`, which need
            not be there then, and the two options on it do not count.

    Returns:
        The JSON file.

    Raises:
        FaimError: a folder, mask or label is missing or damaged, no sequence is left, a class is
            not in `classes`, or the output cannot be written.
    """
    root, out = Path(root), Path(out)
    target = out if out.suffix == ".json" else out / "annotations.json"
    images, masks = _resolution_folders(root)
    if sequences is None:
        sequences = _sequences(root / "labels.json", labels, clean_only)
    names = sorted(set(sequences.values())) if classes is None else list(classes)
    if unknown := sorted(set(sequences.values()) - set(names)):
        raise FaimError(f"classes: {', '.join(unknown)} occur in {root} but are not among {names}")
    content: dict[str, list[dict[str, Any]]] = {
        "videos": [],
        "images": [],
        "annotations": [],
        "categories": [{"id": index + 1, "name": name} for index, name in enumerate(names)],
    }
    for sequence, label in sequences.items():
        _add_sequence(
            content, images / sequence, masks / sequence, names.index(label) + 1, target.parent
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:
        raise FaimError(f"{target}: cannot be written ({error.strerror})") from error
    return target


def _resolution_folders(root: Path) -> tuple[Path, Path]:
    """The folders of images and masks, 480p if there are several."""
    parent = root / "JPEGImages"
    if not parent.is_dir():
        raise FaimError(f"{parent}: no such folder; expected a DAVIS folder with JPEGImages")
    folders = sorted(path for path in parent.iterdir() if path.is_dir())
    chosen = folders[0] if len(folders) == 1 else parent / "480p"
    if chosen not in folders:
        raise FaimError(f"{parent}: expected a single folder, or 480p among several")
    return chosen, root / "Annotations" / chosen.name


def _sequences(path: Path, labels: str, clean_only: bool) -> dict[str, str]:
    """Class of each sequence to convert, in order of their names."""
    if labels not in ("coco", "vid"):
        raise FaimError(f"labels is {labels!r}; expected coco or vid")
    chosen = {}
    for name, entry in sorted(read_json(path).items()):
        if not isinstance(entry, dict) or labels not in entry:
            raise FaimError(f"{path}: sequence {name} has no `{labels}`; expected a class or null")
        if entry[labels] and (entry.get("clean", True) or not clean_only):
            chosen[name] = str(entry[labels])
    if not chosen:
        raise FaimError(f"{path}: no sequence has a {labels} class; expected at least one")
    return chosen


def _add_sequence(
    content: dict[str, list[dict[str, Any]]],
    images: Path,
    masks: Path,
    category_id: int,
    base: Path,
) -> None:
    """Append one sequence; ids count on from what `content` holds."""
    paths = sorted(images.glob("*.jpg"))
    if not paths:
        raise FaimError(f"{images}: no JPEG images; expected the frames of the sequence")
    video_id = len(content["videos"]) + 1
    size = read_image(paths[0]).shape[:2]
    content["videos"].append(
        {"id": video_id, "name": images.name, "width": size[1], "height": size[0]}
    )
    for frame_id, path in enumerate(paths):
        mask = _read_foreground(masks / f"{path.stem}.png", size)
        image_id = len(content["images"]) + 1
        content["images"].append(
            {
                "id": image_id,
                "video_id": video_id,
                "frame_id": frame_id,
                "file_name": _relative(path, base),
                "width": size[1],
                "height": size[0],
            }
        )
        if mask.any():
            rle = coco_mask.encode(np.asfortranarray(mask))
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image_id,
                    "video_id": video_id,
                    "category_id": category_id,
                    "instance_id": video_id,
                    "bbox": coco_mask.toBbox(rle).tolist(),
                    "area": int(coco_mask.area(rle)),
                    "iscrowd": 0,
                    "segmentation": {"size": list(size), "counts": rle["counts"].decode("ascii")},
                }
            )


def _read_foreground(path: Path, size: tuple[int, int]) -> np.ndarray:
    """The mask as (h, w) uint8 of 0 and 1; DAVIS 2016 marks the foreground by any value above 0."""
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    if mask is None:
        raise FaimError(f"{path}: no such mask; expected a PNG for every frame")
    if mask.shape != size:
        raise FaimError(
            f"{path}: is {mask.shape[1]}x{mask.shape[0]}; expected {size[1]}x{size[0]}, as the "
            "frames are"
        )
    return (mask > 0).astype(np.uint8)


def _relative(path: Path, base: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), base.resolve())).as_posix()
    except ValueError:  # Windows: another drive
        return path.resolve().as_posix()
