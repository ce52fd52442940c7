"""The frame graph in eight bits, by post-training quantization with frames of a video.

The frame graph is nearly all of the work. The others stay in float32: they are small, and TICAM
compares cosines with a threshold.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from faim.backends.openvino_library import signal_stack_kept
from faim.data.transforms import letterbox
from faim.errors import FaimError
from faim.extras import missing_package
from faim.pictures.image import Image
from faim.runtime.sources import open_source
from faim.stream.frames import FrameSource
from faim.structures import RawPredictions

#: Frames of the calibration video on which the loss is measured.
HELD_OUT_FRAMES = 200
#: Outputs that stay as they are: boxes and scores.
_RAW = {field.name for field in fields(RawPredictions)}


@dataclass(frozen=True)
class CalibrationFrames:
    """Frames of a video, letterboxed to the network input, in the video's order.

    Attributes:
        calibration: (h, w, 3) uint8 BGR, to calibrate with.
        held_out: others, to measure on.
        clips: how many of those are of each video, in order.
    """

    calibration: list[Image]
    held_out: list[Image]
    clips: list[int] = field(default_factory=list)


def read_calibration(
    sources: Sequence[str | Path],
    size: tuple[int, int],
    count: int,
    held_out: int = HELD_OUT_FRAMES,
) -> CalibrationFrames:
    """Choose frames spread over all of several videos, of each as many.

    A source is read twice, since what it says of its length may not be true.

    Args:
        sources: anything that `open_source` takes and that ends.
        size: height and width of the network input.
        count: at most so many frames to calibrate with; with a hold-out, at most three quarters of
            each video.
        held_out: at most so many frames to measure on; 0 for none.

    Raises:
        FaimError: a source cannot be read, has no end, or too few frames.
    """
    share, measured = max(1, count // len(sources)), -(-held_out // len(sources))
    parts = [_read_one(source, size, share, measured) for source in sources]
    return CalibrationFrames(
        [image for part in parts for image in part.calibration],
        [image for part in parts for image in part.held_out],
        [len(part.held_out) for part in parts],
    )


def _read_one(
    source: str | Path, size: tuple[int, int], count: int, held_out: int
) -> CalibrationFrames:
    with open_source(source) as frames:
        if frames.live:
            raise FaimError(
                f"{frames.name}: a live source cannot calibrate; expected a video file, a folder "
                "of images or a glob"
            )
        total = sum(1 for _ in frames)
        needed = 2 if held_out else 1
        if total < needed:
            raise FaimError(
                f"{frames.name}: too few frames to calibrate with ({total}); expected {needed} or "
                "more"
            )
        most = max(1, total * 3 // 4) if held_out else total
        chosen = spread(range(total), min(count, most))
        rest = sorted(set(range(total)) - set(chosen))
        measured = spread(rest, min(held_out, len(rest)))
        found = dict(_letterboxed(frames, {*chosen, *measured}, size))
    # A source that has become shorter in between is short of frames, no more.
    return CalibrationFrames(
        [found[index] for index in chosen if index in found],
        [found[index] for index in measured if index in found],
    )


def _letterboxed(
    frames: FrameSource, wanted: set[int], size: tuple[int, int]
) -> Iterator[tuple[int, Image]]:
    for frame in frames:
        if frame.index in wanted:
            yield frame.index, letterbox(frame.image, size)[0]


def spread(items: Sequence[int], count: int) -> list[int]:
    """`count` of the items at even distances, each from the middle of its share."""
    return [items[(2 * place + 1) * len(items) // (2 * count)] for place in range(count)]


def quantize_frame_graph(model: Any, frames: Sequence[Image], batch: int | None) -> Any:
    """The frame graph with its convolutions in eight bits.

    Activations are quantized asymmetrically, since SiLU's lowest value is -0.28 (NNCF's preset
    "mixed"). The prediction layers and what decodes them stay in float: their numbers are
    coordinates.

    Args:
        model: `openvino.Model` of the frame graph.
        frames: (H, W, 3) uint8 BGR, letterboxed to the graph's size.
        batch: images that the graph takes at once; None where that is open.

    Raises:
        FaimError: NNCF is not installed, or cannot quantize the graph.
    """
    nncf = _nncf()
    size = batch or 1
    # The last batch is filled up with its last frame.
    groups = [list(frames[start : start + size]) for start in range(0, len(frames), size)]
    batches = [np.stack(group + group[-1:] * (size - len(group))) for group in groups]
    try:
        with _quiet(), signal_stack_kept():
            return nncf.quantize(
                model,
                nncf.Dataset(batches),
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(batches),
                ignored_scope=nncf.IgnoredScope(names=_prediction_nodes(model)),
            )
    except Exception as error:  # NNCF's and OpenVINO's errors have no common class
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise FaimError(f"frame: cannot be quantized ({lines[-1].strip()})") from error


def made_with() -> dict[str, str]:
    """Versions, for `ExportInfo.made_with`."""
    _nncf()
    return {"nncf": version("nncf")}


def _prediction_nodes(model: Any) -> list[str]:
    """Nodes from the last convolutions, included, to boxes and scores."""
    names: list[str] = []
    reached: set[str] = set()
    ends = [result.input_value(0) for result in model.get_results()]
    pending = [end.get_node() for end in ends if end.get_names() & _RAW]
    while pending:
        node = pending.pop()
        name = node.get_friendly_name()
        if name in reached:
            continue
        reached.add(name)
        kind = node.get_type_name()
        if kind != "Constant":
            names.append(name)
        if "Convolution" not in kind:
            pending += [node.input_value(i).get_node() for i in range(node.get_input_size())]
    return names


def _nncf() -> Any:
    # NNCF reports its use to its makers unless it believes to run in a test.
    os.environ.setdefault("NNCF_CI", "1")
    try:
        with _quiet():
            import nncf
    except ImportError as error:
        raise missing_package("precision int8", "nncf", "openvino") from error
    return nncf


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without NNCF's remarks about itself, and those of what it imports about missing GPUs."""
    loggers = [logging.getLogger(name) for name in ("nncf", "torch.utils.cpp_extension")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
