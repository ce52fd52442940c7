"""Detections and times of the modes, side by side on the same proposals."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from faim.choices import PolicyName
from faim.data.coco_vid import CocoVid, FrameRecord, VideoRecord, read_frame
from faim.data.transforms import LetterboxGeometry, letterbox, to_batch
from faim.detector import VideoDetector
from faim.evaluation.classes import ClassMatch, OtherClasses
from faim.evaluation.features import FeatureSample
from faim.evaluation.post import VideoPost
from faim.stream.memory import MemoryBank, make_policy
from faim.stream.steps import (
    Sampling,
    check_sampling,
    detections_of,
    frame_groups,
    in_source,
    step,
)
from faim.structures import Detections, ScoredBoxes, TensorRecord
from faim.timing import median_ms

Mode = Literal["frame", "stream", "global"]
MODES: tuple[Mode, ...] = ("frame", "stream", "global")
#: Frames whose times do not count: the first calls allocate memory and choose algorithms.
WARM_UP = 3
#: A base detector that is timed beside the model sees one frame in so many.
BASE_STRIDE = 4


@dataclass
class ModeRun:
    """What one mode found.

    Attributes:
        detections: by image id, in source pixels, class ids of the dataset.
        seconds: a frame's time from network input to detections, in order; NaN where not taken.
        post: what is done to every video's boxes in the end.
        others: what is shown of classes that the dataset does not have.
    """

    detections: dict[int, Detections] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    post: VideoPost | None = None
    others: OtherClasses = field(default_factory=OtherClasses)

    @property
    def ms(self) -> float:
        """Median milliseconds a frame after the warm-up."""
        return median_ms(after_warm_up(self.seconds))


@dataclass(frozen=True)
class LookedVideo:
    """A video after the part that looks at every frame alone.

    Attributes:
        frames: its frames.
        geometries: of each, how it was brought to the network's input.
        seen: of each, what the detector sees of it alone.
        look_seconds: of each, what `look` took.
        base_seconds: of each, what the base detector alone took; NaN where not taken.
        scored: by frame, what post-processing is to see.
    """

    frames: Sequence[FrameRecord]
    geometries: list[LetterboxGeometry]
    seen: list[TensorRecord]
    look_seconds: list[float]
    base_seconds: list[float]
    scored: dict[int, ScoredBoxes] = field(default_factory=dict)


def after_warm_up(seconds: Sequence[float]) -> Sequence[float]:
    """The times without those of the first frames, where enough remain."""
    return seconds[WARM_UP if len(seconds) > 2 * WARM_UP else 0 :]


class ModeRunner:
    """Runs a model over the videos of a dataset in several modes at once.

    Every frame goes through the model's `look` once, whatever the number of modes. A mode's time
    a frame is that of `look`, of its own aggregation (of a group in global mode, divided by its
    frames), of the final step and of its share of post-processing. Reading, letterboxing and
    copying to the device do not count.

    Args:
        model: in eval mode, on `device`.
        data: the dataset.
        modes: which to run.
        base: the base detector alone, where `model.look` computes more than it; it then gives
            frame mode's time, taken on every fourth frame. The detections are the same.
        size: height and width of the network input.
        frames: frames that global mode looks at together; the model's `frames` by default.
        past: frames that a stream looks back at; `frames` - 1 by default.
        policy: which frames of the past these are.
        device: where the model is.
        sampling: frames that global mode looks at together, see `frame_groups`.
        seed: of shuffled sampling.
        post: by mode, what is done to every video's boxes in the end.
        in_stream: the model as it joins the frames of a stream; itself by default.
        in_global: the same of global mode.
        features: where the proposals that belong to objects go; those of global mode if it is run.

    Raises:
        FaimError: no such sampling; see `ClassMatch` too.
    """

    def __init__(
        self,
        model: VideoDetector,
        data: CocoVid,
        modes: Sequence[Mode] = MODES,
        *,
        base: VideoDetector | None = None,
        size: tuple[int, int] | None = None,
        frames: int | None = None,
        past: int | None = None,
        policy: PolicyName = "spread",
        device: torch.device | str = "cpu",
        sampling: Sampling = "uniform",
        seed: int = 0,
        post: Mapping[Mode, VideoPost] | None = None,
        in_stream: VideoDetector | None = None,
        in_global: VideoDetector | None = None,
        features: FeatureSample | None = None,
    ) -> None:
        self.model, self.base, self.data, self.modes = model, base, data, modes
        self.traits = model.traits
        self.size = self.traits.size if size is None else size
        self.frames = self.traits.frames if frames is None else frames
        self.past = self.frames - 1 if past is None else past
        self.policy = make_policy(policy, self.past)
        self.device = torch.device(device)
        check_sampling(sampling, seed)
        self.sampling, self.seed = sampling, seed
        self.in_stream = model if in_stream is None else in_stream
        self.in_global = model if in_global is None else in_global
        self.post, self.features = dict(post or {}), features
        self._classes = ClassMatch(self.traits.class_names, data)

    @torch.inference_mode()
    def run(self, on_frame: Callable[[], None] = lambda: None) -> dict[Mode, ModeRun]:
        """All videos; `on_frame` is called whenever a frame has passed the base detector.

        Raises:
            FaimError: an image cannot be read.
        """
        runs = self.start()
        for record in self.data.videos:
            self.add(self.look(record, on_frame), runs)
        return runs

    def start(self) -> dict[Mode, ModeRun]:
        """Runs of the modes that have seen no video yet."""
        names = self._classes.others
        return {
            mode: ModeRun(post=self.post.get(mode), others=OtherClasses(names))
            for mode in self.modes
        }

    @torch.inference_mode()
    def add(self, video: LookedVideo, runs: Mapping[Mode, ModeRun]) -> None:
        """Put one video through the modes; any runner of the same model may have looked at it."""
        for mode, run in runs.items():
            getattr(self, f"_{mode}")(video, run)
            self._post(video, run)

    @torch.inference_mode()
    def look(self, record: VideoRecord, on_frame: Callable[[], None]) -> LookedVideo:
        """What every frame of a video offers by itself."""
        video = LookedVideo(record.frames, [], [], [], [])
        for index, frame in enumerate(record.frames):
            pixels, geometry = letterbox(read_frame(frame), self.size)
            images = to_batch([pixels]).to(self.device)
            started = self._now()
            seen = self.model.look(images)[0]
            video.look_seconds.append(self._now() - started)
            if self.base is None:
                video.base_seconds.append(video.look_seconds[-1])
            else:
                video.base_seconds.append(self._base_seconds(images, index))
            video.geometries.append(geometry)
            video.seen.append(seen)
            if self.features is not None and "global" not in self.modes:
                self._take([frame], [geometry], type(seen).stack([seen]), self.model.alone())
            on_frame()
        return video

    def _base_seconds(self, images: Tensor, index: int) -> float:
        if self.base is None or "frame" not in self.modes or index % BASE_STRIDE:
            return float("nan")
        started = self._now()
        self.base.look(images)
        return self._now() - started

    def _frame(self, video: LookedVideo, run: ModeRun) -> None:
        self._one_by_one(video, run, self.model.alone(), video.base_seconds, past=0)

    def _stream(self, video: LookedVideo, run: ModeRun) -> None:
        self._one_by_one(video, run, self.in_stream, video.look_seconds, past=self.past)

    def _one_by_one(
        self,
        video: LookedVideo,
        run: ModeRun,
        detector: VideoDetector,
        before: list[float],
        *,
        past: int,
    ) -> None:
        bank: MemoryBank[TensorRecord] = MemoryBank(
            past, self.policy if past == self.past else None
        )
        for index, seen in enumerate(video.seen):
            started = self._now()
            scored, entry = step(detector, seen, bank)
            bank.append(entry)
            self._finish(video, run, index, scored)
            run.seconds.append(before[index] + self._now() - started)

    def _global(self, video: LookedVideo, run: ModeRun) -> None:
        seconds = [0.0] * len(video.frames)
        for group in frame_groups(len(video.frames), self.frames, self.sampling, self.seed):
            started = self._now()
            seen = [video.seen[index] for index in group]
            together = type(seen[0]).stack(seen)
            decided = self.in_global.decide(together)
            share = (self._now() - started) / len(group)
            for index, scored in zip(group, decided, strict=True):
                started = self._now()
                self._finish(video, run, index, scored)
                seconds[index] = video.look_seconds[index] + share + self._now() - started
            frames = [video.frames[index] for index in group]
            geometries = [video.geometries[index] for index in group]
            self._take(frames, geometries, together, self.in_global)
        run.seconds.extend(seconds)

    def _take(
        self,
        frames: list[FrameRecord],
        geometries: list[LetterboxGeometry],
        seen: TensorRecord,
        detector: VideoDetector,
    ) -> None:
        """Sample what a detector tells boxes apart by, where that is asked for."""
        found = None if self.features is None else detector.features(seen)
        if self.features is not None and found is not None:
            self.features.take(frames, geometries, found)

    def _finish(self, video: LookedVideo, run: ModeRun, index: int, scored: ScoredBoxes) -> None:
        """Keep a frame's detections, or what post-processing makes them of."""
        scored = in_source(scored, video.geometries[index])
        if run.post is None:
            found = detections_of(scored, self.traits.least_score)
            self._keep(run, video.frames[index], found)
        else:
            video.scored[index] = scored

    def detections(self, scored: ScoredBoxes, geometry: LetterboxGeometry) -> Detections:
        """A frame's detections without post-processing, class ids of the dataset."""
        found = detections_of(in_source(scored, geometry), self.traits.least_score)
        return self._classes.split(found)[0]

    def _post(self, video: LookedVideo, run: ModeRun) -> None:
        if run.post is None:
            return
        started = self._now()
        sizes = [(frame.height, frame.width) for frame in video.frames]
        scored = [video.scored[index] for index in range(len(video.frames))]
        for frame, boxes in zip(video.frames, run.post.run(scored, sizes), strict=True):
            self._keep(run, frame, detections_of(boxes, self.traits.least_score))
        share = (self._now() - started) / len(video.frames)
        run.seconds[-len(video.frames) :] = [
            seconds + share for seconds in run.seconds[-len(video.frames) :]
        ]
        video.scored.clear()

    def _keep(self, run: ModeRun, frame: FrameRecord, found: Detections) -> None:
        own, others = self._classes.split(found)
        run.detections[frame.image_id] = own
        if len(others.scores):
            run.others.detections[frame.image_id] = others

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()
