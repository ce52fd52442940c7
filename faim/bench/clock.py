"""Times of parts of a step."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from faim.timing import median_ms


class Clock:
    """Collects the seconds of named stages.

    Attributes:
        seconds: of every stage, in order.
    """

    def __init__(self, device: torch.device) -> None:
        """`device` is waited for before every reading."""
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self._device = device

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Add what the body takes to `stage`."""
        started = self.now()
        yield
        self.seconds[stage].append(self.now() - started)

    def now(self) -> float:
        """Seconds, once the device has done what it was given."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def ms(self, stage: str, warm_up: int = 0) -> float:
        """Median milliseconds of a stage, the first `warm_up` left out."""
        return median_ms(self.seconds[stage][warm_up:])
