"""`faim demo`: the embedded FAIM-Nano against its own base detector on generated clips."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import supervision as sv
from rich.console import Console
from rich.table import Table
from torchvision.ops import box_iou

from faim.data.coco_vid import CocoVid, FrameRecord, read_frame
from faim.data.synth import generate
from faim.detector import VideoDetector
from faim.errors import FaimError
from faim.evaluation.average_precision import evaluate_ap
from faim.evaluation.modes import Mode, ModeRun, ModeRunner
from faim.evaluation.post import VideoPost, open_post
from faim.evaluation.report import number
from faim.evaluation.stability import IOU_FOUND, SCORE_FOUND, stability
from faim.evaluation.viewer import viewer_figures
from faim.pictures.writing import write_image
from faim.postprocess.post import before, resolve_post
from faim.runtime.results import FrameResult
from faim.runtime.select import open_detector
from faim.runtime.video_sink import VideoSink
from faim.stream.frames import Frame, Image
from faim.structures import Detections
from faim.weights import default_weights
from faim.wording import counted

#: Training sets are generated from other seeds (docs/results.md).
DEMO_SEED = 20_000
CLIPS = 4
FRAME_RATE = 12.0
SCALE = 2
SHEET_COLUMNS = 6
#: Rows of the table that are drawn too.
SINGLE, STREAM = "single frame (YOLOX-Nano)", "FAIM, live stream"
#: Of the table's figures; broken so that it fits in 80 characters.
_TITLES = (
    "AP50",
    "found\n%",
    "wrong\nlabels\n%",
    "boxes\na frame",
    "on/off\nflips\nper 100\nframes",
    "ms a frame",
)
RIGHT, WRONG = sv.Color(60, 220, 90), sv.Color(255, 60, 60)


@dataclass(frozen=True)
class _Pair:
    """A frame with what the base detector and FAIM make of it."""

    record: FrameRecord
    panels: tuple[Image, Image]
    hits: tuple[int, int]


def run_demo(out: Path, *, frames: int = 24, seed: int | None = None) -> None:
    """Generate clips, run both detectors, write `demo.mp4` and `demo.png`, print a table.

    Args:
        out: folder to write to, made where it is missing.
        frames: length of each clip.
        seed: of the clips; seeds from 10,000 on are not used for training.

    Raises:
        FaimError: `out` cannot be written.
    """
    started = time.perf_counter()
    console = Console(highlight=False)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FaimError(f"{out}: cannot make the folder ({error})") from error
    with tempfile.TemporaryDirectory(prefix="faim-demo-") as folder:
        console.print("generating clips that were never seen in training …")
        data = CocoVid(
            generate(
                Path(folder),
                videos=CLIPS,
                frames=frames,
                size=256,
                classes=8,
                severity="hard",
                seed=DEMO_SEED if seed is None else seed,
                edition=2,
                progress=False,
            )
        )
        console.print("running FAIM-Nano frame by frame, as a stream, and over whole clips …")
        weights = default_weights()
        runs = _run(data, open_detector(weights), open_detector(weights, aggregate="none"))
        pairs = list(_pairs(data, runs[SINGLE], runs[STREAM]))
    _write_video(out / "demo.mp4", pairs)
    _write_sheet(out / "demo.png", pairs)
    _print_table(console, data, runs)
    console.print(
        f"video: {out / 'demo.mp4'}\ncontact sheet: {out / 'demo.png'}\n"
        "green: right class and place; red: wrong, or another box of the same object  "
        f"({time.perf_counter() - started:.0f} s)"
    )


def _run(data: CocoVid, model: VideoDetector, base: VideoDetector) -> dict[str, ModeRun]:
    """By row of the table: FAIM as `faim predict` runs it, and the same links on the base alone."""
    tubelets = open_post(resolve_post("auto", model.traits), None)
    linked = open_post("repp", None)
    assert tubelets
    assert linked
    post: dict[Mode, VideoPost] = {"stream": tubelets, "global": linked}
    alone = ModeRunner(
        base,
        data,
        ("stream", "global"),
        in_stream=base.alone(),
        in_global=base.alone(),
        post=post,
    ).run()
    joined = ModeRunner(
        model,
        data,
        base=base,
        in_stream=before("auto", model),
        post=post,
    ).run()
    return {
        SINGLE: joined["frame"],
        "its boxes linked, live stream": alone["stream"],
        STREAM: joined["stream"],
        "its boxes linked, whole clips (REPP)": alone["global"],
        "FAIM, whole clips (REPP)": joined["global"],
    }


def _pairs(data: CocoVid, single: ModeRun, stream: ModeRun) -> Iterator[_Pair]:
    for record in data.frames:
        image = read_frame(record)
        drawn = [
            _draw(image, record, run.detections[record.image_id], data.classes)
            for run in (single, stream)
        ]
        (left, left_hits), (right, right_hits) = drawn
        yield _Pair(record, (left, right), (left_hits, right_hits))


def _draw(
    image: Image, record: FrameRecord, found: Detections, classes: tuple[str, ...]
) -> tuple[Image, int]:
    """The frame enlarged, with what is shown at the usual threshold; and how much is right."""
    scene = cv2.resize(image, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_LINEAR)
    found = found[found.scores >= SCORE_FOUND]
    right = np.array(_which_are_right(found, record), dtype=bool)
    shown = sv.Detections(
        xyxy=found.boxes.numpy() * SCALE,
        confidence=found.scores.numpy(),
        class_id=found.class_ids.numpy(),
    )
    colours = sv.ColorPalette([WRONG, RIGHT])
    lookup = right.astype(int)
    scene = sv.BoxAnnotator(colours, thickness=2).annotate(scene, shown, custom_color_lookup=lookup)
    labels = [
        f"{classes[k]} {s:.2f}" for k, s in zip(shown.class_id, shown.confidence, strict=True)
    ]
    text = sv.LabelAnnotator(colours, text_color=sv.Color.BLACK, text_scale=0.4, text_padding=3)
    scene = text.annotate(scene, shown, labels=labels, custom_color_lookup=lookup)
    return scene, int(right.sum())


def _which_are_right(found: Detections, record: FrameRecord) -> list[bool]:
    """By detection; of several of one object the surest is right, as average precision counts."""
    right = [False] * len(found.scores)
    free = list(record.annotations)
    for index in found.scores.argsort(descending=True).tolist():
        box = found.boxes[index : index + 1]
        for truth in free:
            same = truth.category_id == int(found.class_ids[index])
            if same and float(box_iou(box, box.new_tensor([truth.box]))) >= IOU_FOUND:
                right[index] = True
                free.remove(truth)
                break
    return right


def _caption(image: Image, text: str) -> Image:
    bar = np.full((24, image.shape[1], 3), 24, dtype=np.uint8)
    cv2.putText(bar, text, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA)
    return np.vstack([bar, image])


def _panel(pair: _Pair) -> Image:
    shown = (pair.record.degradation or "clear").replace("_", " ")
    left = _caption(pair.panels[0], f"single frame   [{shown}]")
    right = _caption(pair.panels[1], "FAIM, stream")
    return np.hstack([left, right])


def _write_video(path: Path, pairs: list[_Pair]) -> None:
    sink = VideoSink(path, FRAME_RATE)
    try:
        for index, pair in enumerate(pairs):
            frame = Frame(index, index / FRAME_RATE, _panel(pair))
            sink.write(FrameResult(frame, sv.Detections.empty()))
    finally:
        sink.close()


def _write_sheet(path: Path, pairs: list[_Pair]) -> None:
    """Frames spread over the clips, the base detector above FAIM."""
    count = min(SHEET_COLUMNS, len(pairs))
    # Where FAIM gains most there is something to see; the table has the frames where it loses.
    bins = np.array_split(np.arange(len(pairs)), count)
    chosen = [pairs[max(part, key=lambda i: pairs[i].hits[1] - pairs[i].hits[0])] for part in bins]
    columns = []
    for pair in chosen:
        shown = (pair.record.degradation or "clear").replace("_", " ")
        upper = _caption(pair.panels[0], f"single frame: {shown}, frame {pair.record.frame_id}")
        lower = _caption(pair.panels[1], "FAIM, stream")
        columns.append(np.vstack([upper, lower]))
    sheet = cv2.resize(np.hstack(columns), None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    write_image(path, sheet)


def _print_table(console: Console, data: CocoVid, runs: Mapping[str, ModeRun]) -> None:
    table = Table(
        title=f"{counted(len(data.videos), 'clip')}, {counted(len(data.frames), 'frame')}, "
        f"{counted(len(data.classes), 'class')}"
    )
    table.add_column("")
    for name in _TITLES:
        table.add_column(name, justify="right")
    for title, run in runs.items():
        steady = stability(data, run.detections)
        shown = viewer_figures(data, run.detections, run.others)
        table.add_row(
            title,
            f"{evaluate_ap(data, run.detections).ap50:.1f}",
            number(steady.found_share),
            number(shown.wrong_labels),
            number(shown.boxes_per_frame, 2),
            number(steady.flips_per_100),
            number(run.ms),
        )
    console.print(table)
