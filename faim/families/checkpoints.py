"""From a file of weights to a detector, whatever family it is of."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open

from faim.choices import Aggregate
from faim.detector import VideoDetector
from faim.registry import FIRST, Family, families, family_of, resolve
from faim.weights.named import place_of


def load_detector(
    weights: str | Path,
    *,
    aggregate: Aggregate = "auto",
    class_names: tuple[str, ...] | None = None,
) -> VideoDetector:
    """A checkpoint, ready for inference on the CPU.

    Args:
        weights: a faim checkpoint, a public one, or a name of known weights, then fetched.
        aggregate: how frames help each other; "auto" takes the best there is, "none" leaves every
            frame to itself. Families know other ways by name.
        class_names: names to use instead of the checkpoint's, as many as it has classes.

    Raises:
        FaimError: no such file or name, or no checkpoint of a known family.
    """
    family = family_of_file(weights)
    detector: VideoDetector = resolve(family.load)(
        weights, aggregate=aggregate, class_names=class_names
    )
    return detector


def family_of_file(weights: str | Path) -> Family:
    """The family that reads a checkpoint; what is no checkpoint is for the first one to refuse.

    Raises:
        FaimError: it names a family that is not known.
    """
    path = place_of(weights)
    for family in families():
        if path.suffix in family.suffixes:
            return family
    name = FIRST
    try:
        with safe_open(path, framework="pt") as file:
            name = (file.metadata() or {}).get("family", FIRST)
    except (OSError, SafetensorError, ValueError):
        pass
    return family_of(name, path)
