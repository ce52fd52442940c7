"""How long REPP takes for a long video of crowded frames, on one core, and its causal relative.

    python benchmarks/repp.py
    python benchmarks/repp.py --frames 1000 --boxes 30 --classes 30

The objects wander, so most boxes are linked; none of the time depends on pixels.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import numpy as np
import torch

from faim.arguments import whole
from faim.postprocess.causal import CausalRepp, CausalState
from faim.postprocess.repp import Repp
from faim.structures import ScoredBoxes

SIZE = (720, 1280)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=whole(1), default=1000)
    parser.add_argument("--boxes", type=whole(1), default=30, help="a frame")
    parser.add_argument("--classes", type=whole(1), default=30)
    parser.add_argument("--seed", type=whole(0), default=0)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    frames = wandering(options.frames, options.boxes, options.classes, options.seed)
    start = time.perf_counter()
    linked = Repp().apply(frames, SIZE)
    seconds = time.perf_counter() - start
    share = sum(len(frame.boxes) for frame in linked) / sum(len(frame.boxes) for frame in frames)
    ms = 1000 * seconds / len(frames)
    print(f"repp    {seconds:6.2f} s, {ms:5.2f} ms a frame, {share:.0%} linked")
    state = CausalState.empty(options.classes)
    start = time.perf_counter()
    for frame in frames:
        _, state = CausalRepp().step(frame, SIZE, state)
    seconds = time.perf_counter() - start
    print(f"causal  {seconds:6.2f} s, {1000 * seconds / len(frames):5.2f} ms a frame")
    return 0


def wandering(frames: int, boxes: int, classes: int, seed: int) -> list[ScoredBoxes]:
    """Boxes of 40 to 200 pixels on random walks, every tenth of them missed."""
    random = np.random.default_rng(seed)
    places = random.uniform((0, 0), SIZE[::-1], (boxes, 2))
    sizes = random.uniform(40, 200, (boxes, 2))
    leaning = random.uniform(0, 1, (boxes, classes)) ** 6
    video = []
    for _ in range(frames):
        places = np.clip(places + random.normal(0, 4, places.shape), 0, SIZE[::-1])
        ends = places + sizes * random.uniform(0.95, 1.05, sizes.shape)
        scores = np.clip(leaning + random.normal(0, 0.05, leaning.shape), 0, 1)
        seen = random.random(boxes) < 0.9
        video.append(
            ScoredBoxes(
                torch.tensor(np.concatenate([places, ends], axis=1)[seen], dtype=torch.float32),
                torch.tensor(scores[seen], dtype=torch.float32),
            )
        )
    return video


if __name__ == "__main__":
    sys.exit(main())
