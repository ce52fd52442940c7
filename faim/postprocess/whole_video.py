"""What mode global does with a whole video where post-processing is left to "auto"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import overload

from faim.choices import PostName
from faim.detector import Traits
from faim.postprocess.one_object import OneObjectConfig, WholeVideo
from faim.postprocess.pairs import PairModel
from faim.postprocess.post import WholeVideoPost, resolve_post
from faim.postprocess.repp import Repp
from faim.structures import ScoredBoxes


def whole_video_post(
    name: PostName,
    model: PairModel | None,
    traits: Traits,
    shown: OneObjectConfig | None = None,
) -> WholeVideoPost | None:
    """What links whole videos, None for nothing; "auto" does where it links streams too.

    Args:
        name: post-processing by name.
        model: the pair model; the published one if None.
        traits: of the detector.
        shown: how one box an object is left.
    """
    if name == "repp":
        return WholeVideoPost(model, shown)
    links = name == "auto" and resolve_post(name, traits) == "causal"
    return ShotwisePost(model, shown) if links else None


class ShotwisePost(WholeVideoPost):
    """REPP on every shot of a video by itself.

    A frame between two cuts, such as one of a folder of photographs, has no neighbour that could
    confirm its boxes: they stay as they are.
    """

    def __init__(
        self, model: PairModel | None = None, shown: OneObjectConfig | None = None
    ) -> None:
        """See `WholeVideoPost`."""
        super().__init__(model, shown)
        self._alone = Repp(replace(self._repp.config, add_unmatched=True), self.model)

    def run_shots(
        self,
        frames: Sequence[ScoredBoxes],
        sizes: Sequence[tuple[int, int]],
        cuts: Sequence[bool],
        least: float = 0.0,
    ) -> Iterator[ScoredBoxes]:
        """All frames of a video.

        Args:
            frames: as they were found.
            sizes: their heights and widths; another one begins a shot.
            cuts: whether a shot begins with the frame.
            least: see `WholeVideoPost.run`.
        """
        begins = [
            index
            for index, size in enumerate(sizes)
            if index and (cuts[index] or size != sizes[index - 1])
        ]
        one_object = WholeVideo(self._shown, least)
        for start, end in pairwise([0, *begins, len(sizes)]):
            repp = self._alone if end - start == 1 else self._repp
            if start < end:
                linked = repp.iterate(_Part(frames, start, end), sizes[start])
                yield from map(one_object.show, linked)
                one_object.next_shot()


class _Part(Sequence[ScoredBoxes]):
    """Some frames of a sequence in a row, each made anew whenever it is asked for."""

    def __init__(self, frames: Sequence[ScoredBoxes], start: int, end: int) -> None:
        self._frames, self._range = frames, range(start, end)

    def __len__(self) -> int:
        return len(self._range)

    @overload
    def __getitem__(self, index: int) -> ScoredBoxes: ...
    @overload
    def __getitem__(self, index: slice) -> list[ScoredBoxes]: ...
    def __getitem__(self, index: int | slice) -> ScoredBoxes | list[ScoredBoxes]:
        if isinstance(index, slice):
            return [self._frames[place] for place in self._range[index]]
        return self._frames[self._range[index]]
