"""What `training_free.py` compares: ways to turn a video's single-frame boxes into detections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import supervision as sv
import torch
from torchvision.ops import batched_nms

from faim.detector import Kept, VideoDetector
from faim.errors import FaimError
from faim.extras import how_to_install
from faim.postprocess.causal import CausalConfig, CausalRepp, CausalState
from faim.postprocess.post import WholeVideoPost
from faim.postprocess.repp import Repp
from faim.runtime.pipeline import Detector
from faim.stream.memory import MemoryBank
from faim.stream.steps import detections_of, in_source, step
from faim.stream.work import Looked
from faim.structures import Detections, ScoredBoxes, TensorRecord
from lab.looking import for_links

#: Scores of ByteTrack: what it sees, what its first round takes, what begins a track. They suit a
#: detector that is rarely sure; with 0.5 for the latter two it finds about as much.
LOW, HIGH, ACTIVATION = 0.1, 0.3, 0.25
#: A video's frames, in order, to its detections; a method sees no frame before its turn but REPP.
Method = Callable[[Sequence[Looked]], Iterator[Detections]]
#: Each mechanism of the links by itself switched off, or turned up.
ABLATIONS: dict[str, dict[str, float]] = {
    "all frames count alike": {"emphasis": 0.0},
    "frames count by their score": {"emphasis": 1.0},
    "boxes as they are": {"box_trust": 0.0},
    "gaps not bridged": {"carry_decay": 0.0},
    "any box begins a tubelet": {"start_score": 0.0},
}


def methods(detector: Detector, past: int, *, ablation: bool, trackers: bool) -> dict[str, Method]:
    """All of them by name, frame mode first.

    Raises:
        FaimError: the package `trackers` is not installed.
    """
    config, alone = CausalConfig(), detector.model.alone()
    found: dict[str, Method] = {
        "frame": lambda frames: _one_by_one(detector, frames, alone, 0),
        "affinity": lambda frames: _one_by_one(detector, frames, detector.model, past),
        "default": lambda frames: _default(detector, frames),
        "links alone": causal(detector, config),
    }
    if ablation:
        for name, change in ABLATIONS.items():
            found[name] = causal(detector, replace(config, **change))  # type: ignore[arg-type]
        found["affinity before the links"] = causal(detector, config, past)
    if trackers:
        found["ByteTrack + DetectionsSmoother"] = lambda frames: _track(detector, frames, 0)
        found["ByteTrack, coasted boxes"] = lambda frames: _track(detector, frames, 5)
    found["REPP alone (offline)"] = lambda frames: _repp(detector, frames)
    found["REPP, one box an object (offline)"] = lambda frames: _whole(detector, frames)
    return found


def _default(detector: Detector, frames: Sequence[Looked]) -> Iterator[Detections]:
    """As mode stream of `Detector.run`: links, and then one box an object."""
    state = detector.new_state()
    for item in frames:
        found, entry, state.post = detector.decide(item, state.bank, state.post)
        state.bank.append(entry)
        yield found


def causal(detector: Detector, config: CausalConfig, past: int = 0) -> Method:
    """The links, every class that a box has; with affinity over `past` frames before them."""
    post = CausalRepp(config)

    def run(frames: Sequence[Looked]) -> Iterator[Detections]:
        model = detector.model if past else detector.model.alone()
        state = CausalState.empty(len(detector.class_names))
        scored = _scored(frames, model, past, for_links(detector))
        for item, boxes in zip(frames, scored, strict=True):
            result, state = post.step(boxes, item.geometry.source_size, state)
            yield detections_of(result, detector.score_threshold)

    return run


def _scored(
    frames: Sequence[Looked], model: VideoDetector, past: int, kept: Kept
) -> Iterator[ScoredBoxes]:
    bank: MemoryBank[TensorRecord] = MemoryBank(past)
    for item in frames:
        scored, entry = step(model, item.seen, bank, kept)
        bank.append(entry)
        yield in_source(scored, item.geometry)


def _one_by_one(
    detector: Detector, frames: Sequence[Looked], model: VideoDetector, past: int
) -> Iterator[Detections]:
    least = detector.score_threshold
    for boxes in _scored(frames, model, past, Kept(least, detector.selection.iou)):
        yield detections_of(boxes, least)


def _repp(detector: Detector, frames: Sequence[Looked]) -> Iterator[Detections]:
    scored = list(_scored(frames, detector.model.alone(), 0, for_links(detector)))
    for boxes in Repp().apply(scored, frames[0].geometry.source_size):
        yield detections_of(boxes, detector.score_threshold)


def _whole(detector: Detector, frames: Sequence[Looked]) -> Iterator[Detections]:
    """As whole files by default."""
    scored = list(_scored(frames, detector.model.alone(), 0, for_links(detector)))
    sizes = [item.geometry.source_size for item in frames]
    for boxes in WholeVideoPost().run(scored, sizes, detector.score_threshold):
        yield detections_of(boxes, detector.score_threshold)


def _track(detector: Detector, frames: Sequence[Looked], coast: int) -> Iterator[Detections]:
    """ByteTrack.

    With `coast` its lost tracks are shown for so many frames where its Kalman filter expects them;
    without, `DetectionsSmoother` averages the tracked boxes. Boxes without a track stay.
    """
    tracker = _tracker()
    smoother, last = sv.DetectionsSmoother(), dict[int, tuple[float, int]]()
    for frame in _one_by_one(detector, frames, detector.model.alone(), 0):
        strong = frame.scores >= LOW
        tracked = tracker.update(_to_supervision(frame[strong]))
        known = tracked.tracker_id != -1
        found = [frame[~strong], _tensors(tracked[~known])]
        if coast:
            found += [_tensors(tracked[known]), _coasted(tracker, tracked[known], last, coast)]
        else:
            found += [_tensors(smoother.update_with_detections(tracked[known]))]
        yield _without_doubles(Detections.concatenate(found))


def _tracker() -> sv.Tracker:
    try:
        from trackers import ByteTrackTracker
    except ImportError as error:
        raise FaimError(
            f"trackers: not installed; expected it ({how_to_install('compare')}), or --no-trackers"
        ) from error
    return ByteTrackTracker(
        track_activation_threshold=ACTIVATION,
        high_conf_det_threshold=HIGH,
        minimum_consecutive_frames=1,
    )


def _coasted(
    tracker: object,
    tracked: sv.Detections,
    last: dict[int, tuple[float, int]],
    frames: int,
) -> Detections:
    """Predicted boxes of tracks without a box, with their last score and class."""
    for number, score, label in zip(
        tracked.tracker_id, tracked.confidence, tracked.class_id, strict=True
    ):
        last[int(number)] = float(score), int(label)
    lost = [
        track
        for track in tracker.tracks  # type: ignore[attr-defined]
        if 0 < track.time_since_update <= frames and track.tracker_id in last
    ]
    boxes = np.array([track.get_state_bbox() for track in lost], np.float32).reshape(-1, 4)
    values = [last[track.tracker_id] for track in lost]
    return Detections(
        torch.from_numpy(boxes),
        torch.tensor([score for score, _ in values]),
        torch.tensor([label for _, label in values], dtype=torch.long),
    )


def _without_doubles(found: Detections) -> Detections:
    return found[batched_nms(found.boxes, found.scores, found.class_ids, 0.5)]


def _to_supervision(found: Detections) -> sv.Detections:
    return sv.Detections(
        xyxy=found.boxes.numpy(), confidence=found.scores.numpy(), class_id=found.class_ids.numpy()
    )


def _tensors(found: sv.Detections) -> Detections:
    if not len(found):
        return Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long))
    return Detections(
        torch.from_numpy(np.asarray(found.xyxy, np.float32)),
        torch.from_numpy(np.asarray(found.confidence, np.float32)),
        torch.from_numpy(np.asarray(found.class_id, np.int64)),
    )
