"""A sheet of frames with their masks, to be looked at."""

from __future__ import annotations

from pathlib import Path

from faim.data.contact_sheet import draw_sheet, pick_frames
from faim.data.findings import examine
from faim.errors import FaimError
from faim.files import check_writable
from faim.pictures.writing import check_image_name, write_image


def check_preview(sheet: Path) -> None:
    """Find out before the work whether a sheet can be written.

    Raises:
        FaimError: no folder that can be written to, or no image format's ending.
    """
    check_image_name(sheet)
    check_writable(sheet)


def write_preview(
    annotation_file: Path, sheet: Path, *, images: Path | None = None, frames: int = 24
) -> int:
    """Draw frames spread over the videos, with masks, boxes, classes and tracks.

    Args:
        annotation_file: CocoVID with masks; what is not sound in it is not drawn.
        sheet: the image file to write.
        images: where relative `file_name`s start; by default the JSON file's folder.
        frames: how many to draw.

    Returns:
        Frames drawn.

    Raises:
        FaimError: the file cannot be read or has no masks, or the sheet cannot be written.
    """
    examined = examine(annotation_file, images)
    masks = sum(bool(each.segmentation) for f in examined.frames for each in f.annotations)
    if not masks:
        raise FaimError(f"{annotation_file}: no masks to draw; expected some (see --method)")
    picked = pick_frames(examined.videos, frames)
    drawn, problems = draw_sheet(picked, examined.classes)
    if len(problems) == len(picked):
        raise FaimError(f"{annotation_file}: no frame can be drawn ({problems[0]}); see --images")
    write_image(sheet, drawn)
    return len(picked) - len(problems)
