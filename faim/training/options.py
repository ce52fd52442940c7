"""The options of `faim train`, as YOLOX users know them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from faim.arguments import take_overrides_anywhere
from faim.errors import FaimError
from faim.experiments.file import load_any_experiment
from faim.experiments.overrides import apply_overrides, set_field
from faim.outputs import add_input, add_output, nothing
from faim.training.request import TrainRequest

#: Options that are fields of the experiment: flags, field, help.
_FIELDS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("-b", "--batch-size"),
        "batch_size",
        "items a step over all devices: frames, in the second stage videos of m frames, clips",
    ),
    (("-d", "--devices"), "devices", "number of devices"),
    (("--num-nodes",), "num_nodes", "number of machines"),
    (("-c", "--ckpt"), "ckpt", "weights to start from, .safetensors, .pth or a name"),
    (("-n", "-expn", "--experiment-name"), "name", "name of the output folder"),
    (("--data",), "train_ann", "CocoVID annotation file of the training data"),
    (("--val",), "val_ann", "CocoVID annotation file to evaluate after every epoch"),
    (("--workers",), "workers", "processes that load data"),
    (("--seed",), "seed", "of everything random"),
    (("--precision",), "precision", "32-true, 16-mixed or bf16-mixed"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `faim train` to a parser, and `run`."""
    parser.add_argument(
        "-f",
        "--exp-file",
        "--exp_file",
        required=True,
        help="experiment, as exps/faim_s.py: Python code that is run, so give only files you trust",
    )
    for flags, field, text in _FIELDS:
        spellings = [flag.replace("-", "_").replace("__", "--") for flag in flags if "--" in flag]
        names = dict.fromkeys((*flags, *spellings))
        parser.add_argument(*names, dest=field, help=text)
    parser.add_argument("--fp16", action="store_true", help="short for --precision 16-mixed")
    add_output(
        parser,
        "-o",
        "--output-dir",
        "--output_dir",
        writes=nothing,  # `run_train` claims it: only the experiment knows its default
        type=Path,
        help="folder to write to (runs/NAME)",
    )
    add_input(
        parser,
        "--resume",
        reads=nothing,  # to be replaced is what it is for
        nargs="?",
        const="",
        metavar="CKPT",
        help="go on from a checkpoint (last.ckpt of the output folder)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a training in the output folder"
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="any field of the experiment"
    )
    take_overrides_anywhere(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """`faim train`."""
    # Only here: every command builds all parsers, and the libraries take seconds to import.
    from faim.training.run import run_train

    return run_train(read_options(parsed), parsed)


def read_options(parsed: argparse.Namespace) -> TrainRequest:
    """The experiment file with options and overrides applied, validated.

    Raises:
        FaimError: a wrong file, key or value.
    """
    experiment = load_any_experiment(parsed.exp_file)
    for _, field, _ in _FIELDS:
        text = getattr(parsed, field)
        if text is not None:
            set_field(experiment, field, text)
    if parsed.fp16:
        experiment.precision = "16-mixed"
    overrides, resume = list(parsed.overrides), parsed.resume
    if resume and "=" in resume and not os.path.exists(resume):  # noqa: PTH110
        # `--resume max_epochs=3`: argparse cannot tell the two apart.
        overrides, resume = [resume, *overrides], ""
    apply_overrides(experiment, overrides)
    experiment.validate()
    out = parsed.output_dir or Path("runs") / experiment.name
    # os.path says False to names too long, for which Path's methods raise.
    if os.path.exists(out) and not os.path.isdir(out):  # noqa: PTH110, PTH112
        raise FaimError(f"{out}: is a file; expected a folder to write to")
    checkpoint = None if resume is None else Path(resume) if resume else out / "last.ckpt"
    return TrainRequest(experiment, out, checkpoint, parsed.overwrite)
