"""Whether a model uses time at all: the same frames with references that ought not to help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace

import numpy as np
import torch

from faim.data.transforms import to_batch
from faim.errors import FaimError
from faim.evaluation.average_precision import ApResult, evaluate_ap
from faim.evaluation.modes import LookedVideo, ModeRunner
from faim.structures import Detections, TensorRecord

#: What a key frame is given to look at, by name, in the order of the table.
CASES = {
    "whole video": "frames spread over its video",
    "shuffled": "the same in another order",
    "alone": "nothing",
    "repeated": "itself, as often",
    "other video": "frames of another video",
    "key blanked": "frames of its video, itself a grey image",
}
#: Grey of a blanked frame, that of YOLOX's letterbox.
GREY = 114


class TimeProbe:
    """Average precision of key frames whose references are tampered with.

    A model that uses time loses where the references are the key frame itself or another video's,
    and does not care for their order, which attention does not see. Where the key frame is blank,
    what is found comes from elsewhere; boxes are the key frame's here, so that is nothing unless
    the base detector sees objects in grey.

    Args:
        runner: how frames are looked at, and what joins them in global mode.
        stride: every how many frames of a video one is a key frame.
    """

    def __init__(self, runner: ModeRunner, stride: int = 4) -> None:
        if len(runner.data.videos) < 2:
            raise FaimError(
                f"--probe-time: {runner.data.annotation_file} has 1 video; expected two and more, "
                "as frames of another are needed"
            )
        self.runner, self.stride = runner, stride

    @torch.inference_mode()
    def run(self, on_frame: Callable[[], None] = lambda: None) -> dict[str, ApResult]:
        """By case of `CASES`; `on_frame` is called for every frame that is looked at."""
        found: dict[str, dict[int, Detections]] = {case: {} for case in CASES}
        blank = self._blank()
        records = self.runner.data.videos
        # The first video's other one is the last.
        before = self.runner.look(records[-1], lambda: None).seen
        for record in records:
            video = self.runner.look(record, on_frame)
            for key in range(0, len(record.frames), self.stride):
                for case in CASES:
                    shown = self._shown(case, key, video.seen, before, blank)
                    found[case][record.frames[key].image_id] = self._detect(video, key, shown)
            before = video.seen
        keys = copy(self.runner.data)
        keys.videos = [replace(v, frames=v.frames[:: self.stride]) for v in keys.videos]
        return {case: evaluate_ap(keys, detections) for case, detections in found.items()}

    def _shown(
        self,
        case: str,
        key: int,
        own: Sequence[TensorRecord],
        other: Sequence[TensorRecord],
        blank: TensorRecord,
    ) -> list[TensorRecord]:
        """The key frame and then what it sees."""
        count = self.runner.frames - 1
        near = [own[i] for i in _spread([i for i in range(len(own)) if i != key], count)]
        frame = blank if case == "key blanked" else own[key]
        if case == "alone":
            return [frame]
        if case == "repeated":
            return [frame] * (1 + len(near))
        if case == "other video":
            return [frame, *(other[i] for i in _spread(range(len(other)), len(near)))]
        if case == "shuffled":
            order = np.random.default_rng([self.runner.seed, key]).permutation(len(near))
            return [frame, *(near[i] for i in order)]
        return [frame, *near]

    def _detect(self, video: LookedVideo, key: int, shown: list[TensorRecord]) -> Detections:
        scored = self.runner.in_global.decide(type(shown[0]).stack(shown))[0]
        return self.runner.detections(scored, video.geometries[key])

    def _blank(self) -> TensorRecord:
        pixels = np.full((*self.runner.size, 3), GREY, np.uint8)
        return self.runner.model.look(to_batch([pixels]).to(self.runner.device))[0]


def _spread(indices: Sequence[int], count: int) -> list[int]:
    """At most `count` of the indices, evenly."""
    if len(indices) <= count:
        return list(indices)
    return [indices[i] for i in np.linspace(0, len(indices) - 1, count).round().astype(int)]
