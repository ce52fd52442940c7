"""Does the quality of masks reach the detector? Their J, and AP of FAIM-Nano trained with them.

    python benchmarks/mask_quality.py --out outputs/mask_quality --checkpoint boxvos.safetensors \
        --jobs 2 --json mask_quality.json
    python benchmarks/mask_quality.py --methods grabcut video:frames=1 video:frames=9 \
        --checkpoint boxvos.safetensors --out outputs/mask_quality

On generated video (SynthVID, hard). Every training starts from the base detector of the embedded
weights, which stays as it is, and sees the same frames in the same order; of one seed they differ
in their masks alone. `none` has boxes only and lambda = 0, `true` the generator's masks. With
`--start-steps` they share a first training without masks, so that what they begin with is not what
sets them apart. What is finished is kept in the output folder, where the same command goes on, with
other methods too.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from faim.arguments import path, whole
from faim.families.yolox.checkpoint import load_model, save_checkpoint
from faim.files import check_writable, write_json
from faim.machine import machine
from faim.reading import read_json
from faim.weights import default_weights
from lab.jobs import (
    Job,
    collect,
    command,
    digest,
    generation,
    read_figures,
    results,
    train_and_score,
)
from lab.masks import make_masks, sources
from lab.results import Kept, status_of
from studies.mask_quality.plan import (
    SIZE,
    check_training,
    evaluation,
    starting,
    training,
)
from studies.mask_quality.report import print_report, summary

#: Of the generator. Neither the embedded weights nor the choice of settings saw the test videos.
TRAIN_SEED, TEST_SEED = 5000, 6000
#: Characters that the tables take.
LEAST_WIDTH = 110


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished yet; exit status 2 after wrong input, 130 after Ctrl-C."""
    return status_of("mask_quality", lambda: run(_parser().parse_args(arguments)))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Make data and masks, train and evaluate, print the tables, write the JSON file if asked for.

    Raises:
        FaimError: a wrong option, a command that fails, or a folder with results of other settings.
    """
    found, seeds = sources(options), list(dict.fromkeys(options.seeds))
    check_training(options)
    for file in (options.json, options.out / "base.safetensors"):
        if file:
            check_writable(file)
    kept = Kept(options.out)
    data = make_data(options, kept)
    starts = make_starts(options, kept)
    masks = {each.name: make_masks(each, options.out, kept) for each in found if each.is_made}
    jobs = [training(each, seed, options) for seed in seeds for each in found]
    rows = collect(results(jobs, options.jobs, kept, read_ap), jobs)
    report = {
        "summary": {name: summary(row, rows["none"]) for name, row in rows.items()},
        "data": data,
        "starts": starts,
        "masks": masks,
        "rows": rows,
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


def make_data(options: argparse.Namespace, kept: Kept) -> dict[str, Any]:
    """Generate training and test set; `train/boxes.json` is the first without its masks."""
    sets = {"train": (options.videos, TRAIN_SEED), "test": (options.test_videos, TEST_SEED)}
    made = {}
    for name, (videos, seed) in sets.items():
        line = generation(options.out / name, videos, options.frames, SIZE, seed)
        made[name] = kept.get(name, [shlex.join(line)], partial(command, line))
    content = read_json(options.out / "train/annotations.json")
    for annotation in content["annotations"]:
        annotation.pop("segmentation", None)
    write_json(options.out / "train/boxes.json", content)
    return made


def make_starts(options: argparse.Namespace, kept: Kept) -> dict[str, Any]:
    """What trainings start from: the base detector and, with `--start-steps`, a first training.

    The base detector's stream and global mode are those of training-free aggregation.
    """
    weights, file = options.weights or default_weights(), options.out / "base.safetensors"
    score = evaluation(file, options.out, options.out / "base_figures.json")

    def make() -> dict[str, Any]:
        save_checkpoint(file, load_model(weights, aggregate="none"))
        command(score)
        return read_figures(options.out / "base_figures.json")

    found = {"base": kept.get("base", [digest(weights), shlex.join(score)], make)}
    if options.start_steps:
        job = starting(options)
        found["start"] = kept.get("start", job.recipe, partial(train_and_score, job, read_ap))
    return found


def read_ap(job: Job) -> dict[str, Any]:
    """A job's result: average precision of stream and global mode."""
    return read_figures(job.figures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=path, required=True, help="folder, gone on with")
    parser.add_argument(
        "--methods", nargs="+", metavar="M", help="NAME or NAME:key=value,… (box grabcut, and "
        "video if it has a checkpoint); none and true are always there"
    )  # fmt: skip
    parser.add_argument("--checkpoint", type=path, help="weights of method video")
    parser.add_argument("--weights", type=path, help="whose base detector (the embedded ones)")
    parser.add_argument("--seeds", type=whole(0), nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=whole(1), default=480, help="of a training (480)")
    parser.add_argument(
        "--start-steps", type=whole(0), default=0,
        help="of one training with lambda = 0 that all others go on from (0)",
    )  # fmt: skip
    parser.add_argument("--batch", type=whole(1), default=2, help="videos a step (2)")
    parser.add_argument("--lr", type=float, default=2e-3, help="learning rate of a step (2e-3)")
    parser.add_argument("--videos", type=whole(1), default=60, help="of the training set (60)")
    parser.add_argument("--test-videos", type=whole(1), default=30)
    parser.add_argument("--frames", type=whole(1), default=32, help="a video (32)")
    parser.add_argument("--mask-weight", type=float, default=1.0, help="lambda (1)")
    parser.add_argument("--jobs", type=whole(1), default=1, help="trainings at once (1)")
    parser.add_argument("-f", "--exp-file", type=path, default=Path("exps/faim_nano.py"))
    parser.add_argument("--json", type=path, metavar="FILE", help="write all figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
