"""A model run by torch itself, on a device and in a precision."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from faim.backends.opened import OpenedDetector
from faim.choices import Precision
from faim.detector import BoxFeatures, Kept, Timing, Traits, Tuning, VideoDetector
from faim.errors import FaimError
from faim.structures import ScoredBoxes, TensorRecord

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Result = TypeVar("Result")


class TorchDetector(OpenedDetector):
    """Any family's model, made ready; it computes without gradients.

    Args:
        model: an `nn.Module` in eval mode; it is copied, and the copy moved to `device`.
        device: any that torch knows.
        precision: of the weights and of what they compute; "auto" is fp16 on a GPU and fp32
            elsewhere. A model with parts that want float32 has `set_precision`.
        compile: run its modules through `torch.compile`: a slow start, quicker afterwards. A model
            with parts that this does not suit has `compile_networks`.
    """

    def __init__(
        self,
        model: VideoDetector,
        *,
        device: torch.device | str = "cpu",
        precision: Precision = "auto",
        compile: bool = False,
    ) -> None:
        self._device = torch.device(device)
        if precision == "auto":
            precision = "fp16" if self._device.type == "cuda" else "fp32"
        self.precision: str = precision
        # Of the weights as they are in their file: other backends say the same of them.
        self._fingerprint = model.fingerprint()
        self.model: VideoDetector = copy.deepcopy(model)
        if isinstance(self.model, nn.Module):
            self.model.to(self._device)
            set_precision: Callable[[torch.dtype], Any] = getattr(
                self.model, "set_precision", self.model.to
            )
            set_precision(_DTYPES[precision])
            if compile:
                compile_networks: Callable[[], Any] = getattr(
                    self.model, "compile_networks", self.model.compile
                )
                compile_networks()

    @property
    def traits(self) -> Traits:
        """See `VideoDetector`; with banks of one size, as compiled networks meet few shapes."""
        return replace(self.model.traits, runs_on=f"torch {self.precision}", fixed_bank=True)

    @property
    def device(self) -> torch.device:
        """See `VideoDetector`."""
        return self._device

    def look(self, images: Tensor) -> TensorRecord:
        """See `VideoDetector`."""
        return self._run(lambda: self.model.look(images))

    def decide(self, seen: TensorRecord, kept: Kept | None = None) -> list[ScoredBoxes]:
        """See `VideoDetector`."""
        return self._run(lambda: self.model.decide(seen, kept))

    def step(
        self, key: TensorRecord, bank: TensorRecord | None, kept: Kept | None = None
    ) -> tuple[ScoredBoxes, TensorRecord]:
        """See `VideoDetector`."""
        return self._run(lambda: self.model.step(key, bank, kept))

    def alone(self) -> VideoDetector:
        """See `VideoDetector`."""
        return self._around(self.model.alone())

    def linked(self) -> VideoDetector:
        """See `VideoDetector`."""
        return self._around(self.model.linked())

    def _around(self, model: VideoDetector) -> TorchDetector:
        """The same networks, as another of their own ways to join frames."""
        other = object.__new__(type(self))
        vars(other).update({**vars(self), "model": model})
        return other

    def timed(self, timing: Timing) -> VideoDetector:
        """See `VideoDetector`."""
        return self._around(self.model.timed(timing))

    def tune(self, tuning: Tuning) -> None:
        """See `VideoDetector`."""
        self.model.tune(tuning)

    def fingerprint(self) -> str:
        """See `VideoDetector`."""
        return self._fingerprint

    def features(self, seen: TensorRecord) -> BoxFeatures | None:
        """See `VideoDetector`."""
        return self._run(lambda: self.model.features(seen))

    def _run(self, compute: Callable[[], Result]) -> Result:
        try:
            with torch.inference_mode():
                return compute()
        except (RuntimeError, NotImplementedError) as error:
            raise FaimError(
                f"backend torch: the networks fail on {self._device} in {self.precision} "
                f"({str(error).splitlines()[0]})"
            ) from error
