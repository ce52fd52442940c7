"""Post-processing as a running detector uses it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args, overload

import torch
from torch import Tensor

from faim.errors import FaimError
from faim.postprocess.causal import CausalRepp, CausalState
from faim.postprocess.pairs import PairModel
from faim.postprocess.repp import Repp
from faim.structures import ScoredBoxes

#: What is done with the detections of a video: nothing, REPP on the whole of it, or its causal
#: relative as the frames come.
PostName = Literal["none", "repp", "causal"]


def check_post(post: str, mode: str) -> None:
    """Raise FaimError unless this post-processing exists and can work in this mode."""
    if post not in get_args(PostName):
        raise FaimError(f"post: {post!r} given; expected one of {', '.join(get_args(PostName))}")
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


class PostProcessing:
    """A kind of post-processing; it holds no state of any video.

    Args:
        name: which.
        model: tells whether two boxes are one object; the published one by default.

    Attributes:
        name: which it is.
        model: the pair model.

    Raises:
        FaimError: no such name, or a model for nothing.
    """

    def __init__(self, name: PostName = "none", model: PairModel | None = None) -> None:
        """See the class."""
        if name == "none" and model is not None:
            raise FaimError("post model: given without post-processing; expected post repp, causal")
        if name not in get_args(PostName):
            raise FaimError(
                f"post: {name!r} given; expected one of {', '.join(get_args(PostName))}"
            )
        self.name = name
        self.model = PairModel() if model is None else model
        self._repp, self._causal = Repp(model=self.model), CausalRepp(model=self.model)

    def step(
        self, scored: ScoredBoxes, size: tuple[int, int], past: CausalState | None
    ) -> tuple[ScoredBoxes, CausalState]:
        """The next frame of a stream, of height and width `size`; see `CausalRepp.step`."""
        if past is None:
            past = CausalState.empty(scored.scores.shape[1])
        return self._causal.step(scored, size, past)

    def whole(
        self, frames: Sequence[ScoredBoxes], sizes: Sequence[tuple[int, int]]
    ) -> Iterator[ScoredBoxes]:
        """All frames of a video; see `Repp.iterate`.

        Raises:
            FaimError: the frames' heights and widths differ.
        """
        for index, size in enumerate(sizes):
            if size != sizes[0]:
                raise FaimError(
                    f"post: frame {index} is {size[1]}x{size[0]}; expected "
                    f"{sizes[0][1]}x{sizes[0][0]} like the first, as repp compares positions"
                )
        return self._repp.iterate(frames, sizes[0]) if len(sizes) else iter(())


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
