"""A script of one's own on top of faim: which classes are in view, second by second.

python demo/stream.py video.mp4 [weights]      (or 0 for a webcam)
"""

from __future__ import annotations

import sys
from collections import Counter

import faim


def main(source: str, weights: str | None = None) -> None:
    """Print a line for every second of the source."""
    detector = faim.load(weights)
    seen: Counter[str] = Counter()
    second = 0
    for result in detector.stream(source):
        if int(result.time) > second:
            print(f"{second:4d} s  {', '.join(f'{n} x{c}' for n, c in seen.most_common())}")
            second, seen = int(result.time), Counter()
        # The most objects of each class that one frame of this second shows.
        seen |= Counter(result.labels)
    print(f"{second:4d} s  {', '.join(f'{n} x{c}' for n, c in seen.most_common())}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:3])
    except (faim.FaimError, TypeError) as error:
        sys.exit(f"stream: {error}")
