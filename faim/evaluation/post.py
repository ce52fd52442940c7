"""Post-processing in an evaluation: a whole video at once, mode by mode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from faim.choices import PostName
from faim.postprocess.causal import CausalState
from faim.postprocess.pairs import PairModel
from faim.postprocess.post import CausalPost, make_post
from faim.structures import ScoredBoxes


class VideoPost(Protocol):
    """What is done to a video's boxes, such as `faim.postprocess.post.WholeVideoPost`."""

    def run(
        self, frames: Sequence[ScoredBoxes], sizes: Sequence[tuple[int, int]]
    ) -> Iterable[ScoredBoxes]:
        """The same frames with other boxes and scores; `sizes` are their heights and widths."""
        ...


class FrameByFrame:
    """Causal post-processing of a video whose frames are all known."""

    def __init__(self, post: CausalPost) -> None:
        """`post` sees the frames in order, each with what it made of those before."""
        self.post = post

    def run(
        self, frames: Sequence[ScoredBoxes], sizes: Sequence[tuple[int, int]]
    ) -> Iterator[ScoredBoxes]:
        """See `VideoPost`; each frame may have its own size."""
        past: CausalState | None = None
        for scored, size in zip(frames, sizes, strict=True):
            result, past = self.post.step(scored, size, past)
            yield result


def open_post(name: PostName, model_file: str | Path | None) -> VideoPost | None:
    """Post-processing by name, None for "none"; FaimError if the pair model cannot be read."""
    post = make_post(name, PairModel.from_json(model_file) if model_file else None)
    return FrameByFrame(post) if isinstance(post, CausalPost) else post
