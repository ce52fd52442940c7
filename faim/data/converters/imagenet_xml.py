"""One annotation file of ImageNet VID or DET: Pascal VOC's XML, with tracks in VID."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from faim.data.converters.imagenet_classes import CLASS_INDEX
from faim.data.converters.items import BoxItem

Element = ElementTree.Element


@dataclass(frozen=True)
class ImageAnnotation:
    """What an XML file says.

    Attributes:
        width: of the image in pixels.
        height: of the image in pixels.
        boxes: objects of the 30 classes.
        other: WordNet ids of the objects of other classes.
    """

    width: int
    height: int
    boxes: tuple[BoxItem, ...]
    other: tuple[str, ...]


def read_annotation(path: Path, tracks: dict[str, int]) -> ImageAnnotation:
    """Read an XML file.

    The files count pixels from 0, and `xmax` and `ymax` are taken for the box's far edges as they
    stand: its width is xmax - xmin, as MMTracking's converter has it.

    Args:
        path: the file.
        tracks: numbers of the video's `trackid`s so far; new ones are added.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no XML, or an element is missing or no number.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise ValueError(f"no XML: {error}") from error
    size = _child(root, "size")
    width, height = (int(_text(size, side)) for side in ("width", "height"))
    boxes, other = [], []
    for element in root.iterfind("object"):
        name = _text(element, "name")
        category = CLASS_INDEX.get(name)
        if category is None:
            other.append(name)
            continue
        bounds = _child(element, "bndbox")
        x1, y1, x2, y2 = (float(_text(bounds, key)) for key in ("xmin", "ymin", "xmax", "ymax"))
        track = element.findtext("trackid")
        number = -1 if track is None else tracks.setdefault(track, len(tracks))
        boxes.append(BoxItem(category, (x1, y1, x2, y2), number, extra=_flags(element)))
    return ImageAnnotation(width, height, tuple(boxes), tuple(other))


def _flags(element: Element) -> Mapping[str, bool]:
    """`occluded` and, of boxes drawn by interpolation, `generated`; VID has both, DET has not."""
    texts = {key: element.findtext(key) for key in ("occluded", "generated")}
    return {key: text.strip() == "1" for key, text in texts.items() if text is not None}


def _child(element: Element, key: str) -> Element:
    found = element.find(key)
    if found is None:
        raise ValueError(f"no <{key}> in <{element.tag}>")
    return found


def _text(element: Element, key: str) -> str:
    text = element.findtext(key)
    if not text:
        raise ValueError(f"no <{key}> in <{element.tag}>")
    return text
