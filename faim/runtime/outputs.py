"""Where a prediction's results go: what may be asked for, and the sinks of it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from faim.choices import ColorBy
from faim.errors import FaimError
from faim.outputs import check_outputs, read, source_files
from faim.pictures.files import is_image_name
from faim.runtime.drawing import DrawStyle
from faim.runtime.finishing import audio_file
from faim.runtime.sinks import Drawing, JsonLinesSink, Sink, WindowSink
from faim.runtime.source_list import ImageFiles, Named
from faim.runtime.video_sink import VideoSink, check_video_name
from faim.runtime.writers.coco import CocoSink
from faim.runtime.writers.crops import CropsSink
from faim.runtime.writers.csv_rows import CsvSink
from faim.runtime.writers.cvat import CvatSink
from faim.runtime.writers.frames import FramesSink
from faim.runtime.writers.label_studio import LabelStudioSink, config_path
from faim.runtime.writers.mot import MotSink
from faim.runtime.writers.yolo import YoloSink
from faim.stream.frames import FrameSource

#: From a file's or folder's name, its source, the weights' class names, and what draws the frames.
OpenSink = Callable[[Path, FrameSource, Sequence[str], Drawing], Sink]


@dataclass(frozen=True)
class Output:
    """A file or folder a source that a field of `OutputOptions` asks for.

    Attributes:
        words: what is in it, as the summary says.
        open: makes the sink.
        pixels: whether it needs the frames' pictures.
        images: whether it is a folder that images are written into.
        beside: from its name that of a second file, where there is one.
    """

    words: str
    open: OpenSink
    pixels: bool = False
    images: bool = False
    beside: Callable[[str | Path], Path] | None = None

    def files(self, names: Sequence[str | Path]) -> list[Path]:
        """All that is written for sources with these names; stdout is no file."""
        files = [Path(name) for name in names if self is not OUTPUTS["jsonl"] or str(name) != "-"]
        return files if self.beside is None else [*files, *map(self.beside, files)]


#: By the option's name.
OUTPUTS: dict[str, Output] = {
    "jsonl": Output("JSON lines", lambda path, source, names, drawing: JsonLinesSink(path)),
    "save_video": Output(
        "annotated video",
        lambda path, source, names, drawing: VideoSink(path, source.fps, drawing),
        pixels=True,
    ),
    "save_frames": Output(
        "annotated frames",
        lambda path, source, names, drawing: FramesSink(path, drawing),
        pixels=True,
        images=True,
    ),
    "save_crops": Output(
        "crops",
        lambda path, source, names, drawing: CropsSink(path, names),
        pixels=True,
        images=True,
    ),
    "csv": Output("CSV", lambda path, source, names, drawing: CsvSink(path)),
    "coco": Output("COCO", lambda path, source, names, drawing: CocoSink(path, source, names)),
    "yolo": Output("YOLO labels", lambda path, source, names, drawing: YoloSink(path, names)),
    "mot": Output("MOT", lambda path, source, names, drawing: MotSink(path)),
    "cvat": Output("CVAT tracks", lambda path, source, names, drawing: CvatSink(path, source)),
    "label_studio": Output(
        "Label Studio tasks",
        lambda path, source, names, drawing: LabelStudioSink(path, source, names),
        beside=config_path,
    ),
}


@dataclass(frozen=True)
class OutputOptions:
    """Where results go, and how they are drawn; with several sources each has files of its own.

    Attributes:
        jsonl: file of JSON lines; "-" is stdout.
        save_video: annotated video.
        save_frames: folder of annotated frames, named by their number or as their image files.
        save_crops: folder of what was found, cut out, in a folder a class.
        csv: file of rows, one a detection.
        coco: COCO's JSON, with the videos and tracks of CocoVID.
        yolo: folder of YOLO's labels, one file a frame, with confidences and tracks.
        mot: MOTChallenge's text file.
        cvat: XML of CVAT for video 1.1, with tracks as tracks.
        label_studio: JSON of Label Studio's tasks with predictions; its configuration beside it.
        show: open a window.
        track: False leaves track ids out of everything.
        keep_audio: whether `save_video` gets the sound of a source that is a video file.
        line_width, hide_labels, hide_scores, trace, color_by: of what is drawn; see `DrawStyle`.
    """

    jsonl: str | Path | None = None
    save_video: Path | None = None
    save_frames: Path | None = None
    save_crops: Path | None = None
    csv: Path | None = None
    coco: Path | None = None
    yolo: Path | None = None
    mot: Path | None = None
    cvat: Path | None = None
    label_studio: Path | None = None
    show: bool = False
    track: bool = True
    keep_audio: bool = False
    line_width: int | None = None
    hide_labels: bool = False
    hide_scores: bool = False
    trace: bool = False
    color_by: ColorBy | None = None

    @property
    def on_stdout(self) -> bool:
        """Whether stdout carries the JSON lines, and then nothing else."""
        return str(self.jsonl) == "-"

    @property
    def only_shown(self) -> bool:
        """Whether a window is all that is asked for."""
        return self.show and not list(outputs_of(self, 1))

    @property
    def nowhere(self) -> bool:
        """Whether nothing is asked for."""
        return not self.show and not list(outputs_of(self, 1))


def open_sinks(
    options: OutputOptions,
    sources: Sequence[FrameSource],
    class_names: Sequence[str],
    stack: ExitStack,
) -> list[list[Sink]]:
    """The sinks of every source, which `stack` closes.

    Those of a source that has ended may be closed before, by `close_sinks`. The options have passed
    `check_options`. With several sources the number of each, from 0, becomes a part of its files'
    names.

    Raises:
        FaimError: an output cannot be written, or the sound of a live source is to be kept.
    """
    several = len(sources) > 1
    sinks: list[list[Sink]] = []
    for number, source in enumerate(sources):
        made: list[Sink] = []
        sinks.append(made)
        stack.callback(close_sinks, made)
        drawing = Drawing(style_of(options))
        if options.show:
            made.append(WindowSink(f"FAIM {source.name}" if several else "FAIM", drawing))
        for output, paths in outputs_of(options, len(sources)):
            path = Path(paths[number])
            if output is OUTPUTS["save_video"] and options.keep_audio:
                sound = audio_file(source)
                made.append(VideoSink(path, source.fps, drawing, audio_of=sound))
            else:
                made.append(output.open(path, source, class_names, drawing))
    return sinks


def outputs_of(options: OutputOptions, sources: int) -> Iterator[tuple[Output, list[str | Path]]]:
    """What was asked for, with its file or folder for every source."""
    for name, output in OUTPUTS.items():
        if (value := getattr(options, name)) is not None:
            yield output, output_names(value, sources)


def output_names(path: str | Path | None, sources: int) -> list[str | Path]:
    """The file of every source: `out.jsonl`, or of several `out-0.jsonl`, `out-1.jsonl` ..."""
    if path is None:
        return []
    if sources == 1:
        return [path]
    return [Path(path).with_stem(f"{Path(path).stem}-{number}") for number in range(sources)]


def style_of(options: OutputOptions) -> DrawStyle:
    """How the options have frames drawn.

    Raises:
        FaimError: an option is out of its range, or needs tracks where none are wanted.
    """
    for name, wanted in (("trace", options.trace), ("color_by", options.color_by == "track")):
        if wanted and not options.track:
            raise FaimError(f"{name}: needs tracks; expected it without no-track")
    return DrawStyle(
        line_width=options.line_width,
        hide_labels=options.hide_labels,
        hide_scores=options.hide_scores,
        trace=options.trace,
        color_by=options.color_by,
    )


def wants_pixels(options: OutputOptions) -> bool:
    """Whether results need the frames' pictures."""
    return options.show or any(output.pixels for output, _ in outputs_of(options, 1))


def check_options(options: OutputOptions, sources: Sequence[Named], weights: str | Path) -> None:
    """Look at the outputs' names and how to draw, touching no file.

    `sources`, from `listed_sources`, and `weights` are what the run reads.

    Raises:
        FaimError: an output is what the run reads, or could replace images of it; two are the same
            file; a name is no file's, or not one of a video; or a wrong style.
    """
    style_of(options)
    for name in OUTPUTS:
        if name != "jsonl" and str(getattr(options, name)) == "-":
            raise FaimError(f"{name}: - given; expected a name, as only jsonl goes to stdout")
    if options.save_video is not None:
        check_video_name(options.save_video)
    inputs = argparse.Namespace(
        source=[name for source in sources for name in _files_named(source)],
        weights=weights,
        reads={"source": source_files},
    )
    outputs: list[Path] = []
    for output, names in outputs_of(options, len(sources)):
        files = output.files(names)
        outputs.extend(files)
        for folder in files if output.images else ():
            _check_holds_none(folder, read(inputs))
    check_outputs(outputs, read(inputs))


def _check_holds_none(folder: Path, inputs: Iterator[Path]) -> None:
    place = Path(os.path.realpath(folder))
    for path in inputs:
        if is_image_name(path) and place in Path(os.path.realpath(path)).parents:
            raise FaimError(
                f"{folder}: holds {path.name}, which the run reads; expected another folder"
            )


def _files_named(source: Named) -> Sequence[str | Path]:
    return source.paths if isinstance(source, ImageFiles) else (str(source),)


def close_sinks(sinks: list[Sink]) -> None:
    """Close each of them and empty the list."""
    with ExitStack() as stack:
        while sinks:
            stack.callback(sinks.pop().close)
