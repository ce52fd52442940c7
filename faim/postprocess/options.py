"""Options of `faim repp`, and of post-processing in other commands."""

from __future__ import annotations

import argparse
from typing import get_args

from faim.arguments import path, share, whole
from faim.choices import PostName
from faim.groups import PostOptions
from faim.outputs import add_output


def add_post_options(parser: argparse.ArgumentParser) -> None:
    """--post and --post-model."""
    group = parser.add_argument_group("post-processing")
    group.add_argument(
        "--post",
        choices=get_args(PostName),
        default="auto",
        help="repp: with modes global and frame, after all frames; causal: with mode stream "
        "(auto: causal in streams, repp over whole files, unless frames are not to help each "
        "other; in faim eval causal in streams alone)",
    )
    group.add_argument(
        "--post-model", type=path, metavar="JSON", help="what `faim repp fit` wrote (published)"
    )


def post_options(parsed: argparse.Namespace) -> PostOptions:
    """What `add_post_options` declares."""
    return PostOptions(parsed.post, parsed.post_model)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions of `faim repp`."""
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    fit = actions.add_parser("fit", help="learn the pair model from annotated video")
    fit.add_argument("annotations", type=path, help="CocoVID with instance ids")
    add_output(fit, "--out", type=path, required=True, metavar="JSON")
    fit.add_argument(
        "--max-gap", type=whole(1), default=1, metavar="N", help="frames within a pair (1)"
    )
    fit.add_argument(
        "--jitter", type=share, default=0.1, help="noise on the boxes, share of their sides (0.1)"
    )
    fit.add_argument("--seed", type=whole(0), default=0, help="of the choice of pairs (0)")
    fit.set_defaults(run=run_fit)


def run_fit(parsed: argparse.Namespace) -> int:
    """`faim repp fit`."""
    from dataclasses import asdict

    from faim.postprocess.fit import fit_pair_model

    fit = fit_pair_model(
        parsed.annotations, max_gap=parsed.max_gap, jitter=parsed.jitter, seed=parsed.seed
    )
    fit.model.to_json(parsed.out)
    for name, value in asdict(fit.model).items():
        print(f"{name:16}{value:10.4f}")
    print(
        f"{fit.positives} pairs of one object and {fit.negatives} of two; "
        f"{100 * fit.accuracy:.2f}% told rightly"
    )
    print(f"wrote {parsed.out}")
    return 0
