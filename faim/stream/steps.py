"""The parts of the modes that a running detector and an evaluation share."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

from faim.data.sampling import global_test, local_test
from faim.data.transforms import LetterboxGeometry
from faim.detector import Kept, VideoDetector
from faim.errors import FaimError
from faim.nn.nms import detections_of
from faim.stream.memory import MemoryBank
from faim.structures import ScoredBoxes, TensorRecord

__all__ = [
    "Sampling",
    "check_sampling",
    "detections_of",
    "frame_groups",
    "in_source",
    "step",
]

#: Which frames of a video global mode looks at together.
Sampling = Literal["uniform", "shuffled", "local"]


def check_sampling(sampling: str, seed: int) -> None:
    """Raise FaimError unless these are a sampling and a seed."""
    if sampling not in get_args(Sampling):
        raise FaimError(
            f"sampling: {sampling!r} given; expected one of {', '.join(get_args(Sampling))}"
        )
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise FaimError(f"seed: {seed!r} given; expected a whole number from 0 on")


def frame_groups(num_frames: int, m: int, sampling: Sampling, seed: int) -> list[list[int]]:
    """A video's frames in groups of at most m, each frame in exactly one.

    Args:
        num_frames: frames of the video; 0 gives no groups.
        m: largest group.
        sampling: groups spread over the whole video evenly ("uniform") or at random ("shuffled"),
            or stretches of it ("local").
        seed: of "shuffled"; every video is shuffled from the same seed.
    """
    if sampling == "local":
        return local_test(num_frames, m)
    return global_test(num_frames, m, sampling, seed)


def in_source(scored: ScoredBoxes, geometry: LetterboxGeometry) -> ScoredBoxes:
    """A detector's boxes of one frame, on the CPU, in pixels of its image before `geometry`."""
    scored = scored.to("cpu")
    return replace(scored, boxes=geometry.to_source(scored.boxes))


def step(
    detector: VideoDetector,
    seen: TensorRecord,
    bank: MemoryBank[TensorRecord],
    kept: Kept | None = None,
    *,
    forget: bool = False,
) -> tuple[ScoredBoxes, TensorRecord]:
    """One frame of a stream against its past: the one place where the two meet.

    Args:
        detector: decides.
        seen: what it has seen of the frame.
        bank: entries of frames before; it is not changed.
        kept: see `VideoDetector.step`.
        forget: leave the past out, as at a scene cut.

    Returns:
        The boxes in pixels of the network input, and the frame's own entry, to be appended.
    """
    past = bank.padded() if detector.traits.fixed_bank else bank.stacked()
    return detector.step(seen, None if forget else past, kept)
