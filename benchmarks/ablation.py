"""What each part of FAIM is worth, on generated video: one command, from data to tables.

    python benchmarks/ablation.py --preset small --out outputs/ablation --jobs 2 --docs docs
    python benchmarks/ablation.py --preset full --out outputs/ablation_full --docs docs

All rows start from the same frozen base detector, the embedded weights' (`small`) or one trained
here from random weights (`full`), and take as many steps of as many videos; trainings of one seed
see the same frames in the same order unless m differs. What is finished is kept in the output
folder, where the same command goes on. With `--docs` the tables go into `results.md` between two
marks, all figures into `ablation.json`, and the picture into `images/ablation.png`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from faim.arguments import path, whole
from faim.families.yolox.checkpoint import load_model, save_checkpoint
from faim.files import check_writable, write_json
from faim.machine import machine
from faim.weights import default_weights
from lab.jobs import Job, command, digest, generation, has_figures, results
from lab.results import Kept, status_of
from studies.ablation.figures import FIGURES, read_evaluation, read_row
from studies.ablation.plan import (
    LONG_FRAMES,
    LONG_SEED,
    PRESETS,
    REFERENCE,
    TEST_FRAMES,
    TEST_SEED,
    TRAIN_SEED,
    Preset,
    base_training,
    chosen_rows,
    evaluation,
    jobs_of,
    proposals_jobs,
    reference_jobs,
)
from studies.ablation.report import check_docs, print_report, report_of, write_docs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not finished yet; exit status 2 after wrong input, 130 after Ctrl-C."""
    return status_of("ablation", lambda: run(_parser().parse_args(arguments)))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Make data and base detector, train and evaluate the rows, print and write the tables.

    Raises:
        FaimError: a wrong option, a command that fails, or a folder with results of other settings.
    """
    options.chosen = PRESETS[options.preset]
    rows = chosen_rows(options.rows, whole=options.chosen.whole)
    check_writable(options.out / "base.safetensors")
    if options.docs:
        check_docs(options.docs)
    kept = Kept(options.out)
    make_data(options, kept)
    base = make_base(options, kept)
    jobs = jobs_of(rows, options)
    found: dict[str, dict[str, Any]] = {}
    for job, content in results(jobs, options.jobs, kept, read_row, FIGURES):
        found.setdefault(job.row, {})[str(job.seed)] = dict(content)
    trained = next(job for job in jobs if job.row == REFERENCE)
    report = {
        "preset": options.preset,
        "settings": vars(options.chosen),
        "base": base,
        "rows": {row.name: found[row.name] for row in rows},
        **({} if options.rows_only else curves(trained, options, kept)),
        "commands": {job.run.name: job.recipe for job in jobs},
        "machine": machine(),
        "seconds": kept.seconds,
    }
    report |= report_of(report)
    print_report(report)
    if options.json:
        write_json(options.json, report)
    if options.docs:
        write_docs(options.docs, report)
    return report


def curves(trained: Job, options: argparse.Namespace, kept: Kept) -> dict[str, Any]:
    """What a training reaches by the number of `proposals`, and by kind and number of `references`.

    Both by mode, or the mode's figures.
    """
    proposals, others = proposals_jobs(trained, options), reference_jobs(trained, options)
    evaluations = [*proposals.values(), *others.values()]
    ran = results(evaluations, options.jobs, kept, read_row, FIGURES)
    done = {job.run: content for job, content in ran}
    references: dict[str, dict[str, Any]] = {}
    for (kind, m), job in others.items():
        (references.setdefault(kind, {})[m],) = done[job.run]["modes"].values()
    found = {n: done[job.run]["modes"] for n, job in proposals.items()}
    return {"proposals": found, "references": references}


def make_data(options: argparse.Namespace, kept: Kept) -> None:
    """Generate the training set, the test set, and long videos for the comparison of references."""
    preset: Preset = options.chosen
    for name, videos, frames, seed in (
        ("train", preset.videos, preset.frames, TRAIN_SEED),
        ("test", preset.test_videos, TEST_FRAMES, TEST_SEED),
        ("long", preset.long_videos, LONG_FRAMES, LONG_SEED),
    ):
        line = generation(options.out / name, videos, frames, preset.size, seed)
        kept.get(name, [shlex.join(line)], partial(command, line))


def make_base(options: argparse.Namespace, kept: Kept) -> dict[str, Any]:
    """The base detector, `base.safetensors`, and its figures.

    Its stream and global mode are those of training-free aggregation (affinity).
    """
    preset: Preset = options.chosen
    file, given = options.out / "base.safetensors", options.weights
    if given is None and not preset.base:
        given = default_weights()
    lines = [] if given else base_training(options)
    score = evaluation(file, options.out / "test", preset, options.out / "base/eval")
    read = partial(
        read_evaluation, options.out / "base/eval", options.out / "test/annotations.json"
    )

    def make() -> dict[str, Any]:
        for line in lines:
            command(line)
        trained = given or options.out / "runs/yolox_nano_synthvid/weights.safetensors"
        save_checkpoint(file, load_model(trained, aggregate="none"))
        command(score)
        return read()

    recipe = [*([digest(given)] if given else []), *map(shlex.join, (*lines, score))]
    found = kept.get("base", recipe, make)
    if has_figures(found, FIGURES):
        return found
    return kept.add("base", recipe, {**read(), "seconds": found["seconds"]})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=path, required=True, help="folder, gone on with")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="small")
    parser.add_argument(
        "--rows",
        nargs="+",
        metavar="NAME",
        help="some of the tables' rows; FAIM is always there (all; in `small` the quick ones)",
    )
    parser.add_argument(
        "--seeds", type=whole(0), nargs="+", help="of all rows (the preset's: three for the first "
        "table, in `small` one for the others)"
    )  # fmt: skip
    parser.add_argument(
        "--rows-only", action="store_true", help="leave out the curves of proposals and references"
    )
    parser.add_argument("--steps", type=whole(1), help="of a training (the preset's)")
    parser.add_argument("--weights", type=path, help="whose base detector to take")
    parser.add_argument("--jobs", type=whole(1), default=1, help="trainings at once (1)")
    parser.add_argument("--json", type=path, metavar="FILE", help="write all figures as JSON")
    parser.add_argument(
        "--docs", type=Path, metavar="DIR", help="write results.md, ablation.json and the picture"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
