"""What mode "auto" stands for."""

from __future__ import annotations

from typing import get_args

from faim.errors import FaimError
from faim.runtime.choices import ModeName, PostName
from faim.runtime.opening import Mode


def resolve_mode(mode: ModeName, live: bool, post: PostName) -> Mode:
    """The mode that runs: of "auto" the one for the source, any other is itself.

    Args:
        mode: as a person gives it.
        live: whether the source, or one beside which it is looked at, can be read once only.
        post: post-processing by name; "causal" is for streams.

    Raises:
        FaimError: no such mode.
    """
    if mode not in get_args(ModeName):
        raise FaimError(f"mode: {mode!r} given; expected one of {', '.join(get_args(ModeName))}")
    if mode != "auto":
        return mode
    return "stream" if live or post == "causal" else "global"
