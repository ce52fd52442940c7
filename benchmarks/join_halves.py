"""How much TICAM's decision counts beside the base detector's scores, chosen on training videos.

    python benchmarks/join_halves.py -f exps/faim_nano.py --weights yolox_nano_coco.pth \
        --data outputs/real_video/train/annotations.json --out outputs/halves \
        model.join=correction "sizes=(416,)" …

Trains on each half of the videos, every class shared out as evenly as it goes, with the settings
that follow the options. TICAM's logits on the videos of the other half, as a stream, are then
joined with the base detector's scores at every setting of a grid: of a correction how much it
raises and lowers scores (`model.correction_up`, `model.correction_down`), of a geometric mean the
base detector's share (`model.base_share`). Chosen is the setting that gains most over the base
detector, in objects found, AP50 and F1 of the boxes that are shown together, of those at which no
video loses more than `MOST_LOST` points of found. The videos that the weights are for have no part
in it. A half needs twice the epochs for as many steps as the whole training is to have; with fewer,
its corrections are smaller and the factors come out larger than the whole needs. What is finished
is kept in the output folder, where the same command goes on.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torchvision.ops import box_iou

from faim.arguments import path, whole
from faim.data.coco_vid import CocoVid, VideoRecord
from faim.errors import FaimError
from faim.evaluation.modes import LookedVideo, ModeRunner
from faim.evaluation.stability import IOU_FOUND, SCORE_FOUND
from faim.families.yolox.checkpoint import load_model
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.join import Join
from faim.families.yolox.ticam_detector import TicamDetector
from faim.files import check_writable, write_json
from faim.nn.nms import scored_boxes
from faim.nn.ticam import TicamEntry
from faim.reading import read_json
from faim.stream.memory import MemoryBank
from faim.structures import Detections, Proposals
from lab.jobs import command, digest
from lab.partial_labels import figures, found_by_video
from lab.results import Kept, status_of
from lab.subsets import part

#: Points of found that no video may lose.
MOST_LOST = 2.0
UPS, DOWNS = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0), (0.0, 0.25, 0.5, 1.0)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
BASE = "base detector"
#: Figures that are compared, and what the table calls them; and those that decide.
GAINS = {"found_share": "found", "ap50": "AP50", "ap75": "AP75", "f1": "F1"}
CHOSEN_BY = ("found_share", "ap50", "f1")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished yet; exit status 2 after wrong input, 130 after Ctrl-C."""
    return status_of("join_halves", lambda: run(_parser().parse_args(arguments)))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Train and score both halves, print the table, write the JSON file if asked for.

    Raises:
        FaimError: a wrong option, a training that fails, weights whose join has nothing to choose.
    """
    if options.json:
        check_writable(options.json)
    kept = Kept(options.out)
    halves = write_halves(options)
    found = [
        kept.get(f"scores_{k}", _recipe(options, k), partial(score_half, options, k))
        for k in range(2)
    ]
    rows = pooled([half["rows"] for half in found])
    report = {"halves": halves, "rows": rows, "chosen": choose(rows), "seconds": kept.seconds}
    print_rows(report, Console(width=max(Console().width, 110)))
    if options.json:
        write_json(options.json, {**report, "by_half": found})
    return report


def write_halves(options: argparse.Namespace) -> list[list[str]]:
    """A CocoVID file of each half in the output folder; returns the names of their videos."""
    data, content = CocoVid(options.data), read_json(options.data)
    for image in content["images"]:
        image["file_name"] = str((options.data.parent / image["file_name"]).resolve())
    halves = split({video.name: classes_of(data, video) for video in data.videos}, options.seed)
    for number, names in enumerate(halves):
        file = _annotations(options, number)
        check_writable(file)
        write_json(file, part(content, names))
    return halves


def split(classes: Mapping[str, Sequence[str]], seed: int) -> list[list[str]]:
    """Names of videos in two halves.

    Args:
        classes: of each video the classes that it has objects of; the most frequent class of all
            decides where several could.
        seed: shuffles the videos.
    """
    frequency = Counter(name for names in classes.values() for name in names)
    main_class = {
        video: max(names, key=lambda name: (frequency[name], name), default="")
        for video, names in classes.items()
    }
    groups: dict[str, list[str]] = {}
    for video in sorted(classes):
        groups.setdefault(main_class[video], []).append(video)
    chance, halves = random.Random(seed), list[list[str]](([], []))
    for _, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        alike = [0, 0]
        for video in chance.sample(group, len(group)):
            sizes = [(alike[number], len(halves[number])) for number in range(2)]
            fewer = chance.randrange(2) if sizes[0] == sizes[1] else sizes.index(min(sizes))
            alike[fewer] += 1
            halves[fewer].append(video)
    return halves


def score_half(options: argparse.Namespace, number: int) -> dict[str, Any]:
    """Train on a half and score the other; figures by setting, as `rows`."""
    folder, own = options.out / f"run_{number}", _annotations(options, number)
    train = ["train", "-f", f"{options.exp_file}", "-c", f"{options.weights}", "--data", f"{own}"]
    command([*train, "-o", f"{folder}", "--overwrite", *options.settings])
    data, seen = CocoVid(_annotations(options, 1 - number)), CocoVid(own)
    shared = _there(data) & _there(seen)
    names = [name for name in data.classes if name in shared]
    if not names:
        raise FaimError(f"{options.data}: its halves share no class; expected more videos of one")
    clean = {video.name for video in data.videos} - set(options.unlabelled)
    with torch.inference_mode():
        found = detections(load_model(folder / "weights.safetensors"), data, names)
    there = [video.name for video in data.videos if {*classes_of(data, video)} & {*names}]
    rows = {}
    for setting, seen_as in found.items():
        each = found_by_video(data, seen_as)
        rows[setting] = {
            **figures(data, seen_as, frozenset(clean), names),
            "f1": shown_f1(data, seen_as, clean & {*there}),
            "found": {name: each[name] for name in there},
        }
    return {"classes": names, "rows": rows}


def shown_f1(data: CocoVid, detections: Mapping[int, Detections], videos: Set[str]) -> float:
    """F1 in percent of the boxes that are shown, in each frame of the classes labelled in it.

    A box counts once: of several on one object all but one are false.
    """
    objects = shown = right = 0
    for frame in (f for video in data.videos if video.name in videos for f in video.frames):
        found = detections[frame.image_id]
        found = found[found.scores >= SCORE_FOUND]
        for label in {a.category_id for a in frame.annotations}:
            truth = torch.tensor([a.box for a in frame.annotations if a.category_id == label])
            boxes = found.boxes[found.class_ids == label]
            covered = box_iou(truth, boxes) >= IOU_FOUND
            objects, shown = objects + len(truth), shown + len(boxes)
            right += min(int(covered.any(dim=0).sum()), int(covered.any(dim=1).sum()))
    return 200 * right / (objects + shown) if objects + shown else 0.0


def detections(model: Any, data: CocoVid, names: Sequence[str]) -> dict[str, dict[int, Detections]]:
    """What streams of a model find of some classes, by setting and image id.

    Args:
        model: trained, in eval mode.
        data: the videos.
        names: of the classes.

    Raises:
        FaimError: the model has no TICAM, or its join has nothing to choose.
    """
    if not isinstance(model, TicamDetector):
        raise FaimError("--exp-file: trains no TICAM; expected FAIM or YOLOV")
    rules = settings_of(model.config)
    runner = ModeRunner(model, data, ())
    judged = torch.tensor([name in names for name in model.config.class_names])
    found: dict[str, dict[int, Detections]] = {BASE: {}, **{name: {} for name in rules}}
    for record in data.videos:
        video = runner.look(record, lambda: None)
        for place, logits in enumerate(stream_logits(model, video, runner)):
            proposals, geometry = video.seen[place], video.geometries[place]
            assert isinstance(proposals, Proposals)
            scores = proposals.class_scores
            joined = {BASE: scores} | {
                name: rule.probabilities(logits, scores, model.ticam.refined)
                for name, rule in rules.items()
            }
            for name, probabilities in joined.items():
                scored = scored_boxes(
                    proposals,
                    probabilities * judged,
                    score_threshold=model.traits.least_score,
                    nms_threshold=model.traits.iou,
                )
                kept = runner.detections(scored, geometry)
                found[name][record.frames[place].image_id] = kept
    return found


def stream_logits(model: TicamDetector, video: LookedVideo, runner: ModeRunner) -> list[Tensor]:
    """TICAM's of each frame of a video, (n, C), as it comes."""
    bank: MemoryBank[TicamEntry] = MemoryBank(runner.past, runner.policy)
    logits = []
    for proposals in video.seen:
        assert isinstance(proposals, Proposals)
        found, entry = model.ticam.step(proposals, bank.stacked())
        bank.append(entry)
        logits.append(found)
    return logits


def settings_of(config: FaimConfig) -> dict[str, Join]:
    """The rules to compare, by the settings of a training that has them."""
    if config.join == "correction":
        return {
            f"model.correction_up={up:g} model.correction_down={down:g}": Join(
                "correction", up=up, down=down
            )
            for up in UPS
            for down in DOWNS
        }
    if config.join == "mean":
        return {f"model.base_share={share:g}": Join("mean", share) for share in SHARES}
    raise FaimError(
        f"model.join={config.join}: nothing to choose; expected correction or mean (see `faim "
        "train`'s log for why; model.join= names one)"
    )


def pooled(halves: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each setting what it gains over the base detector, the mean of both halves.

    Returns:
        By setting the `GAINS` in points, and `worst`: the least gain of found of a video, and its
        name as `video`.
    """
    rows = {}
    for setting in halves[0]:
        gains = {
            figure: mean(half[setting][figure] - half[BASE][figure] for half in halves)
            for figure in GAINS
        }
        worst, video = min(
            (half[setting]["found"][name] - alone, name)
            for half in halves
            for name, alone in half[BASE]["found"].items()
        )
        rows[setting] = {**gains, "worst": worst, "video": video}
    return rows


def choose(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The setting that gains most and at which no video loses more than `MOST_LOST`."""
    sound = [name for name, row in rows.items() if row["worst"] >= -MOST_LOST]
    return max(sound, key=lambda name: sum(rows[name][figure] for figure in CHOSEN_BY))


def print_rows(report: Mapping[str, Any], console: Console) -> None:
    """The table of `pooled`, and what is chosen."""
    table = Table(title="gains over the base detector, mean of both halves")
    table.add_column("setting", no_wrap=True)
    for name in (*GAINS.values(), "worst video: found"):
        table.add_column(name, justify="right")
    for setting, row in report["rows"].items():
        gains = (f"{row[figure]:+.2f}" for figure in GAINS)
        table.add_row(setting, *gains, f"{row['worst']:+.1f} ({row['video']})")
    console.print(table)
    console.print(f"chosen: {report['chosen']}", soft_wrap=True)


def classes_of(data: CocoVid, video: VideoRecord) -> list[str]:
    """Names of the classes that a video has objects of."""
    labels = {a.category_id for frame in video.frames for a in frame.annotations}
    return [data.classes[label] for label in sorted(labels)]


def _there(data: CocoVid) -> set[str]:
    return {name for video in data.videos for name in classes_of(data, video)}


def _annotations(options: argparse.Namespace, number: int) -> Path:
    file: Path = options.out / f"half_{number}.json"
    return file


def _recipe(options: argparse.Namespace, number: int) -> list[str]:
    files = map(digest, (options.exp_file, options.weights, options.data))
    return [f"half {number}, seed {options.seed}", *options.settings, *options.unlabelled, *files]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("-f", "--exp-file", type=path, required=True, help="experiment of the second stage")
    add("--weights", type=path, required=True, help="base detector")
    add("--data", type=path, required=True, help="CocoVID file of the training videos")
    add("--out", type=path, required=True, help="folder, gone on with")
    add("--unlabelled", nargs="*", default=[], metavar="VIDEO", help="videos whose labels leave "
        "out objects of their class, or cover more than them: no AP and F1 of these")  # fmt: skip
    add("--seed", type=whole(0), default=0, help="of the halves (0)")
    add("--json", type=path, metavar="FILE", help="write all figures as JSON")
    add("settings", nargs="*", metavar="key=value", help="of both trainings")
    return parser


if __name__ == "__main__":
    sys.exit(main())
