"""Whether a data set's image files are there, whole, and as large as its annotation file says."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing.pool import ThreadPool

from faim.data.findings import Examined
from faim.data.records import FrameRecord
from faim.errors import FaimError
from faim.pictures.reading import open_picture, read_image
from faim.text import printable

#: A kind of mistake or oddity and the file, or None.
_Found = tuple[str, str] | None


def check_files(examined: Examined, done: Callable[[], object] = lambda: None) -> int:
    """Look for the image files, and decode all of them, as a training does.

    Args:
        examined: gets what is found.
        done: called after each image that is there.

    Returns:
        Images that are there.
    """
    present = []
    for frame in examined.frames:
        if os.path.isfile(frame.path):  # noqa: PTH113 - is_file raises for names too long
            present.append(frame)
        else:
            examined.findings.error("missing image", printable(str(frame.path)))
    with ThreadPool() as pool:
        for mistake, note in pool.imap(_examine, present):
            if mistake:
                examined.findings.error(*mistake)
            if note:
                examined.findings.note(*note)
            done()
    return len(present)


def _examine(frame: FrameRecord) -> tuple[_Found, _Found]:
    """What is wrong with an image, and what is odd."""
    shown, annotated = printable(str(frame.path)), (frame.width, frame.height)
    try:
        note = _oddity(frame, shown)
        height, width = read_image(frame.path, annotated).shape[:2]
    except FaimError as error:
        return ("image that cannot be read", str(error)), None
    if (width, height) != annotated:
        sizes = f"is {width}x{height}, the file says {frame.width}x{frame.height}"
        return ("image of another size", f"{shown}: {sizes}"), note
    return None, note


def _oddity(frame: FrameRecord, shown: str) -> _Found:
    with open_picture(frame.path) as picture:
        if picture.several:
            return "image of several pages, of which the first is taken", shown
        if picture.size != picture.stored_size == (frame.width, frame.height):
            return "image that EXIF turns, annotated as it is stored", shown
    return None
