"""Post-processing as a running detector uses it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args, overload

import torch
from torch import Tensor

from faim.choices import PostName
from faim.detector import Traits, VideoDetector
from faim.errors import FaimError
from faim.postprocess.causal import CausalRepp, CausalState
from faim.postprocess.one_object import OneObjectConfig, WholeVideo, show
from faim.postprocess.pairs import PairModel
from faim.postprocess.repp import Repp
from faim.structures import ScoredBoxes
from faim.wording import counted

#: Names of aggregations in sentences.
_CALLED = {"ticam": "TICAM"}


def check_post(post: str, mode: str) -> None:
    """Raise FaimError unless this post-processing exists and can work in this mode."""
    _check_name(post)
    if post == "repp" and mode == "stream":
        raise FaimError(
            "post: repp given with mode stream, but it needs the whole video; expected mode global "
            "or frame, or post causal"
        )
    if post == "causal" and mode != "stream":
        raise FaimError(
            f"post: causal given with mode {mode}, but it is for streams; expected mode stream, or "
            "post repp"
        )


def resolve_post(post: PostName, traits: Traits) -> PostName:
    """What "auto" stands for behind a detector; any other name is itself."""
    if post != "auto":
        return post
    return "causal" if traits.links else "none"


def before(post: PostName, detector: VideoDetector) -> VideoDetector:
    """The detector that post-processing is to be given the boxes of, in streams and whole videos.

    Where its choice is left to "auto", the detector may give way to it; see `VideoDetector.linked`.
    """
    return detector.linked() if post == "auto" and detector.traits.links else detector


def what_joins(mode: str, traits: Traits, frames: int, post: object) -> str:
    """What joins a mode's frames, for a summary; "TICAM over 31 past frames, causal tubelets".

    Args:
        mode: "stream", "global" or "frame".
        traits: of the detector that runs in this mode; of no account in mode frame.
        frames: past frames of a stream, or those that global mode looks at together.
        post: what runs in this mode after it, None for nothing.
    """
    name = "none" if mode == "frame" else traits.joins
    if name == "none" or not frames:
        text = "single frames"
    else:
        past = "past " if mode == "stream" else ""
        text = f"{_CALLED.get(name, name)} over {counted(frames, past + 'frame')}"
    if post is None:
        return text
    return f"{text}, {'REPP' if isinstance(post, WholeVideoPost) else 'causal tubelets'}"


class WholeVideoPost:
    """REPP, once all frames of a video are known, and then one box an object.

    It holds no state of any video.

    Attributes:
        model: the pair model.
    """

    def __init__(
        self, model: PairModel | None = None, shown: OneObjectConfig | None = None
    ) -> None:
        """`model` tells whether two boxes are one object; the published one by default."""
        self.model = PairModel() if model is None else model
        self._repp = Repp(model=self.model)
        self._shown = OneObjectConfig() if shown is None else shown

    def run(
        self,
        frames: Sequence[ScoredBoxes],
        sizes: Sequence[tuple[int, int]],
        least: float = 0.0,
    ) -> Iterator[ScoredBoxes]:
        """All frames of a video, of heights and widths `sizes`; see `Repp.iterate`.

        Tracks are numbered in the order in which they first reach the score `least`.

        Raises:
            FaimError: the frames' heights and widths differ.
        """
        for index, size in enumerate(sizes):
            if size != sizes[0]:
                raise FaimError(
                    f"post: frame {index} is {size[1]}x{size[0]}; expected "
                    f"{sizes[0][1]}x{sizes[0][0]} like the first, as repp compares positions"
                )
        if not len(sizes):
            return iter(())
        return map(WholeVideo(self._shown, least).show, self._repp.iterate(frames, sizes[0]))


class CausalPost:
    """REPP's causal relative, as the frames of a stream come, and then one box an object.

    The streams keep their states.

    Attributes:
        model: the pair model.
    """

    def __init__(
        self, model: PairModel | None = None, shown: OneObjectConfig | None = None
    ) -> None:
        """`model` tells whether two boxes are one object; the published one by default."""
        self.model = PairModel() if model is None else model
        self._causal = CausalRepp(model=self.model)
        self._shown = OneObjectConfig() if shown is None else shown

    def step(
        self,
        scored: ScoredBoxes,
        size: tuple[int, int],
        past: CausalState | None,
        least: float = 0.0,
    ) -> tuple[ScoredBoxes, CausalState]:
        """The next frame, of height and width `size`; `past` is None before the first.

        See `CausalRepp.step`, and `faim.postprocess.one_object.show`, also for `least`.
        """
        if past is None:
            past = CausalState.empty(scored.scores.shape[1])
        shown, followed = show(self._causal.follow(scored, size, past), self._shown, least)
        boxes, scores = shown.boxes.to(scored.boxes), shown.scores.to(scored.scores)
        return ScoredBoxes(boxes, scores, shown.track_ids), followed.state


def make_post(
    name: PostName,
    model: PairModel | None = None,
    traits: Traits | None = None,
    shown: OneObjectConfig | None = None,
) -> WholeVideoPost | CausalPost | None:
    """Post-processing by name, None for "none"; "auto" is for a detector of these traits.

    Raises:
        FaimError: no such name, or a pair model for nothing.
    """
    _check_name(name)
    if traits is not None:
        name = resolve_post(name, traits)
    if name in ("none", "auto"):
        if model is not None:
            raise FaimError("post model: given without post-processing; expected post repp, causal")
        return None
    return WholeVideoPost(model, shown) if name == "repp" else CausalPost(model, shown)


def _check_name(name: str) -> None:
    if name not in get_args(PostName):
        raise FaimError(f"post: {name!r} given; expected one of {', '.join(get_args(PostName))}")


class ScoredStore(Sequence[ScoredBoxes]):
    """The scored boxes of a video's frames, set in any order; scores of 0 take no memory."""

    def __init__(self) -> None:
        """Without frames."""
        self._frames: dict[int, _Packed] = {}

    def __len__(self) -> int:
        """Frames that are set."""
        return len(self._frames)

    def __setitem__(self, index: int, scored: ScoredBoxes) -> None:
        """Store one frame."""
        flat = scored.scores.cpu().float().flatten()
        places = flat.nonzero()[:, 0]
        boxes = scored.boxes.cpu().float().clone()
        shape = (scored.scores.shape[0], scored.scores.shape[1])
        self._frames[index] = _Packed(boxes, places.int(), flat[places], shape)

    @overload
    def __getitem__(self, index: int) -> ScoredBoxes: ...
    @overload
    def __getitem__(self, index: slice) -> list[ScoredBoxes]: ...
    def __getitem__(self, index: int | slice) -> ScoredBoxes | list[ScoredBoxes]:
        """One frame, or those of a slice; IndexError if it is not set."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if index not in self._frames:
            raise IndexError(f"frame {index} is not set")
        packed = self._frames[index]
        scores = torch.zeros(math.prod(packed.shape))
        scores[packed.places.long()] = packed.scores
        return ScoredBoxes(packed.boxes, scores.reshape(packed.shape))


@dataclass(frozen=True, slots=True)
class _Packed:
    """boxes (k, 4); of scores of `shape` (k, C) those above 0, with their places when flat."""

    boxes: Tensor
    places: Tensor
    scores: Tensor
    shape: tuple[int, int]
