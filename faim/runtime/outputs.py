"""The sinks that a prediction's options ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from faim.errors import FaimError
from faim.runtime.frames import FrameSource
from faim.runtime.sinks import JsonLinesSink, LineSink, Sink, WindowSink
from faim.runtime.video_sink import VideoSink


def open_sinks(
    sources: Sequence[FrameSource],
    stack: ExitStack,
    print_line: Callable[[str], None],
    *,
    jsonl: str | Path | None,
    save_video: Path | None,
    show: bool,
    weights: str | Path,
) -> list[list[Sink]]:
    """The sinks of every source, which `stack` closes; `print_line` gets them where there is none.

    With several sources the number of each, from 0, becomes a part of its files' names.

    Raises:
        FaimError: an output cannot be written, or is what the run reads.
    """
    several = len(sources) > 1
    read = [weights, *(source.name for source in sources)]
    sinks: list[list[Sink]] = []
    for number, source in enumerate(sources):
        lines = None if jsonl is None else _numbered(jsonl, number, several)
        video = None if save_video is None else _numbered(save_video, number, several)
        for output in (lines, video):
            _refuse_to_overwrite_input(output, *read)
        made: list[Sink] = []
        sinks.append(made)
        stack.callback(_close, made)
        if show:
            made.append(WindowSink(f"FAIM {source.name}" if several else "FAIM"))
        if lines is not None:
            made.append(JsonLinesSink(lines))
        if video is not None:
            made.append(VideoSink(video, source.fps))
        if not made:
            made.append(LineSink(print_line, f"{source.name}  " if several else ""))
    return sinks


def _close(sinks: list[Sink]) -> None:
    with ExitStack() as stack:
        for sink in sinks:
            stack.callback(sink.close)


def _numbered(path: str | Path, number: int, several: bool) -> str | Path:
    """`out.jsonl` of source 2 is `out-2.jsonl`."""
    return Path(path).with_stem(f"{Path(path).stem}-{number}") if several else path


def _refuse_to_overwrite_input(output: str | Path | None, *inputs: str | Path) -> None:
    # os.path says False to names too long, for which Path's methods raise.
    if output is None or not os.path.exists(output):  # noqa: PTH110
        return
    for name in inputs:
        if os.path.exists(name) and Path(name).samefile(output):  # noqa: PTH110
            raise FaimError(f"{output}: is what the run reads; expected another output file")
