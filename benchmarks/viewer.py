"""What a viewer of DAVIS sees: single frames, the default stream, and whole files with REPP.

    python benchmarks/viewer.py --davis DAVIS --davis-train DAVIS_TRAIN \
        --weights yolox_nano_coco.pth --out outputs/viewer

Every sequence with a COCO class in its folder's `labels.json` counts, whole, and all 80 classes are
shown, at score 0.3. AP50 is over the sequences without unlabelled objects of the class. The frames
pass the detector once; its proposals are kept in the folder, so that a change to what comes after
them is measured by the same command without the detector.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from yolox.data.datasets import COCO_CLASSES

import faim
from faim.arguments import size, whole
from faim.choices import PostName
from faim.data.coco_vid import CocoVid
from faim.data.converters.davis import convert_davis
from faim.detector import Kept
from faim.errors import FaimError
from faim.evaluation.average_precision import evaluate_ap
from faim.evaluation.figures import known
from faim.evaluation.report import number
from faim.evaluation.stability import stability
from faim.evaluation.viewer import viewer_figures
from faim.files import check_writable, write_json
from faim.machine import machine
from faim.postprocess.post import WholeVideoPost
from faim.reading import read_json
from faim.runtime.opening import Mode
from faim.runtime.pipeline import Detector
from faim.stream.frames import Frame
from faim.stream.steps import detections_of, frame_groups, in_source
from faim.stream.work import Looked
from faim.structures import Detections, ScoredBoxes
from lab.looking import for_links
from lab.proposals import KeptProposals, LookedAt
from lab.results import status_of
from lab.subsets import with_videos

#: Ways to run a detector by name: the mode, and the post-processing.
WAYS: dict[str, tuple[Mode, PostName]] = {
    "frame": ("frame", "none"),
    "stream": ("stream", "auto"),
    "frame + repp": ("frame", "repp"),
    "global + repp": ("global", "repp"),
}
#: Figures of a set and what they are called.
FIGURES = {
    "found_share": "found %",
    "wrong_labels": "wrong labels %",
    "boxes_per_frame": "boxes / frame",
    "double_names": "double names / 100",
    "double_boxes": "double boxes / 100",
    "flips_per_100": "flips / 100",
    "ap50": "AP50",
}
#: Columns of the widest table, also where no terminal says how wide it is.
_WIDTH = 140


@dataclass(frozen=True)
class Bar:
    """What the stream must reach: `most` or `least`, times or plus the figure of single frames."""

    figure: str
    kind: Literal["times", "plus"]
    value: float
    most: bool

    def reached(self, frame: float, stream: float) -> tuple[float, bool]:
        """The stream's figure as ratio or difference, and whether that is good enough."""
        if self.kind == "plus":
            got = stream - frame
        else:
            got = stream / frame if frame else float(stream > 0)
        return got, got <= self.value if self.most else got >= self.value


BARS = (
    Bar("wrong_labels", "times", 0.7, most=True),
    Bar("boxes_per_frame", "times", 1.03, most=True),
    Bar("double_names", "times", 0.2, most=True),
    Bar("found_share", "plus", 5, most=False),
    Bar("flips_per_100", "times", 0.45, most=True),
    Bar("ap50", "plus", 3, most=False),
)


@dataclass(frozen=True)
class DavisSet:
    """A DAVIS folder as a dataset; `clean` are the sequences that count for AP50."""

    data: CocoVid
    clean: set[str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit status 2 after wrong input."""
    return status_of("viewer", lambda: run(_parser().parse_args(arguments)))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Detect what is not kept, measure, print the tables, and write `viewer.json`.

    Raises:
        FaimError: the weights or DAVIS are not as expected, or the folder cannot be written.
    """
    if not (options.davis or options.davis_train):
        raise FaimError("--davis, --davis-train: neither given; expected a folder of DAVIS 2016")
    console = Console(width=max(Console().width, _WIDTH))
    check_writable(options.out / "viewer.json")
    detectors = {way: _open(options, post) for way, (_, post) in WAYS.items()}
    sets: dict[str, DavisSet] = {}
    found: dict[str, dict[int, Detections]] = {way: {} for way in WAYS}
    for name, root in {"validation": options.davis, "training": options.davis_train}.items():
        if root is not None:
            first = max(found["frame"], default=0)
            sets[name] = read_set(root, options.out / f"{name}.json", first)
            kept = KeptProposals(detectors["frame"], options.out / name)
            for way, detections in detect(detectors, kept, sets[name].data, console).items():
                found[way] |= detections
    if len(sets) > 1:
        sets["both"] = _joined(list(sets.values()))
    report: dict[str, Any] = {"weights": str(options.weights), "sets": {}}
    for name, part in sets.items():
        report["sets"][name] = _report(f"DAVIS 2016, {name}", part, found, console)
    if options.by_sequence:
        widest = list(sets.values())[-1]
        report["sequences"] = _by_sequence(widest, found, console)
    report["machine"] = machine()
    write_json(options.out / "viewer.json", report)
    return report


def read_set(root: Path, file: Path, first: int = 0) -> DavisSet:
    """The sequences with a COCO class, of all 80 classes; the dataset is kept in `file`.

    Ids of images and videos are raised by `first`, so that sets can be joined.
    """
    if not file.exists():
        convert_davis(root.resolve(), file, classes=COCO_CLASSES)
    data = CocoVid(file)
    data.videos = [
        replace(
            video,
            video_id=video.video_id + first,
            frames=tuple(replace(f, image_id=f.image_id + first) for f in video.frames),
        )
        for video in data.videos
    ]
    labels = read_json(root / "labels.json")
    return DavisSet(data, {name for name, entry in labels.items() if entry.get("clean", True)})


def _joined(sets: Sequence[DavisSet]) -> DavisSet:
    videos = [video for part in sets for video in part.data.videos]
    clean = {name for part in sets for name in part.clean}
    return DavisSet(with_videos(sets[0].data, videos), clean)


def detect(
    detectors: Mapping[str, Detector], kept: KeptProposals, data: CocoVid, console: Console
) -> dict[str, dict[int, Detections]]:
    """By way and image id, what every way makes of the proposals."""
    found: dict[str, dict[int, Detections]] = {way: {} for way in detectors}
    with Progress(console=console, transient=True) as progress, torch.inference_mode():
        task = progress.add_task("frames", total=len(data.frames))
        for video in data.videos:
            looked = kept.get(video, lambda: progress.advance(task))
            for way, detector in detectors.items():
                run = _stream if way == "stream" else partial(_whole, WAYS[way][0])
                for frame, one in zip(video.frames, run(detector, looked), strict=True):
                    found[way][frame.image_id] = one
    return found


def _stream(detector: Detector, looked: LookedAt) -> Iterator[Detections]:
    """As mode stream of `Detector.run`."""
    blank = Frame(0, 0.0, np.zeros((0, 0, 3), np.uint8))
    state = detector.new_state()
    for index, cut in enumerate(looked.cuts):
        if cut:
            state.reset()
        item = Looked(blank, looked.geometry, looked.proposals[index])
        detections, entry, state.post = detector.decide(item, state.bank, state.post)
        state.bank.append(entry)
        yield detections


def _whole(mode: Mode, detector: Detector, looked: LookedAt) -> Iterator[Detections]:
    """As modes frame and global of `Detector.run`."""
    length, geometry = len(looked.cuts), looked.geometry
    least, post = detector.score_threshold, detector.post
    kept = Kept(least, detector.selection.iou) if post is None else for_links(detector)
    model, groups = detector.model.alone(), [[index] for index in range(length)]
    if mode == "global":
        model = detector.joined
        groups = frame_groups(length, detector.traits.frames, "uniform", 0)
    found: dict[int, ScoredBoxes] = {}
    for group in groups:
        decided = model.decide(looked.proposals[torch.tensor(group)], kept)
        found |= dict(zip(group, decided, strict=True))
    scored: Iterable[ScoredBoxes] = [in_source(found[index], geometry) for index in range(length)]
    if isinstance(post, WholeVideoPost):
        scored = post.run(list(scored), [geometry.source_size] * length)
    for boxes in scored:
        yield detections_of(boxes, least)


def figures(part: DavisSet, found: Mapping[int, Detections]) -> dict[str, float]:
    """Those of `FIGURES`; AP50 is NaN where no sequence counts for it."""
    data = part.data
    scored = with_videos(data, [video for video in data.videos if video.name in part.clean])
    there = {frame.image_id: found[frame.image_id] for frame in scored.frames}
    every = {
        **vars(stability(data, found)),
        **vars(viewer_figures(data, found)),
        "ap50": evaluate_ap(scored, there).ap50 if there else math.nan,
    }
    return {name: every[name] for name in FIGURES}


def _report(
    title: str,
    part: DavisSet,
    found: Mapping[str, Mapping[int, Detections]],
    console: Console,
) -> dict[str, Any]:
    """Figures by way, and the bars; printed too."""
    ways = {way: figures(part, ran) for way, ran in found.items()}
    table = _table(f"{title}: {len(part.data.frames)} frames")
    for way, values in ways.items():
        table.add_row(way, *_cells(values))
    console.print(table)
    table = Table(title="stream against single frames")
    for name in ("", "bar", "reached", ""):
        table.add_column(name, justify="right")
    bars = {}
    for bar in BARS:
        got, good = bar.reached(ways["frame"][bar.figure], ways["stream"][bar.figure])
        bars[bar.figure] = known({"reached": got, "good": good})
        form = "{:.2f} times" if bar.kind == "times" else "{:+.1f}"
        wanted = ("<= " if bar.most else ">= ") + form.format(bar.value)
        table.add_row(FIGURES[bar.figure], wanted, form.format(got), "yes" if good else "no")
    console.print(table)
    content = {way: known(values) for way, values in ways.items()}
    return {"frames": len(part.data.frames), "ways": content, "bars": bars}


def _by_sequence(
    part: DavisSet, found: Mapping[str, Mapping[int, Detections]], console: Console
) -> dict[str, dict[str, dict[str, float]]]:
    """Figures by sequence and way but AP50, which is a set's."""
    table = _table("sequence by sequence")
    content: dict[str, dict[str, dict[str, float]]] = {}
    for video in part.data.videos:
        alone = DavisSet(with_videos(part.data, [video]), set())
        table.add_section()
        content[video.name] = {}
        for way, ran in found.items():
            values = figures(alone, ran)
            table.add_row(f"{video.name}, {way}", *_cells(values))
            content[video.name][way] = known(values)
    console.print(table)
    return content


def _table(title: str) -> Table:
    table = Table(title=title)
    table.add_column("")
    for name in FIGURES.values():
        table.add_column(name, justify="right")
    return table


def _cells(values: Mapping[str, float]) -> list[str]:
    return [
        f"{value:.2f}" if name == "boxes_per_frame" else number(value)
        for name, value in values.items()
    ]


def _open(options: argparse.Namespace, post: PostName) -> Detector:
    return faim.load(
        options.weights, size=options.size, conf=0.001, device="cpu", backend=options.backend,
        threads=options.threads, post=post,
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--davis", type=Path, help="folder of DAVIS 2016's validation sequences")
    parser.add_argument("--davis-train", type=Path, help="folder of its training sequences")
    parser.add_argument("--weights", type=Path, required=True, help="YOLOX .pth with COCO classes")
    parser.add_argument("--size", type=size, default=416, help="side of the network input (416)")
    parser.add_argument("--backend", choices=("torch", "onnxruntime", "openvino"), default="torch")
    parser.add_argument("--threads", type=whole(1), default=1, help="processor threads (1)")
    parser.add_argument("--by-sequence", action="store_true", help="a table of all sequences too")
    parser.add_argument(
        "--out", type=Path, default=Path("outputs/viewer"), help="for proposals and figures"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
