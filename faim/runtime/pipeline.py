"""From frames to detections, in the three modes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import supervision as sv
import torch
from numpy.typing import NDArray
from torch import Tensor

from faim.data.transforms import LetterboxGeometry, letterbox, to_batch
from faim.errors import FaimError
from faim.models.aggregation import NoAggregation
from faim.models.faim import VideoDetector
from faim.runtime.frames import Frame, FrameSource, Image
from faim.runtime.memory import StreamState
from faim.runtime.results import FrameResult, to_supervision
from faim.runtime.sources import open_source
from faim.runtime.steps import Sampling, check_sampling, frame_groups, to_detections
from faim.structures import Detections, Proposals

Mode = Literal["stream", "global", "frame"]
Source: TypeAlias = str | int | Path | Sequence[NDArray[Any]] | FrameSource
#: detections below it are neither shown nor written, unless asked for.
DISPLAY_THRESHOLD = 0.3


@dataclass(frozen=True)
class _Proposed:
    """A frame after the part that looks at it alone; `proposals` without leading dimension."""

    frame: Frame
    geometry: LetterboxGeometry
    proposals: Proposals


class Detector:
    """A model made ready for images and video: what `faim.load` returns.

    It holds no state of any video and may serve several in turn.

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
    ) -> None:
        """See the class."""
        if not (isinstance(score_threshold, (int, float)) and 0.0 <= score_threshold <= 1.0):
            raise FaimError(f"conf: {score_threshold!r} given; expected a number from 0 to 1")
        check_sampling(sampling, seed)
        if batch_size < 1:
            raise FaimError(f"batch size: {batch_size} given; expected 1 or more")
        self.config = model.config
        self.size = check_size(self.config.test_size if size is None else size)
        self.score_threshold = score_threshold
        self.batch_size = batch_size
        self.sampling, self.seed = sampling, seed
        self.device = resolve_device(device)
        self.model = model.to(self.device) if isinstance(model, torch.nn.Module) else model

    @property
    def aggregation(self) -> str:
        """What joins the frames: "ticam", "affinity" or "none"."""
        name = type(self.model.aggregator).__name__
        return "none" if name == "NoAggregation" else name.removesuffix("Aggregator").lower()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of the class ids."""
        return self.config.class_names

    def predict(self, frames: Source, mode: Mode = "global") -> list[sv.Detections]:
        """Detections of every frame of a whole video.

        Args:
            frames: uint8 BGR arrays, or anything that `open_source` takes.
            mode: "global" lets every frame learn from the whole video, "stream" from its past
                alone, "frame" from nothing but itself.

        Returns:
            One `supervision.Detections` a frame, in order; boxes in pixels of that frame, names in
            `data["class_name"]`.

        Raises:
            FaimError: a source or mode that is none.

        Example:
            >>> import faim  # doctest: +SKIP
            >>> detector = faim.load("faim_s.safetensors")  # doctest: +SKIP
            >>> detector.predict("video.mp4")[0]["class_name"]  # doctest: +SKIP
            array(['dog'], dtype='<U3')
        """
        return [result.detections for result in self.stream(frames, mode, images=False)]

    def stream(
        self,
        source: Source,
        mode: Mode = "stream",
        *,
        images: bool = True,
        on_frame: Callable[[], None] = lambda: None,
    ) -> Iterator[FrameResult[sv.Detections]]:
        """Frames with their detections, one by one, as soon as they are known.

        Args:
            source: anything that `open_source` takes; it is closed at the end.
            mode: as in `predict`; "global" gives its first result after it has seen all frames.
            images: whether the results need pixels. Global mode keeps none and reads the source a
                second time for them; with False its frames come as `Frame.without_pixels`.
            on_frame: called whenever a frame has passed the base detector, for progress.

        Raises:
            FaimError: at once for a source or mode that is none, or "global" on a live source;
                while iterating when the source fails.
        """
        opened = open_source(source)
        return self._publish(opened, self.run(opened, mode, images=images, on_frame=on_frame))

    def _publish(
        self, source: FrameSource, results: Iterator[FrameResult[Detections]]
    ) -> Iterator[FrameResult[sv.Detections]]:
        with source:
            for result in results:
                found = to_supervision(result.detections, self.class_names)
                yield FrameResult(result.frame, found)

    def run(
        self,
        source: FrameSource,
        mode: Mode,
        *,
        images: bool = True,
        on_frame: Callable[[], None] = lambda: None,
    ) -> Iterator[FrameResult[Detections]]:
        """`stream` with tensors instead of `supervision.Detections`, on an open source.

        The source is not closed; arguments and errors are those of `stream`.
        """
        if mode not in get_args(Mode):
            raise FaimError(f"mode: {mode!r} given; expected one of {', '.join(get_args(Mode))}")
        if mode == "stream":
            return self._run_stream(source, on_frame)
        if mode == "frame":
            return self._run_frames(source, on_frame)
        if source.live:
            raise FaimError(
                f"{source.name}: a live source has no end, so mode global cannot work on it; "
                "expected mode stream or frame, or a file"
            )
        return self._run_global(source, images, on_frame)

    def new_state(self) -> StreamState:
        """The state of a stream that has not begun; it looks back at `test_frames` - 1 frames."""
        return StreamState.empty(self.config.test_frames - 1)

    def step(self, image: Image, state: StreamState) -> Detections:
        """One frame of a stream; changes `state`, and only on success.

        Args:
            image: (h, w, 3) uint8 BGR.
            state: from `new_state`, and then the same object for every frame of this stream.

        Returns:
            Detections in pixels of `image`.
        """
        [item] = self._propose([Frame(state.frames_seen, 0.0, image)])
        with torch.inference_mode():
            key = item.proposals
            probabilities, entry = self.model.aggregator.step(key, state.bank.stacked())
            detections = self._finish(item, probabilities)
        state.bank.append(entry)
        state.frames_seen += 1
        return detections

    def _run_stream(
        self, source: FrameSource, on_frame: Callable[[], None]
    ) -> Iterator[FrameResult[Detections]]:
        state = self.new_state()
        for frame in source:
            detections = self.step(frame.image, state)
            on_frame()
            yield FrameResult(frame, detections)

    def _run_frames(
        self, source: FrameSource, on_frame: Callable[[], None]
    ) -> Iterator[FrameResult[Detections]]:
        single = NoAggregation()
        for item in self._propose_all(source, 1 if source.live else self.batch_size):
            with torch.inference_mode():
                probabilities = single.refine(item.proposals.map(lambda tensor: tensor[None]))[0]
                detections = self._finish(item, probabilities)
            on_frame()
            yield FrameResult(item.frame, detections)

    def _run_global(
        self, source: FrameSource, images: bool, on_frame: Callable[[], None]
    ) -> Iterator[FrameResult[Detections]]:
        items = []
        for item in self._propose_all(source, self.batch_size):
            kept = item.proposals.detach().to("cpu")
            items.append(replace(item, frame=item.frame.without_pixels(), proposals=kept))
            on_frame()
        found = self._refine_groups(items)
        frames = _read_again(source, items) if images else (item.frame for item in items)
        for frame, detections in zip(frames, found, strict=True):
            yield FrameResult(frame, detections)

    def _refine_groups(self, items: list[_Proposed]) -> list[Detections]:
        found: dict[int, Detections] = {}
        groups = frame_groups(len(items), self.config.test_frames, self.sampling, self.seed)
        for group in groups:
            with torch.inference_mode():
                together = Proposals.stack([items[index].proposals for index in group])
                refined = self.model.aggregator.refine(together.to(self.device)).cpu()
                for index, probabilities in zip(group, refined, strict=True):
                    found[index] = self._finish(items[index], probabilities)
        return [found[index] for index in range(len(items))]

    def _propose_all(self, frames: Iterable[Frame], batch_size: int) -> Iterator[_Proposed]:
        iterator = iter(frames)
        while batch := list(islice(iterator, batch_size)):
            yield from self._propose(batch)

    def _propose(self, frames: list[Frame]) -> list[_Proposed]:
        boxed = [letterbox(frame.image, self.size) for frame in frames]
        with torch.inference_mode():
            images = to_batch([image for image, _ in boxed]).to(self.device)
            proposals = self.model.propose(images)
            return [
                _Proposed(frame, geometry, proposals[place])
                for place, (frame, (_, geometry)) in enumerate(zip(frames, boxed, strict=True))
            ]

    def _finish(self, item: _Proposed, probabilities: Tensor) -> Detections:
        return to_detections(
            item.proposals,
            probabilities,
            item.geometry,
            score_threshold=self.score_threshold,
            nms_threshold=self.config.nms_final,
        )


def _read_again(source: FrameSource, items: list[_Proposed]) -> Iterator[Frame]:
    """The frames of `items` once more, with their pixels.

    Raises:
        FaimError: there are fewer or more of them now, or one of another size.
    """
    frames = iter(source)
    for index, item in enumerate(items):
        frame = next(frames, None)
        if frame is None or frame.image.shape != item.frame.image.shape:
            raise _changed(source, "ends earlier" if frame is None else "has another size", index)
        yield frame
    if next(frames, None) is not None:
        raise _changed(source, "goes on", len(items))


def _changed(source: FrameSource, what: str, index: int) -> FaimError:
    return FaimError(
        f"{source.name}: {what} at frame {index} when read the second time; expected a source "
        "that does not change while mode global works on it"
    )


def check_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the network input.

    Raises:
        FaimError: not one or two whole numbers, or no multiples of 32.
    """
    sides: tuple[Any, ...] = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(sides) != 2 or any(
        not isinstance(side, (int, np.integer)) or side < 32 or side % 32 for side in sides
    ):
        raise FaimError(
            f"size: {size!r} given; expected a multiple of 32 in pixels, or height and width, each "
            "a multiple of 32"
        )
    return int(sides[0]), int(sides[1])


def resolve_device(device: str | torch.device) -> torch.device:
    """The device meant; "auto" is a GPU where there is one.

    Raises:
        FaimError: there is no such device here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise FaimError(
            f"device: {str(device)!r} cannot be used here; expected auto, cpu or a GPU that torch "
            "can see (cuda, cuda:1, mps)"
        ) from error
    return chosen
