"""Write what is known of a checkpoint into the registry: size, hash, data, commands and figures.

    python benchmarks/synthvid.py --weights W --data data/test?/annotations.json --json figures.json
    python tools/register.py --weights W --data data/train/annotations.json --figures figures.json \
        --commands "python tools/train.py -f exps/faim_s.py"

An entry replaces an earlier one of the same file name.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faim.arguments import path
from faim.errors import EXIT_WRONG_INPUT, FaimError
from faim.families.yolox.checkpoint import load_model
from faim.files import write_json
from faim.outputs import add_output, guarded
from faim.reading import read_json

REGISTRY = Path(__file__).resolve().parents[1] / "weights/registry.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Register one checkpoint; exit status 2 after wrong input."""
    options = _parser().parse_args(arguments)
    try:
        with guarded(options):
            register(options)
    except FaimError as error:
        print(f"register: {error}", file=sys.stderr)
        return EXIT_WRONG_INPUT
    return 0


def register(options: argparse.Namespace) -> None:
    """Add or replace the entry of `options.weights` in `options.registry`.

    Raises:
        FaimError: a file is missing or not what it should be.
    """
    weights: Path = options.weights
    entry = described(weights)
    figures = _figures(options.figures, entry["sha256"])
    entry |= {
        "data": [_origin(file) for file in options.data],
        "commands": options.commands,
        "evaluated_on": [_origin(Path(file)) for file in figures["sets"]],
        "figures": {
            mode: {key: round(float(value), 2) for key, value in values.items()}
            for mode, values in figures["mean"].items()
        },
        "versions": figures["machine"]["versions"],
    }
    known = read_json(options.registry) if options.registry.exists() else {}
    write_json(options.registry, {**known, weights.name: entry})
    print(f"wrote {options.registry}: {weights.name}, {entry['bytes']} bytes")


def described(weights: Path) -> dict[str, Any]:
    """What the file itself says: bytes, SHA-256, model, input, classes and parameters.

    Raises:
        FaimError: not a checkpoint.
    """
    model = load_model(weights)
    content = weights.read_bytes()
    return {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "model": model.config.title,
        "input": list(model.config.test_size),
        "classes": list(model.config.class_names),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def _figures(file: Path, sha256: str) -> dict[str, Any]:
    """What the benchmark wrote about the weights of this SHA-256."""
    found = read_json(file)
    try:
        of = found["sha256"]
        for values in found["mean"].values():
            {key: float(value) for key, value in values.items()}
        dict(found["sets"])
        dict(found["machine"]["versions"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise FaimError(
            f"{file}: not the figures of a checkpoint; expected what benchmarks/synthvid.py --json "
            "wrote"
        ) from error
    if of != sha256:
        raise FaimError(
            f"{file}: the figures of other weights (SHA-256 {of}); expected those of {sha256}"
        )
    return found


def _origin(annotations: Path) -> dict[str, Any]:
    """How a data set was generated, as it says itself."""
    info: Any = read_json(annotations).get("info")
    try:
        return {"generator": info["generator"], "version": info["version"], **info["arguments"]}
    except (KeyError, TypeError) as error:
        raise FaimError(
            f"{annotations}: does not say how it was generated; expected what `faim synth` wrote"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--weights", type=path, required=True, help="the checkpoint")
    add("--data", type=path, nargs="+", required=True, help="what it was trained on")
    add("--figures", type=path, required=True, help="JSON of benchmarks/synthvid.py")
    add("--commands", nargs="+", required=True, metavar="LINE", help="that trained it, in order")
    add_output(
        parser,
        "--registry",
        type=path,
        default=REGISTRY,
        help="the file (weights/registry.json)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
