"""How many pixels a picture may have: headers and JSON files claim what they like."""

from __future__ import annotations

import os

from faim.errors import FaimError

#: Environment variable that raises the limit.
LIMIT_VARIABLE = "FAIM_MAX_IMAGE_PIXELS"
#: Pixels of a picture by default: 13,377 squared, half a gigabyte as BGR; Pillow's limit too.
MOST_PIXELS = 178_956_970


def max_pixels() -> int:
    """Pixels that a picture may have.

    Raises:
        FaimError: the environment variable is no whole number above 0.
    """
    given = os.environ.get(LIMIT_VARIABLE)
    if not given:
        return MOST_PIXELS
    if not (given.isascii() and given.isdecimal() and len(given) <= 18 and int(given)):
        raise FaimError(
            f"{LIMIT_VARIABLE}: {given[:40]!r} given; expected a whole number of pixels above 0"
        )
    return int(given)


def check_pixels(what: str, width: int, height: int) -> None:
    """See that a picture of this size may be held in memory; `what` names it.

    Raises:
        FaimError: it has more pixels than `max_pixels`.
    """
    if width * height > max_pixels():
        raise too_large(f"{what}: is {width}x{height} pixels")


def too_large(found: str) -> FaimError:
    """The sentence for a picture that is `found` to be beyond the limit."""
    return FaimError(
        f"{found}; expected at most {max_pixels()} in all ({LIMIT_VARIABLE}=… sets another limit)"
    )
