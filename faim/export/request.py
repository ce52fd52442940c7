"""What one export is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from faim.backends.tensorrt_library import COMPUTE_CAPABILITIES
from faim.choices import Aggregate
from faim.errors import FaimError

Format = Literal["onnx", "openvino", "tensorrt"]
Precision = Literal["fp32", "fp16", "int8"]

CALIBRATION_FRAMES = 300
#: They are all in memory at once.
MOST_CALIBRATION_FRAMES = 5000


@dataclass(frozen=True)
class ExportOptions:
    """One call of `faim export`.

    Attributes:
        weights: a faim checkpoint, or a YOLOX or YOLOV .pth.
        format: kind of files.
        out: folder to write; it must be new, empty, or an earlier export.
        size: height and width of the network input; the model's own by default.
        batch: images at once; None leaves it open.
        dynamic_size: height and width stay open; `size` is then the usual one.
        precision: of the weights; by default "fp16" for TensorRT and "fp32" otherwise.
        aggregate: see `load_model`.
        calibration: videos that int8 is calibrated with: anything that `open_source` takes and that
            ends.
        calibration_frames: at most so many of their frames, spread over all of them.
        data: CocoVID annotations on which the loss of int8 is measured; without them it is measured
            on other frames of the calibration videos.
        compute_capabilities: GPUs that TensorRT builds for ahead of time; none for the GPU at hand.
        parity: compare the files with PyTorch.

    Raises:
        FaimError: a value out of its range, or options that do not go together.
    """

    weights: str | Path
    format: Format
    out: Path
    size: tuple[int, int] | None = None
    batch: int | None = 1
    dynamic_size: bool = False
    precision: Precision | None = None
    aggregate: Aggregate = "auto"
    calibration: tuple[str | Path, ...] = ()
    calibration_frames: int = CALIBRATION_FRAMES
    data: Path | None = None
    compute_capabilities: tuple[str, ...] = ()
    parity: bool = True

    def __post_init__(self) -> None:
        """Check the values."""
        for option, value, kind in (
            ("--format", self.format, Format),
            ("--precision", self.precision or "fp32", Precision),
            ("--aggregate", self.aggregate, Aggregate),
        ):
            if value not in get_args(kind):
                choices = ", ".join(get_args(kind))
                raise FaimError(f"{option}: {value!r} given; expected one of {choices}")
        self._check_int8()
        for text in self.compute_capabilities:
            _check_capability(text, self.format)

    def _check_int8(self) -> None:
        int8 = self.precision == "int8"
        if int8 and self.format != "openvino":
            raise FaimError(
                f"--precision: int8 with --format {self.format}; expected --format openvino, or "
                "fp32 or fp16"
            )
        if int8 and not self.calibration:
            raise FaimError(
                "--calibration: not given with --precision int8; expected a video like those to "
                "be detected in"
            )
        for option, value in (("--calibration", self.calibration), ("--data", self.data)):
            if value and not int8:
                raise FaimError(
                    f"{option}: only int8 is calibrated and measured; expected --precision int8"
                )

    @property
    def weights_precision(self) -> Precision:
        """`precision` with its default."""
        return self.precision or ("fp16" if self.format == "tensorrt" else "fp32")


def _check_capability(text: str, format: Format) -> None:
    if format != "tensorrt":
        raise FaimError(
            f"--compute-capability: {text} given with --format {format}; expected --format tensorrt"
        )
    if text not in COMPUTE_CAPABILITIES:
        raise FaimError(
            f"--compute-capability: {text!r} given; expected one of "
            f"{', '.join(COMPUTE_CAPABILITIES)}"
        )
