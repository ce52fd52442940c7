"""Whether a data set's image files are there, and as large as its annotation file says."""

from __future__ import annotations

import math
import os

from faim.data.findings import Examined, Findings
from faim.data.image_size import image_size
from faim.data.records import FrameRecord, read_frame
from faim.errors import FaimError


def check_files(examined: Examined, *, most_sizes: int = 2000) -> int:
    """Look for the image files, read the size of some, and decode the first, as a training does.

    Args:
        examined: gets what is found.
        most_sizes: images whose size is compared, spread evenly over the set.

    Returns:
        Images whose size was compared.
    """
    frames = examined.frames
    present = []
    for frame in frames:
        if os.path.isfile(frame.path):  # noqa: PTH113 - is_file raises for names too long
            present.append(frame)
        else:
            examined.findings.error("missing image", str(frame.path))
    step = max(1, math.ceil(len(present) / most_sizes))
    for frame in present[::step]:
        sound = _check_size(frame, examined.findings)
        if sound and frame is present[0]:
            _check_content(frame, examined.findings)
    return len(present[::step])


def _check_size(frame: FrameRecord, findings: Findings) -> bool:
    try:
        size = image_size(frame.path)
    except FaimError as error:
        findings.error("image that cannot be read", str(error))
        return False
    if size != (frame.width, frame.height):
        findings.error(
            "image of another size",
            f"{frame.path}: is {size[0]}x{size[1]}, the file says {frame.width}x{frame.height}",
        )
        return False
    return True


def _check_content(frame: FrameRecord, findings: Findings) -> None:
    try:
        read_frame(frame)
    except FaimError as error:
        findings.error("image that cannot be read", str(error))
