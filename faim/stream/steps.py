"""The parts of the modes that a running detector and an evaluation share."""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor

from faim.data.sampling import global_test, local_test
from faim.data.transforms import LetterboxGeometry
from faim.errors import FaimError
from faim.nn.nms import detections_of, postprocess, scored_boxes
from faim.structures import Detections, Proposals, ScoredBoxes

__all__ = [
    "Sampling",
    "check_sampling",
    "detections_of",
    "frame_groups",
    "to_detections",
    "to_scored_boxes",
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


def to_detections(
    proposals: Proposals,
    probabilities: Tensor,
    geometry: LetterboxGeometry,
    *,
    score_threshold: float,
    nms_threshold: float,
) -> Detections:
    """One frame's detections, on the CPU, in pixels of its image before `geometry`.

    Args:
        proposals: (n, ...) of the frame.
        probabilities: (n, C) after aggregation.
        geometry: of the frame's letterboxing.
        score_threshold: detections below it are dropped.
        nms_threshold: IoU of the last, class-aware NMS.
    """
    found = postprocess(
        proposals, probabilities, score_threshold=score_threshold, nms_threshold=nms_threshold
    ).to("cpu")
    return Detections(geometry.to_source(found.boxes), found.scores, found.class_ids)


def to_scored_boxes(
    proposals: Proposals,
    probabilities: Tensor,
    geometry: LetterboxGeometry,
    *,
    score_threshold: float,
    nms_threshold: float,
) -> ScoredBoxes:
    """`to_detections` with the scores of all classes together, for post-processing.

    Arguments are those of `to_detections`, which is `detections_of` of this.
    """
    found = scored_boxes(
        proposals, probabilities, score_threshold=score_threshold, nms_threshold=nms_threshold
    ).to("cpu")
    return ScoredBoxes(geometry.to_source(found.boxes), found.scores)
