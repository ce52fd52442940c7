"""The sinks that a prediction's options ask for."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from faim.outputs import check_outputs, read, source_files
from faim.runtime.finishing import audio_file
from faim.runtime.frames import FrameSource
from faim.runtime.sinks import JsonLinesSink, LineSink, Sink, WindowSink
from faim.runtime.source_list import ImageFiles, Named
from faim.runtime.video_sink import VideoSink, check_video_name


def open_sinks(
    sources: Sequence[FrameSource],
    stack: ExitStack,
    print_line: Callable[[str], None],
    *,
    jsonl: str | Path | None,
    save_video: Path | None,
    show: bool,
    keep_audio: bool = False,
) -> list[list[Sink]]:
    """The sinks of every source, which `stack` closes; `print_line` gets them where there is none.

    Those of a source that has ended may be closed before, by `close_sinks`.

    The names have passed `check_names`. With several sources the number of each, from 0, becomes
    a part of its files' names.

    Raises:
        FaimError: an output cannot be written, or the sound of a live source is to be kept.
    """
    several = len(sources) > 1
    lines, videos = output_names(jsonl, len(sources)), output_names(save_video, len(sources))
    sinks: list[list[Sink]] = []
    for number, source in enumerate(sources):
        made: list[Sink] = []
        sinks.append(made)
        stack.callback(close_sinks, made)
        if show:
            made.append(WindowSink(f"FAIM {source.name}" if several else "FAIM"))
        if lines:
            made.append(JsonLinesSink(lines[number]))
        if videos:
            sound = audio_file(source) if keep_audio else None
            made.append(VideoSink(videos[number], source.fps, audio_of=sound))
        if not made:
            made.append(LineSink(print_line, f"{source.name}  " if several else ""))
    return sinks


def output_names(path: str | Path | None, sources: int) -> list[str | Path]:
    """The file of every source: `out.jsonl`, or of several `out-0.jsonl`, `out-1.jsonl` ..."""
    if path is None:
        return []
    if sources == 1:
        return [path]
    return [Path(path).with_stem(f"{Path(path).stem}-{number}") for number in range(sources)]


def check_names(
    sources: Sequence[Named],
    *,
    jsonl: str | Path | None,
    save_video: Path | None,
    weights: str | Path,
) -> None:
    """Look at the outputs' names, touching no file; `sources` come from `listed_sources`.

    Raises:
        FaimError: an output is what the run reads, two are the same file, or a video's name does
            not end as one.
    """
    if save_video is not None:
        check_video_name(save_video)
    if str(jsonl) == "-":
        jsonl = None
    names = (output_names(path, len(sources)) for path in (jsonl, save_video))
    outputs = [Path(name) for each in names for name in each]
    inputs = argparse.Namespace(
        source=[name for source in sources for name in _files_named(source)],
        weights=weights,
        reads={"source": source_files},
    )
    check_outputs(outputs, read(inputs))


def _files_named(source: Named) -> Sequence[str | Path]:
    return source.paths if isinstance(source, ImageFiles) else (str(source),)


def close_sinks(sinks: list[Sink]) -> None:
    """Close each of them and empty the list."""
    with ExitStack() as stack:
        while sinks:
            stack.callback(sinks.pop().close)
