"""A fake model whose answers are known, and small videos."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from faim.families.yolox.config import FaimConfig
from faim.families.yolox.proposal_detector import ProposalDetector
from faim.structures import Proposals, TensorRecord


@dataclass(frozen=True)
class BrightnessEntry(TensorRecord):
    """brightness: (1,) the mean of one frame over 255."""

    brightness: Tensor


class MeanBrightness:
    """The score of a frame is the mean brightness over it and its references."""

    name, padded = "meanbrightness", False

    def __init__(self) -> None:
        self.banks: list[list[float]] = []
        self.groups: list[list[float]] = []

    def refine(self, proposals: Proposals) -> Tensor:
        own = proposals.class_scores[:, 0, 0]
        self.groups.append([round(float(value), 4) for value in own])
        scores = torch.zeros_like(proposals.class_scores)
        scores[..., 0] = own.mean()
        return scores

    def step(self, key: Proposals, bank: TensorRecord | None) -> tuple[Tensor, TensorRecord]:
        own = key.class_scores[0, :1]
        past = torch.zeros(0, 1) if bank is None else bank.brightness
        self.banks.append(sorted(round(float(value), 4) for value in past[:, 0]))
        scores = torch.zeros_like(key.class_scores)
        scores[..., 0] = torch.cat([past, own[None]]).mean()
        return scores, BrightnessEntry(own)


class FakeModel(ProposalDetector):
    """One proposal a frame (and one of padding): a fixed box whose score is the brightness."""

    def __init__(self, test_frames: int = 4) -> None:
        self.config = FaimConfig(
            variant="nano", class_names=("dog", "cat"), test_size=(64, 64), test_frames=test_frames
        )
        self.aggregator = MeanBrightness()
        self.batches: list[int] = []

    def propose(self, images: Tensor) -> Proposals:
        assert images.dtype == torch.uint8
        images = images.float()
        assert torch.is_inference_mode_enabled()
        count = len(images)
        self.batches.append(count)
        scores = torch.zeros(count, 2, 2)
        scores[:, 0, 0] = images.mean(dim=(1, 2, 3)) / 255
        return Proposals(
            boxes=torch.tensor([8.0, 16.0, 40.0, 48.0]).expand(count, 2, 4).clone(),
            objectness=torch.ones(count, 2),
            class_scores=scores,
            cls_features=torch.ones(count, 2, 4),
            ins_features=torch.ones(count, 2, 4),
            valid=torch.tensor([True, False]).expand(count, 2).clone(),
        )


def flat_frames(*levels: int, size: tuple[int, int] = (64, 64)) -> list[np.ndarray]:
    """Frames of one grey each."""
    return [np.full((*size, 3), level, np.uint8) for level in levels]


def write_video(
    path: Path,
    frames: list[np.ndarray],
    *,
    rotation: int = 0,
    options: dict[str, str] | None = None,
    ticks: list[int] | None = None,
) -> Path:
    """An H.264 file of 25 frames a second, or with `ticks` hundredths of a second."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1", "g": "5"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if ticks:
            stream.codec_context.time_base = Fraction(1, 100)
        if rotation:
            stream.set_display_rotation(rotation)
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            if ticks:
                frame.pts = ticks[index]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_lossless(path: Path, frames: list[np.ndarray]) -> Path:
    """A video (FFV1 of RGB) that gives back the very same frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path
