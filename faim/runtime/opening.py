"""What a detector is given to look at, and how."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from faim.errors import FaimError
from faim.runtime.decode_ahead import DecodeAhead
from faim.runtime.frames import FrameSource
from faim.runtime.sources import open_source

Mode = Literal["stream", "global", "frame"]
Source: TypeAlias = str | int | Path | Sequence[NDArray[Any]] | FrameSource


def no_end(source: FrameSource, mode: Mode = "global") -> FaimError:
    """The sentence for what needs a whole video on a live source."""
    if mode == "frame":
        return FaimError(
            f"{source.name}: a live source has no end, so post repp cannot work on it; expected "
            "post causal in mode stream, or a file"
        )
    return FaimError(
        f"{source.name}: a live source has no end, so mode global cannot work on it; expected mode "
        "stream or frame, or a file"
    )


def open_ahead(source: Source) -> FrameSource:
    """`open_source`, decoded ahead by a thread; a `FrameSource` comes back as it is."""
    return source if isinstance(source, FrameSource) else DecodeAhead(open_source(source))
