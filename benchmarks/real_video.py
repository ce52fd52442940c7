"""FAIM-Nano trained on real video: does it beat the base detector's training-free mode?

    python benchmarks/real_video.py --davis-train DAVIS_TRAIN --davis DAVIS \
        --weights yolox_nano_coco.pth --out outputs/real_video --jobs 2 --json real_video.json

On a frozen YOLOX-Nano of COCO, trained on the sequences of DAVIS 2016's training set that have a
COCO class and scored on those of its validation set, in the classes that both have. Rows: FAIM
without masks (`none`, lambda = 0), with those of every method and the true ones; YOLOV; FAIM whose
TICAM corrects the base detector's scores (`model.join=correction`) or is kept at them where no
label is (`model.retention_weight`); and FAIM with true masks on fewer sequences, which the seed
draws.
Beside them the base detector frame by frame and with what needs no training.

A frame has one labelled object. Objects without a label are no background in training, and classes
without an object there keep the base detector's scores. The share of frames in which objects are
found and their flips are taken over all sequences, AP over those without unlabelled objects of
their class. What is finished is kept in the output folder, where the same command goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from faim.arguments import path, whole
from faim.data.coco_vid import CocoVid
from faim.data.converters.davis import convert_davis
from faim.families.yolox.checkpoint import load_checkpoint
from faim.files import check_writable, write_json
from faim.machine import machine
from faim.reading import read_json
from lab.jobs import Job, collect, digest, kept_result, results, train_and_score
from lab.masks import NONE, make_masks
from lab.partial_labels import FIGURES
from lab.results import Kept, status_of
from lab.subsets import part
from studies.real_video.figures import Scoring, read_scores
from studies.real_video.plan import (
    BASE,
    TRAINED,
    Label,
    Row,
    class_groups,
    epochs_of,
    first_sequences,
    read_labels,
    rows,
    training,
    without_training,
)
from studies.real_video.report import print_report, summary

#: Characters that the tables take.
LEAST_WIDTH = 190


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished yet; exit status 2 after wrong input, 130 after Ctrl-C."""
    return status_of("real_video", lambda: run(_parser().parse_args(arguments)))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Make data and masks, train and evaluate, print the tables, write the JSON file if asked for.

    Raises:
        FaimError: a wrong option, a command that fails, or a folder with results of other settings.
    """
    train = read_labels(options.davis_train, options.sequences, unions=not options.without_unions)
    val = read_labels(options.davis, options.val_sequences, unions=True)
    planned, groups = rows(options, train), class_groups(train, val)
    for file in filter(None, (options.json, options.out / "data.json")):
        check_writable(file)
    kept = Kept(options.out)
    data = make_data(options, train, val, kept)
    clean = frozenset(name for name, label in val.items() if label.clean)
    scoring = Scoring(options.out / "val/annotations.json", clean, groups)
    base = make_base(options, scoring, kept)
    sources = {row.name: row.source for row in planned if row.source.is_made}
    masks = {name: make_masks(source, options.out, kept) for name, source in sources.items()}
    jobs, steps = trainings(options, planned)
    read = partial(read_scores, scoring=scoring, places=TRAINED)
    found = collect(results(jobs, options.jobs, kept, read, FIGURES), jobs)
    report = {
        "summary": {name: summary(row, found[NONE], base) for name, row in found.items()},
        "classes": groups,
        "clean": sorted(clean),
        "data": data,
        "base": base,
        "masks": masks,
        "rows": found,
        "steps": steps,
        "commands": {job.run.name: job.recipe for job in jobs},
        "machine": machine(),
        "seconds": kept.seconds,
    }
    console = Console()
    console.width = max(console.width, LEAST_WIDTH)
    print_report(report, console)
    if options.json:
        write_json(options.json, report)
    return report


def make_data(
    options: argparse.Namespace, train: Mapping[str, Label], val: Mapping[str, Label], kept: Kept
) -> dict[str, Any]:
    """Both sets with the categories of the weights; `train/boxes.json` is without masks."""
    sets = {"train": (options.davis_train, train), "val": (options.davis, val)}

    def make() -> dict[str, Any]:
        classes = load_checkpoint(options.weights)[0].class_names
        found: dict[str, Any] = {}
        for name, (root, labels) in sets.items():
            sequences = {sequence: label.name for sequence, label in labels.items()}
            file = options.out / name / "annotations.json"
            check_writable(file)
            data = CocoVid(convert_davis(root, file, classes=classes, sequences=sequences))
            found[name] = {"sequences": sequences, "frames": len(data.frames)}
        content = read_json(options.out / "train/annotations.json")
        for annotation in content["annotations"]:
            annotation.pop("segmentation", None)
        write_json(options.out / "train/boxes.json", content)
        return found

    recipe = [f"{name}: {root} {sorted(labels)}" for name, (root, labels) in sets.items()]
    return kept.get("data", [*recipe, digest(options.weights)], make)


def trainings(
    options: argparse.Namespace, planned: Sequence[Row]
) -> tuple[list[Job], dict[str, dict[str, int]]]:
    """All jobs, seed by seed, and their steps by row and seed; writes what fewer sequences need."""
    content = read_json(options.out / "train/annotations.json")
    frames = {
        video["name"]: sum(image["video_id"] == video["id"] for image in content["images"])
        for video in content["videos"]
    }
    jobs, steps = [], {row.name: dict[str, int]() for row in planned}
    for seed in dict.fromkeys(options.seeds):
        for row in planned:
            chosen = first_sequences([*frames], row.sequences or len(frames), seed)
            if row.sequences is not None:
                write_json(row.annotations(options.out, seed), part(content, chosen))
            epochs, count = epochs_of([frames[name] for name in chosen], options)
            steps[row.name][str(seed)] = count
            jobs.append(training(row, seed, epochs, options))
    return jobs, steps


def make_base(options: argparse.Namespace, scoring: Scoring, kept: Kept) -> dict[str, Any]:
    """Figures of the base detector by mode."""
    job = without_training(options)
    read = partial(read_scores, scoring=scoring, places=BASE)
    found = kept_result(job, "base", kept, read, FIGURES)
    if found is None:
        found = kept.add("base", job.recipe, train_and_score(job, read))
    return dict(found["modes"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--davis-train", type=path, required=True, help="DAVIS 2016's training sequences")
    add("--davis", type=path, required=True, help="its validation sequences")
    add("--weights", type=path, required=True, help="YOLOX-Nano of COCO")
    add("--out", type=path, required=True, help="folder, gone on with")
    add(
        "--methods", nargs="+", metavar="M", help="of masks: NAME or NAME:key=value,… (box "
        "grabcut, and video if it has a checkpoint); none and true are always there"
    )  # fmt: skip
    add("--boxvos", "--checkpoint", dest="checkpoint", type=path, help="weights of method video")
    add("--rows", nargs="+", metavar="ROW", help="these and `none` (all)")
    add("--curve", type=whole(1), nargs="*", default=[5, 10, 20], help="sequences (5 10 20)")
    add("--seeds", type=whole(0), nargs="+", default=[0, 1, 2])
    add("--steps", type=whole(1), default=390, help="of a training, to whole epochs (390)")
    add("--batch", type=whole(1), default=2, help="videos a step (2)")
    add("--lr", type=float, default=2e-3, help="learning rate of a step (2e-3)")
    add("--mask-weight", type=float, default=1.0, help="lambda (1)")
    add("--stride", type=whole(1), default=1, help="every how many frames train (1)")
    add("--without-unions", action="store_true", help="train without masks of two things")
    add("--sequences", nargs="+", metavar="NAME", help="of training (all with a COCO class)")
    add("--val-sequences", nargs="+", metavar="NAME", help="of validation (likewise)")
    add("--cache-base", type=float, default=0.0, metavar="GB", help="see docs/training.md (0)")
    add("--jobs", type=whole(1), default=1, help="trainings at once (1)")
    add("-f", "--exp-file", type=path, default=Path("exps/faim_nano.py"))
    add("--yolov-file", type=path, default=Path("exps/yolov_nano.py"))
    add("--json", type=path, metavar="FILE", help="write all figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
