"""What mode "auto" stands for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

from faim.choices import ModeName, PostName
from faim.errors import FaimError
from faim.runtime.opening import Mode
from faim.stream.frames import FrameSource


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


def mode_note(
    what_joins: Callable[[Mode], str],
    mode: Mode,
    sources: Sequence[FrameSource],
    *,
    watched: bool,
) -> str | None:
    """What a person should know of the mode that "auto" came to; None where it goes without saying.

    Args:
        what_joins: says what joins the frames in a mode; see `Detector.what_joins`.
        mode: what runs.
        sources: that it runs on.
        watched: whether it is a stream because somebody watches.
    """
    if mode == "global":
        if all(source.frame_count == 1 for source in sources):
            return None
        return (
            f"mode auto: whole files ({what_joins('global')}), with results after a "
            "file's last frame; --mode stream gives them without waiting"
        )
    files = [source for source in sources if not source.live]
    if not files:
        return None
    if not watched:
        live = [source.name for source in sources if source.live]
        why = f"as {live[0]} is live" if live else "for post causal"
    else:
        why = "to be watched as they come"
    return (
        f"mode auto: the files are streams ({what_joins('stream')}), {why}; --mode global "
        "on files alone looks at the whole of each"
    )
