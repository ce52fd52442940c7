"""Options of `faim eval`."""

from __future__ import annotations

import argparse

from faim.arguments import (
    MOST_BANK,
    add_backend_options,
    add_bank_options,
    add_network_options,
    backend_options,
    path,
    share,
    whole,
)
from faim.groups import MemoryOptions
from faim.outputs import add_output, run_files
from faim.postprocess.options import add_post_options, post_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser, and `run`."""
    parser.add_argument("-f", "--exp-file", type=path, help="experiment file (for its data)")
    parser.add_argument("-c", "--ckpt", "--weights", dest="weights", help="checkpoint or name")
    parser.add_argument("--data", type=path, help="CocoVID annotation file")
    parser.add_argument("--mode", choices=("frame", "stream", "global", "all"), default="all")
    add_network_options(parser)
    parser.add_argument(
        "--sampling",
        choices=("global", "uniform", "shuffled", "local"),
        default="uniform",
        help="which frames global mode looks at together; global is uniform",
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="of shuffled sampling (0)")
    parser.add_argument(
        "--frames", type=whole(1, MOST_BANK), metavar="M", help="frames looked at together"
    )
    parser.add_argument("--proposals", type=whole(1), metavar="N", help="proposals a frame")
    parser.add_argument(
        "--proposal-nms", type=share, metavar="IOU", help="of the proposals (the model's own)"
    )
    add_output(parser, "--json", type=path, metavar="FILE", help="write the figures as JSON")
    add_output(
        parser,
        "--out",
        writes=lambda out, _: [] if out is None else [out, *run_files(out)],
        type=path,
        metavar="DIR",
        help="write a folder for faim report",
    )
    parser.add_argument(
        "--detections", type=path, metavar="FILE", help="evaluate COCO results, without a model"
    )
    parser.add_argument(
        "--probe-time",
        action="store_true",
        help="measure too what becomes of frames whose references are no use",
    )
    add_backend_options(parser)
    add_bank_options(parser, scene_cuts=False)
    add_post_options(parser)
    parser.set_defaults(run=run, backend="torch", device="cpu")


def run(parsed: argparse.Namespace) -> int:
    """`faim eval`."""
    from faim.evaluation.run import EvalOptions, run_eval
    from faim.weights import default_weights

    run_eval(
        EvalOptions(
            weights=parsed.weights or (None if parsed.detections else default_weights()),
            data=parsed.data,
            exp_file=parsed.exp_file,
            mode=parsed.mode,
            aggregate=parsed.aggregate,
            size=parsed.size,
            sampling=parsed.sampling,
            seed=parsed.seed,
            json=parsed.json,
            backend=backend_options(parsed),
            memory=MemoryOptions(parsed.bank, parsed.bank_policy),
            frames=parsed.frames,
            proposals=parsed.proposals,
            proposal_nms=parsed.proposal_nms,
            probe_time=parsed.probe_time,
            post=post_options(parsed),
            out=parsed.out,
            detections=parsed.detections,
        )
    )
    return 0
