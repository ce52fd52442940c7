"""What post-processing does for a detector that looks at every frame alone, on real video.

    python benchmarks/post_processing.py --root DAVIS --weights yolox_nano_coco.pth --size 416

DAVIS is a folder of `JPEGImages`, `Annotations` and `labels.json`; only sequences without other
objects of the annotated class count. Every frame passes the detector once; its boxes are then taken
as they are, through REPP, and through its causal relative.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

import faim
from faim.arguments import size
from faim.data.coco_vid import CocoVid, VideoRecord, read_frame
from faim.data.converters.davis import convert_davis
from faim.errors import FaimError
from faim.evaluation.average_precision import evaluate_ap
from faim.evaluation.classes import ClassMatch, OtherClasses
from faim.evaluation.stability import stability
from faim.evaluation.viewer import viewer_figures
from faim.nn.nms import detections_of
from faim.postprocess.causal import CausalRepp
from faim.postprocess.pairs import PairModel
from faim.postprocess.repp import Repp
from faim.runtime.pipeline import Detector
from faim.stream.steps import in_source
from faim.structures import Detections, ScoredBoxes
from lab.looking import for_links, looked

Video = list[ScoredBoxes]
Post = Callable[[Video, tuple[int, int]], Video]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit status 2 after wrong input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="DAVIS folder")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--size", type=size, help="network input")
    parser.add_argument("--post-model", type=Path, help="what `faim repp fit` wrote")
    try:
        run(parser.parse_args(arguments))
    except FaimError as error:
        print(f"post_processing: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """Detect once, post-process in each way and print the table."""
    model = PairModel() if options.post_model is None else PairModel.from_json(options.post_model)
    detector = faim.load(options.weights, aggregate="none", size=options.size, backend="torch")
    with tempfile.TemporaryDirectory() as folder:
        data = CocoVid(convert_davis(options.root, Path(folder) / "davis.json", clean_only=True))
        shown = track(data.videos, "videos", transient=True)
        scored = [look(detector, video) for video in shown]
    table = Table(title=f"{Path(options.weights).name}, {len(data.frames)} frames, mode frame")
    for name in (
        "post-processing",
        "AP50",
        "AP75",
        "AP",
        "found %",
        "flips per 100",
        "wrong labels %",
        "boxes a frame",
        "ms a frame",
    ):
        table.add_column(name, justify="left" if name == "post-processing" else "right")
    posts: dict[str, Post] = {
        "none": lambda frames, size: frames,
        "repp": Repp(model=model).apply,
        "causal": CausalRepp(model=model).apply,
    }
    for name, post in posts.items():
        table.add_row(name, *(f"{value:.2f}" for value in measure(detector, data, scored, post)))
    Console().print(table)


def look(detector: Detector, video: VideoRecord) -> Video:
    """The scored boxes of every frame by itself."""
    model, kept = detector.model.alone(), for_links(detector)
    images = [read_frame(frame) for frame in video.frames]
    items = looked(detector, images, detector.batch_size)
    return [in_source(model.step(item.seen, None, kept)[0], item.geometry) for item in items]


def measure(
    detector: Detector, data: CocoVid, scored: Sequence[Video], post: Post
) -> tuple[float, ...]:
    """AP50, AP75, AP, percent found, flips, percent of wrong labels, boxes and ms a frame."""
    classes = ClassMatch(detector.class_names, data)
    others = OtherClasses(classes.others)
    detections: dict[int, Detections] = {}
    seconds = 0.0
    for video, frames in zip(data.videos, scored, strict=True):
        start = time.perf_counter()
        result = post(frames, (video.frames[0].height, video.frames[0].width))
        seconds += time.perf_counter() - start
        for frame, boxes in zip(video.frames, result, strict=True):
            one = detections_of(boxes, detector.traits.least_score)
            own, rest = classes.split(one)
            detections[frame.image_id], others.detections[frame.image_id] = own, rest
    ap, steady = evaluate_ap(data, detections), stability(data, detections)
    ms = 1000 * seconds / len(data.frames)
    shown = viewer_figures(data, detections, others)
    return (
        *(ap.ap50, ap.ap75, ap.ap50_95, steady.found_share, steady.flips_per_100),
        *(shown.wrong_labels, shown.boxes_per_frame, ms),
    )


if __name__ == "__main__":
    sys.exit(main())
