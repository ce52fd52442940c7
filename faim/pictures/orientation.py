"""EXIF's eight orientations of a stored picture."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

#: The tag of EXIF and TIFF.
ORIENTATION_TAG = 0x0112
#: Those that turn a picture by a quarter, so that width and height change places.
QUARTER_TURNS = (5, 6, 7, 8)
_MIRRORED_COLUMNS = (2, 3, 6, 7)
_MIRRORED_ROWS = (3, 4, 7, 8)


def upright(stored: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """A view of the stored picture (h, w, …) as it is to be seen."""
    turned = stored.swapaxes(0, 1) if orientation in QUARTER_TURNS else stored
    rows = slice(None, None, -1 if orientation in _MIRRORED_ROWS else 1)
    columns = slice(None, None, -1 if orientation in _MIRRORED_COLUMNS else 1)
    return turned[rows, columns]


def as_stored(seen: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """What `upright` was given for what it returned."""
    # The others are their own opposites.
    return upright(seen, {6: 8, 8: 6}.get(orientation, orientation))
