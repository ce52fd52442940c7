"""The losses of trainings as one picture, from their TensorBoard folders.

python benchmarks/plot_training.py runs/base runs/faim --out curve.png
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from faim.errors import FaimError

#: The rate, sums and what is 0 but at the end; and shares, which are no losses.
SKIPPED = ("train/lr", "train/total", "train/l1", "train/mask_reach", "train/same_object")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw; exit status 2 after wrong input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="output folders of trainings")
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    options = parser.parse_args(arguments)
    try:
        draw(options.runs, options.out)
    except FaimError as error:
        print(f"plot_training: {error}", file=sys.stderr)
        return 2
    return 0


def draw(runs: Sequence[Path], out: Path) -> None:
    """One panel a training, one line a loss.

    Raises:
        FaimError: a folder without a training, or a file that cannot be written.
    """
    figure, panels = plt.subplots(1, len(runs), figsize=(4.5 * len(runs), 3.2), squeeze=False)
    for run, panel in zip(runs, panels[0], strict=True):
        for name, (steps, values) in read_losses(run).items():
            panel.plot(steps, values, label=name.removeprefix("train/"), linewidth=1.2)
        panel.set(title=run.name, xlabel="iteration", ylabel="loss", ylim=(0, None))
        panel.legend(fontsize=8)
        panel.grid(alpha=0.3)
    figure.tight_layout()
    try:
        figure.savefig(out, dpi=110)
    except OSError as error:
        raise FaimError(f"{out}: cannot be written ({error})") from error


def read_losses(run: Path) -> dict[str, tuple[list[int], np.ndarray]]:
    """Iterations and values of every loss of a training."""
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    names = [n for n in events.Tags()["scalars"] if n.startswith("train/") and n not in SKIPPED]
    if not names:
        raise FaimError(f"{run}: no losses in {run / 'tensorboard'}; expected a training's folder")
    losses = {}
    for name in names:
        points = events.Scalars(name)
        losses[name] = ([p.step for p in points], np.array([p.value for p in points]))
    return losses


if __name__ == "__main__":
    sys.exit(main())
