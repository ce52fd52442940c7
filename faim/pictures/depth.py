"""Pictures of more than 8 bits a sample, made 8 bits in the same way throughout a folder.

Cameras of 10, 12 or 14 bits store 16, most often with the upper ones unused. How many are used must
not be decided picture by picture, or brightness would flicker: a few pictures spread over the
folder decide for all of it, whichever is read first and whoever reads it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from faim.errors import FaimError
from faim.pictures.files import images_in

#: Environment variable that says how many bits of a sample are used, where this guesses wrong.
BITS_VARIABLE = "FAIM_SAMPLE_BITS"
#: What sensors give.
_USUAL_BITS = (8, 10, 12, 14, 16)
#: Pictures that decide for a folder, and pages for a file.
_LOOKED_AT = 5

Samples = npt.NDArray[np.uint16]
Item = TypeVar("Item")


def to_8_bits(samples: Samples, bits: int) -> npt.NDArray[np.uint8]:
    """The upper 8 of the lower `bits` of samples; those beyond are white."""
    return np.minimum(samples >> (bits - 8), 255).astype(np.uint8)


def bits_by_variable() -> int | None:
    """What the environment variable says, None where it is not set.

    Raises:
        FaimError: it is no whole number from 8 to 16.
    """
    given = os.environ.get(BITS_VARIABLE)
    if not given:
        return None
    if given not in {str(bits) for bits in range(8, 17)}:
        raise FaimError(f"{BITS_VARIABLE}: {given[:40]!r} given; expected 8 to 16 bits")
    return int(given)


def bits_in_folder(path: Path, brightest: Callable[[Path], int | None]) -> int:
    """Bits in use in the 16-bit pictures of a picture's folder, by some spread over it.

    Args:
        path: the picture; those of its folder with its ending are looked at.
        brightest: the largest sample of a picture; None if it tells nothing, as it has 8 bits, says
            itself how many are used, or cannot be read.
    """
    folder = path.absolute().parent
    return _bits_in(folder, path.suffix, folder.stat().st_mtime_ns, brightest)


@lru_cache(maxsize=256)
def _bits_in(
    folder: Path, suffix: str, changed: int, brightest: Callable[[Path], int | None]
) -> int:
    """`changed` is the folder's time: the answer holds for as long as its list of files."""
    files = [file for file in images_in(folder) if file.suffix == suffix]
    found = [brightest(file) for file in spread(files)]
    return usual_bits(max((value for value in found if value is not None), default=2**16 - 1))


def spread(items: Sequence[Item]) -> list[Item]:
    """A few of the items, from the first to the last."""
    count = min(_LOOKED_AT, len(items))
    return [items[place * (len(items) - 1) // max(count - 1, 1)] for place in range(count)]


def usual_bits(largest: int) -> int:
    """The least of the usual depths that holds a sample."""
    return next(bits for bits in _USUAL_BITS if largest < 2**bits)
