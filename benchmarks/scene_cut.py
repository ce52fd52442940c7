"""How the scene-cut detector's measure and threshold were chosen, and what they do elsewhere.

    python benchmarks/scene_cut.py --root DAVIS_TRAIN
    python benchmarks/scene_cut.py --root DAVIS --chosen-only

The root has a folder `JPEGImages/<resolution>` with a folder of frames a sequence, as DAVIS 2016.
Its sequences have no cuts, so every two frames in a row are of one scene, and the last frame of a
sequence before the first of another make a cut: every ordered pair of sequences gives one. Beside
the frames as they are ("plain"), two harder versions: "flicker" multiplies every frame by its own
random gain of 0.8 to 1.2, and "blur" smears every second frame along a line of 5 % of its width.

Each row is a measure: the largest dissimilarity within a sequence, of each version and with three
frames lost in between; the smallest at a join; and the joins that a threshold at the largest within
a sequence (of the three versions) would miss. The last lines give the chosen measure at its own
threshold. Parameters belong on the training sequences; other roots are for reporting.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from faim.errors import FaimError
from faim.files import check_writable, write_json
from faim.machine import machine
from faim.stream.scene_cut import MEASURE, THRESHOLD, dissimilarity, thumbnail

Image: TypeAlias = NDArray[np.uint8]
#: thumbnails of a version's sequences.
Sequences: TypeAlias = list[list[Image]]
Unlike: TypeAlias = Callable[[Image, Image], float]
VERSIONS = ("plain", "flicker", "blur")
#: frames from one to the next where three were lost.
LOST = 4
CHOSEN = "chosen"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit status 2 after wrong input."""
    try:
        run(_parser().parse_args(arguments))
    except FaimError as error:
        print(f"scene_cut: {error}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure, print the table, and write the JSON file if one is asked for.

    Raises:
        FaimError: the folder does not hold what is expected.
    """
    if options.json:
        check_writable(options.json)
    versions, milliseconds = read_versions(options.root, options.seed)
    measures = {CHOSEN: dissimilarity} if options.chosen_only else all_measures()
    rows = {name: figures(versions, measure) for name, measure in measures.items()}
    without_colour = {
        name: [[_grey(small) for small in frames] for frames in sequences]
        for name, sequences in versions.items()
    }
    rows[f"{CHOSEN}, frames without colour"] = figures(without_colour, dissimilarity)
    report: dict[str, Any] = {
        "root": str(options.root),
        "threshold": THRESHOLD,
        "cpu_ms_per_frame": milliseconds,
        "measures": rows,
        "machine": machine(),
    }
    _print(report, Console())
    if options.json:
        write_json(options.json, report)
    return report


def read_versions(root: Path, seed: int) -> tuple[dict[str, Sequences], float]:
    """Thumbnails of all frames in all versions, and the median CPU time of one frame's turn in ms.

    Raises:
        FaimError: there are no two sequences of two frames, or a frame that cannot be read.
    """
    folders = sorted(path for path in root.glob("JPEGImages/*/*") if path.is_dir())
    files = [sorted(folder.glob("*.jpg")) for folder in folders]
    if len(files) < 2 or min(map(len, files)) < 2:
        raise FaimError(
            f"{root}: expected two or more folders JPEGImages/<resolution>/<sequence> of JPEG files"
        )
    generator = np.random.default_rng(seed)
    versions: dict[str, Sequences] = {name: [[] for _ in files] for name in VERSIONS}
    times: list[float] = []
    for number, paths in enumerate(files):
        for index, path in enumerate(paths):
            image = cv2.imread(str(path))
            if image is None:
                raise FaimError(f"{path}: cannot be read; expected a JPEG file")
            gain = generator.uniform(0.8, 1.2)
            changed = {
                "plain": image,
                "flicker": cv2.convertScaleAbs(image, alpha=gain),
                "blur": _smear(image, generator) if index % 2 else image,
            }
            started = time.process_time()
            small = thumbnail(image)
            dissimilarity(small, small)
            times.append(1000 * (time.process_time() - started))
            for name, version in changed.items():
                versions[name][number].append(thumbnail(version))
    return versions, float(np.median(times))


def all_measures() -> dict[str, Unlike]:
    """The measures in question by name."""
    variants: dict[str, dict[str, Any]] = {
        "one band, without stamps": {"bands": 1, "stamp_weight": 0.0},
        "without stamps": {"stamp_weight": 0.0},
        "one band": {"bands": 1},
        "two bands": {"bands": 2},
        "hue of grey pixels counts": {"grey_below": 0},
        "pixels are grey below 20": {"grey_below": 20},
        "16 x 8 bins": {"bins": (16, 8)},
        "8 x 4 bins": {"bins": (8, 4)},
        "stamps weigh 0.1": {"stamp_weight": 0.1},
        "stamps weigh 0.5": {"stamp_weight": 0.5},
    }
    measures: dict[str, Unlike] = {"mean difference in HSV": mean_hsv_difference}
    for name, values in variants.items():
        measures[name] = _variant(**values)
    measures[CHOSEN] = dissimilarity
    return measures


def mean_hsv_difference(first: Image, second: Image) -> float:
    """The score of PySceneDetect's ContentDetector, of thumbnails: 0 to 255."""
    before, after = (
        cv2.cvtColor(small, cv2.COLOR_BGR2HSV).astype(np.int16) for small in (first, second)
    )
    return float(np.abs(before - after).mean())


def _variant(**values: Any) -> Unlike:
    measure = replace(MEASURE, **values)
    return lambda first, second: dissimilarity(first, second, measure)


def figures(versions: dict[str, Sequences], unlike: Unlike) -> dict[str, Any]:
    """One measure's figures; shares of joins in percent."""
    within = {name: _within(sequences, unlike, 1) for name, sequences in versions.items()}
    lost = _within(versions["plain"], unlike, LOST)
    joins = _joins(versions["plain"], unlike)
    largest = max(float(values.max()) for values in within.values())
    return {
        "pairs": len(within["plain"]),
        "joins": len(joins),
        "largest_within": {name: float(values.max()) for name, values in within.items()},
        "largest_lost": float(lost.max()),
        "smallest_join": float(joins.min()),
        "missed_above_all_within_percent": 100 * float((joins <= largest).mean()),
        "at_threshold": {
            "false_cuts": {n: int((values >= THRESHOLD).sum()) for n, values in within.items()},
            "false_cuts_lost": int((lost >= THRESHOLD).sum()),
            "missed_joins": {n: _missed(s, unlike) for n, s in versions.items()},
        },
    }


def _missed(sequences: Sequences, unlike: Unlike) -> int:
    return int((_joins(sequences, unlike) < THRESHOLD).sum())


def _within(sequences: Sequences, unlike: Unlike, step: int) -> NDArray[np.float64]:
    return np.array(
        [
            unlike(first, second)
            for frames in sequences
            for first, second in zip(frames, frames[step:], strict=False)
        ]
    )


def _joins(sequences: Sequences, unlike: Unlike) -> NDArray[np.float64]:
    return np.array(
        [
            unlike(first[-1], second[0])
            for first in sequences
            for second in sequences
            if first is not second
        ]
    )


def _smear(image: Image, generator: np.random.Generator) -> Image:
    """Motion blur along a random direction, 5 % of the width long."""
    length = int(0.05 * image.shape[1]) | 1
    centre = length // 2
    angle = generator.uniform(0, np.pi)
    across = round(centre * np.cos(angle)), round(centre * np.sin(angle))
    kernel = np.zeros((length, length), np.float32)
    start, end = (
        (centre - across[0], centre - across[1]),
        (centre + across[0], centre + across[1]),
    )
    cv2.line(kernel, start, end, 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), dtype=np.uint8)


def _grey(image: Image) -> Image:
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)


def _print(report: dict[str, Any], console: Console) -> None:
    table = Table(title=f"Dissimilarity of frames, {report['root']}")
    table.add_column("measure")
    for column in (*(f"largest, {v}" for v in VERSIONS), f"{LOST - 1} lost", "smallest join"):
        table.add_column(column, justify="right")
    table.add_column("joins missed %", justify="right")
    for name, row in report["measures"].items():
        values = [*row["largest_within"].values(), row["largest_lost"], row["smallest_join"]]
        missed = row["missed_above_all_within_percent"]
        table.add_row(name, *(f"{value:.3f}" for value in values), f"{missed:.2f}")
    console.print(table)
    for name, row in report["measures"].items():
        if name.startswith(CHOSEN):
            at = row["at_threshold"]
            console.print(
                f"{name}, threshold {report['threshold']}: false cuts {at['false_cuts']} of "
                f"{row['pairs']} each, {at['false_cuts_lost']} with {LOST - 1} frames lost; joins "
                f"missed {at['missed_joins']} of {row['joins']} each"
            )
    console.print(f"CPU time: {report['cpu_ms_per_frame']:.2f} ms a frame")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="folder with JPEGImages")
    parser.add_argument("--chosen-only", action="store_true", help="no other measures")
    parser.add_argument("--seed", type=int, default=0, help="of flicker and blur (0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
