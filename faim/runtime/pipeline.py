"""From frames to detections, in the three modes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Self, get_args

import torch
from loguru import logger

from faim.backends.sharing import check_not_forked
from faim.checks import check_batch, check_score, check_size
from faim.choices import ModeName, PostName
from faim.detector import Kept, VideoDetector
from faim.devices import resolve_device
from faim.errors import FaimError
from faim.groups import MemoryOptions, SelectionOptions
from faim.postprocess.causal import CausalState
from faim.postprocess.one_object import OneObjectConfig
from faim.postprocess.pairs import PairModel
from faim.postprocess.post import (
    CausalPost,
    WholeVideoPost,
    before,
    check_post,
    make_post,
    what_joins,
)
from faim.postprocess.whole_video import whole_video_post
from faim.runtime.calls import Calls
from faim.runtime.given import read_twice
from faim.runtime.known_things import knows_patterns_alone, patterns_alone
from faim.runtime.modes import resolve_mode
from faim.runtime.opening import Mode, no_end
from faim.runtime.selection import select
from faim.stream.frame_mode import run_frames, run_frames_linked
from faim.stream.frames import Frame, FrameSource, Image
from faim.stream.global_mode import run_global
from faim.stream.memory import MemoryBank, make_policy
from faim.stream.scene_cut import is_scene_cut, thumbnail
from faim.stream.state import StreamState
from faim.stream.steps import Sampling, check_sampling, detections_of, in_source, step
from faim.stream.work import Looked, TensorResult, Work, look
from faim.structures import BankEntry, Detections, TensorRecord

#: detections below it are neither shown nor written, unless asked for.
DISPLAY_THRESHOLD = 0.3


class Detector(Calls):
    """A model made ready for images and video: what `faim.load` returns.

    It holds no state of any video and may serve several, in turn or in threads at once. Pickled or
    deep-copied, one of `faim.load` is loaded anew; a process that was forked from one with a
    detector cannot use it, nor load another.

    Args:
        model: the network, in eval mode; it is moved to `device`.
        size: side, or (height, width), of the network input in pixels, multiples of 32; the
            model's own `test_size` by default. Frames are letterboxed into it.
        score_threshold: detections below it are dropped, in [0, 1].
        device: "cpu", "cuda", "cuda:1", "mps", ... or "auto": a GPU where there is one.
        batch_size: frames that go through the base detector at once in the modes frame and global.
        sampling: frames that global mode looks at together: "uniform" or "shuffled" over the whole
            video, or "local" stretches of it.
        seed: of shuffled sampling.
        memory: what a stream remembers.
        post: post-processing: "repp" in the modes global and frame, which then give their first
            result after all frames; "causal", which is ours, in mode stream; "auto" is "causal" in
            mode stream and "repp" in mode global, shot by shot, unless frames are not to help each
            other: both in the place of affinity, and behind TICAM. "none" unless asked for, while
            `faim.load` asks for "auto".
        post_model: tells it whether two boxes are one object; the published model by default.
        selection: which detections are given out.

    Attributes:
        joined: the model as it joins frames in streams and whole videos; post-processing may take
            the place of its own way.

    Raises:
        FaimError: an option out of its range.
    """

    def __init__(
        self,
        model: VideoDetector,
        *,
        size: int | tuple[int, int] | None = None,
        score_threshold: float = DISPLAY_THRESHOLD,
        device: str | torch.device = "cpu",
        batch_size: int = 8,
        sampling: Sampling = "uniform",
        seed: int = 0,
        memory: MemoryOptions = MemoryOptions(),
        post: PostName = "none",
        post_model: PairModel | None = None,
        selection: SelectionOptions = SelectionOptions(),
    ) -> None:
        check_not_forked()
        check_sampling(sampling, seed)
        check_batch(batch_size)
        self.model = (
            model.to(resolve_device(device)) if isinstance(model, torch.nn.Module) else model
        )
        self.traits = model.traits
        self.selection = select(selection, self.class_names, self.traits.iou)
        self.size = check_size(self.traits.size if size is None else size)
        self.score_threshold = check_score(score_threshold)
        self.batch_size = batch_size
        self.sampling, self.seed = sampling, seed
        past = memory.frames
        self.bank_frames = self.traits.frames - 1 if past is None else past
        self.bank_policy = make_policy(memory.policy, self.bank_frames)
        self.scene_cuts = memory.scene_cuts
        self.fingerprint = model.fingerprint()
        self._set_post(post, post_model)
        self._warned = False
        self.new_state()  # refuses a number of frames that no bank can have

    def _set_post(self, name: PostName, model: PairModel | None = None) -> None:
        shown = OneObjectConfig(same_iou=float(self.selection.iou))
        self.post_name = name
        self.post = make_post(name, model, self.traits, shown)
        self.whole_post = whole_video_post(name, model, self.traits, shown)
        self.joined = before(name, self.model)

    def __getstate__(self) -> dict[str, Any]:
        """All but `joined`, which is the model's."""
        return {name: value for name, value in vars(self).items() if name != "joined"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """See `__getstate__`."""
        vars(self).update(state)
        self.joined = before(self.post_name, self.model)

    @property
    def device(self) -> torch.device:
        """Where the networks run."""
        return self.model.device

    @property
    def aggregation(self) -> str:
        """What the model joins frames with: "ticam", "affinity" or "none"."""
        return self.traits.joins

    def aggregation_in(self, mode: Mode) -> str:
        """What joins the frames in a mode, as post-processing may take the model's place."""
        return "none" if mode == "frame" else self.joined.traits.joins

    def what_joins(self, mode: Mode) -> str:
        """The same as a sentence would say it, with post-processing; see `what_joins`."""
        stream = mode == "stream"
        return what_joins(
            mode,
            self.joined.traits,
            self.bank_frames if stream else self.traits.frames,
            self.post if stream else self._whole_post_in(mode),
        )

    def _whole_post_in(self, mode: Mode) -> WholeVideoPost | None:
        """What links whole videos in a mode: "auto" does so in mode global alone."""
        return self.whole_post if mode == "global" or self.post_name == "repp" else None

    @property
    def backend(self) -> str:
        """What runs the networks, and in which precision, as in "openvino bf16"."""
        return self.traits.runs_on

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of the class ids."""
        return self.traits.class_names

    def _with(
        self,
        *,
        score_threshold: float | None = None,
        post: PostName | None = None,
        class_ids: tuple[int, ...] | None = None,
    ) -> Self:
        """See `Calls`."""
        other = copy.copy(self)
        if class_ids is not None:
            other.selection = replace(self.selection, class_ids=class_ids)
        if score_threshold is not None:
            other.score_threshold = score_threshold
        if post is not None:
            other._set_post(post)
        return other

    def run(
        self,
        source: FrameSource,
        mode: ModeName,
        *,
        images: bool = True,
        on_frame: Callable[[], None] = lambda: None,
    ) -> Iterator[TensorResult]:
        """See `Calls`."""
        mode = resolve_mode(mode, source.live, self.post_name)
        self.check_mode(mode)
        if mode == "stream":
            return self._run_stream(source, on_frame)
        return map(self._selected, self._run_batches(source, mode, images, on_frame))

    def _selected(self, result: TensorResult) -> TensorResult:
        size = result.frame.image.shape[:2]
        return replace(result, detections=self.selection.of(result.detections, size))

    def _run_batches(
        self, source: FrameSource, mode: Mode, images: bool, on_frame: Callable[[], None]
    ) -> Iterator[TensorResult]:
        post = self._whole_post_in(mode)
        if mode == "frame" and post is None:
            return run_frames(self._work(mode), source, on_frame)
        source = read_twice(source, images)
        if source.live:
            raise no_end(source, mode)
        if post is not None and self.aggregation_in(mode) == "none":
            return run_frames_linked(self._work(mode), source, images, on_frame)
        return run_global(self._work(mode), source, images, on_frame)

    def _work(self, mode: Mode) -> Work:
        """This detector as the modes that are no streams need it."""
        alone = self.aggregation_in(mode) == "none"
        return Work(
            self.model.alone() if alone else self.joined,
            size=self.size,
            least=self.score_threshold,
            iou=self.selection.iou,
            batch_size=self.batch_size,
            frames=self.traits.frames,
            sampling=self.sampling,
            seed=self.seed,
            scene_cuts=self.scene_cuts,
            post=self._whole_post_in(mode),
        )

    def check_mode(self, mode: Mode) -> None:
        """Raise FaimError for a mode that is none, or in which the post-processing cannot work."""
        if mode not in get_args(Mode):
            raise FaimError(f"mode: {mode!r} given; expected one of {', '.join(get_args(Mode))}")
        check_post(self.post_name, mode)

    def warn_of_patterns(self) -> None:
        """Say, the first time, that these weights know nothing real, where that is so."""
        if not self._warned and knows_patterns_alone(self.class_names):
            logger.warning(patterns_alone(self.class_names))
        self._warned = True

    def new_state(self) -> StreamState:
        """See `Calls`."""
        return StreamState.empty(self.bank_frames, self.bank_policy, self.fingerprint)

    def advance(self, images: Sequence[Image], states: Sequence[StreamState]) -> list[Detections]:
        """See `Calls`."""
        self.check_mode("stream")
        frames = [Frame(0, 0.0, image) for image in images]
        items = look(self.model, frames, self.size) if images else []
        return [
            self.selection.of(self._step(item, state), item.geometry.source_size)
            for item, state in zip(items, states, strict=True)
        ]

    def _step(self, item: Looked, state: StreamState) -> Detections:
        small = thumbnail(item.frame.image) if self.scene_cuts else None
        cut = small is not None and is_scene_cut(state.thumbnail, small)
        self._check_past(state, item.seen)
        past = state.post and state.post.forgotten() if cut else state.post
        detections, entry, post = self.decide(item, state.bank, past, forget=cut)
        if cut:
            state.reset()
        state.bank.append(entry)
        state.thumbnail, state.post, state.model = small, post, self.fingerprint
        state.frames_seen += 1
        return detections

    def _check_past(self, state: StreamState, seen: TensorRecord) -> None:
        known = state.model and self.fingerprint
        bank = state.bank.padded()
        strange = isinstance(bank, BankEntry) and not bank.fits(seen)
        if strange or (known and state.model != self.fingerprint):
            raise FaimError(
                f"state: of another model (weights {state.model or 'unknown'}) than this one "
                f"(weights {self.fingerprint or 'unknown'}); expected the model that it was saved "
                "with, or a new state"
            )

    def decide(
        self,
        item: Looked,
        bank: MemoryBank[TensorRecord],
        past: CausalState | None,
        *,
        forget: bool = False,
    ) -> tuple[Detections, TensorRecord, CausalState | None]:
        """A frame of a stream: its detections, its entry, and what later frames link to.

        Args:
            item: the frame.
            bank: entries of frames before; it is not changed.
            past: what it may be linked to.
            forget: leave the bank out.
        """
        least = self.score_threshold
        linked = isinstance(self.post, CausalPost)
        kept = Kept(min(self.traits.least_score, least) if linked else least, self.selection.iou)
        with torch.inference_mode():
            scored, entry = step(self.joined, item.seen, bank, kept, forget=forget)
        scored = in_source(scored, item.geometry)
        if not isinstance(self.post, CausalPost):
            return detections_of(scored, least), entry, None
        scored, state = self.post.step(scored, item.geometry.source_size, past, least)
        return detections_of(scored, least), entry, state

    def _run_stream(
        self, source: FrameSource, on_frame: Callable[[], None]
    ) -> Iterator[TensorResult]:
        state = self.new_state()
        for frame in source:
            [detections] = self.advance([frame.image], [state])
            on_frame()
            yield TensorResult(frame, detections)
