"""What users call of a detector: from whatever they have to results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Self

from faim.checks import check_score
from faim.choices import ModeName, PostName
from faim.pictures.image import Image
from faim.runtime.class_choice import Classes, class_ids_of
from faim.runtime.excerpt import Span
from faim.runtime.given import holds_pictures, is_one_picture
from faim.runtime.images import IMAGE_FPS
from faim.runtime.opening import Source, open_ahead
from faim.runtime.pixels import ChannelOrder, Picture, to_image
from faim.runtime.results import FrameResult, to_result
from faim.runtime.sources import FirstFrames, check_limit
from faim.stream.frames import Frame, FrameSource
from faim.stream.state import StreamState
from faim.stream.work import TensorResult
from faim.structures import Detections


class Calls(ABC):
    """Inputs and results of a detector, over the frames and tensors of its inside."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Names in the order of the class ids."""

    @abstractmethod
    def new_state(self) -> StreamState:
        """The state of a stream that has not begun.

        Example:
            >>> import faim
            >>> state = faim.load(bank_frames=8).new_state()
            >>> state.frames_seen, len(state.bank), state.bank.capacity
            (0, 0, 8)
        """

    @abstractmethod
    def run(
        self,
        source: FrameSource,
        mode: ModeName,
        *,
        images: bool = True,
        on_frame: Callable[[], None] = lambda: None,
    ) -> Iterator[TensorResult]:
        """`stream` with tensors instead of `supervision.Detections`, on an open source.

        The source is not closed; arguments and errors are those of `stream`.
        """

    @abstractmethod
    def advance(self, images: Sequence[Image], states: Sequence[StreamState]) -> list[Detections]:
        """`step_many` from (h, w, 3) uint8 BGR arrays to tensors, for the parts of this package."""

    @abstractmethod
    def warn_of_patterns(self) -> None:
        """Say, the first time, that these weights know nothing real, where that is so."""

    @abstractmethod
    def _with(
        self,
        *,
        score_threshold: float | None = None,
        post: PostName | None = None,
        class_ids: tuple[int, ...] | None = None,
    ) -> Self:
        """The same detector, of the same model, with other options for one call."""

    def __call__(
        self,
        source: Source,
        *,
        conf: float | None = None,
        classes: Classes | None = None,
        channel_order: ChannelOrder | None = None,
        images: bool | None = None,
    ) -> FrameResult | list[FrameResult]:
        """What is in a picture; or in pictures, each by itself and without post-processing.

        Args:
            source: anything that `open_source` takes.
            conf, classes, channel_order, images: as in `predict`.

        Returns:
            One result for one picture or its file, a list of them for everything else.

        Raises:
            FaimError: as `predict`.

        Example:
            >>> import numpy as np, faim
            >>> detector = faim.load()
            >>> picture = np.full((256, 256, 3), 114, np.uint8)
            >>> picture[64:160, 64:160] = np.arange(96)[:, None] // 8 % 2 * 180 + 40
            >>> detector(picture).labels
            ['stripes']
            >>> [result.index for result in detector([picture, picture], conf=0.5)]
            [0, 1]
            >>> detector(picture, classes="dots, rings").labels
            []
        """
        alone = self._with(post="none")
        found = alone.predict(
            source, "frame", conf=conf, classes=classes, channel_order=channel_order, images=images
        )
        return found[0] if is_one_picture(source) else found

    def predict(
        self,
        frames: Source,
        mode: ModeName = "global",
        *,
        conf: float | None = None,
        classes: Classes | None = None,
        channel_order: ChannelOrder | None = None,
        images: bool | None = None,
        stride: int = 1,
        start: str | float | None = None,
        end: str | float | None = None,
        limit: int | None = None,
    ) -> list[FrameResult]:
        """What is in every frame of a whole video.

        Args:
            frames: uint8 BGR arrays, or anything that `open_source` takes. What can be read once,
                as a generator, is.
            mode: "global" lets every frame learn from the whole video, "stream" from its past
                alone, "frame" from nothing but itself; "auto" is "stream" for a live source (or
                with post "causal"), and "global" for anything else.
            conf: detections below it are dropped, in [0, 1]; the detector's own by default.
            classes: names or numbers of the classes to show; all by default.
            channel_order: of arrays ("bgr" by default) and tensors ("rgb" by default).
            images: whether the results keep their pixels, which `plot` and `save` need; by default
                those of one picture or of a list of them do.
            stride, start, end, limit: which frames are looked at, see `stream`.

        Returns:
            One result a frame looked at, in order; `index`, `time` and `file` say which. A frame
            that cannot be read has none.

        Raises:
            FaimError: a source, mode or option that is none.

        Example:
            >>> import numpy as np, faim
            >>> frames = [np.full((64, 96, 3), grey, np.uint8) for grey in (0, 114, 255)]
            >>> [(result.index, result.time, len(result)) for result in faim.load().predict(frames)]
            [(0, 0.0, 0), (1, 0.04, 0), (2, 0.08, 0)]
        """
        kept = holds_pictures(frames) if images is None else images
        results = self.stream(
            frames,
            mode,
            conf=conf,
            classes=classes,
            channel_order=channel_order,
            images=kept,
            stride=stride,
            start=start,
            end=end,
            limit=limit,
        )
        return [result if kept else result.without_pixels() for result in results]

    def stream(
        self,
        source: Source,
        mode: ModeName = "stream",
        *,
        conf: float | None = None,
        classes: Classes | None = None,
        channel_order: ChannelOrder | None = None,
        images: bool = True,
        on_frame: Callable[[], None] = lambda: None,
        stride: int = 1,
        start: str | float | None = None,
        end: str | float | None = None,
        limit: int | None = None,
    ) -> Iterator[FrameResult]:
        """Frames with their detections, one by one, as soon as they are known.

        Args:
            source: anything that `open_source` takes. Files, cameras and URLs are decoded ahead in
                a thread; what the program itself gives is read as it is needed. A source is closed
                at the end, but a capture or generator of the program's own.
            mode: as in `predict`; "global" gives its first result after it has seen all frames.
            conf, classes, channel_order: as in `predict`.
            images: whether the results need pixels. Global mode keeps none and reads the source a
                second time for them (of one that can be read once it keeps all frames in memory);
                with False its frames come as `Frame.without_pixels`.
            on_frame: called whenever a frame has passed the base detector, for progress.
            stride: look at every so many-th frame; all keep the numbers and times of the source.
            start, end: times in the source, in seconds or as "H:MM:SS.5", from which on and before
                which frames are looked at; not of a live source.
            limit: most frames looked at.

        Raises:
            FaimError: at once for a source, mode or option that is none, or "global", a start or an
                end on a live source; while iterating when the source fails, or has no frame from
                `start` to `end`.

        Example:
            >>> import numpy as np, faim
            >>> frames = (np.full((64, 96, 3), grey, np.uint8) for grey in (0, 114))
            >>> for result in faim.load().stream(frames):  # or "video.mp4", 0 for a webcam
            ...     print(result)
            <FrameResult of generator, frame 0 at 0.00 s: nothing>
            <FrameResult of generator, frame 1 at 0.04 s: nothing>
        """
        check_limit(limit)
        detector = self._with(
            score_threshold=None if conf is None else check_score(conf),
            class_ids=None if classes is None else class_ids_of(classes, self.class_names),
        )
        opened = open_ahead(source, Span.parse(stride, start, end), channel_order)
        if limit is not None:
            opened = FirstFrames(opened, limit)
        self.warn_of_patterns()
        return self._publish(opened, detector.run(opened, mode, images=images, on_frame=on_frame))

    def _publish(
        self, source: FrameSource, results: Iterator[TensorResult]
    ) -> Iterator[FrameResult]:
        with source:
            for found in results:
                yield to_result(found, self.class_names, source.name)

    def step(
        self,
        image: Picture,
        state: StreamState,
        *,
        time: float | None = None,
        channel_order: ChannelOrder | None = None,
    ) -> FrameResult:
        """One frame of a stream; changes `state`, and only on success.

        Args:
            image: (h, w, 3) uint8 BGR, or another picture that `to_image` takes.
            state: from `new_state`, and then the same object for every frame of this stream.
            time: of the frame, in seconds since the first; by default as at 25 frames a second.
            channel_order: as in `predict`.

        Returns:
            What `stream` gives for this frame; `index` counts the frames that the state has seen.

        Raises:
            FaimError: the state is that of another model, or the picture is none.

        Example:
            >>> import numpy as np, faim
            >>> detector = faim.load()
            >>> state = detector.new_state()
            >>> for grey in (0, 114):
            ...     result = detector.step(np.full((64, 96, 3), grey, np.uint8), state)
            >>> result
            <FrameResult frame 1 at 0.04 s: nothing>
        """
        times = None if time is None else [time]
        return self.step_many([image], [state], times=times, channel_order=channel_order)[0]

    def step_many(
        self,
        images: Sequence[Picture],
        states: Sequence[StreamState],
        *,
        times: Sequence[float] | None = None,
        channel_order: ChannelOrder | None = None,
    ) -> list[FrameResult]:
        """`step` for one frame of each of several streams, through the base detector together.

        A state changes only once the detections of its frame are known.

        Example:
            >>> import numpy as np, faim
            >>> detector = faim.load()
            >>> states = [detector.new_state() for _ in range(2)]
            >>> pictures = [np.full((64, 96, 3), grey, np.uint8) for grey in (0, 114)]
            >>> detector.step_many(pictures, states, times=[0.0, 12.5])[1]
            <FrameResult frame 0 at 12.50 s: nothing>
            >>> [state.frames_seen for state in states]
            [1, 1]
        """
        if times is None:
            times = [state.frames_seen / IMAGE_FPS for state in states]
        frames = [
            Frame(
                state.frames_seen,
                time,
                to_image(image, f"frame {state.frames_seen}", channel_order),
            )
            for image, state, time in zip(images, states, times, strict=True)
        ]
        found = self.advance([frame.image for frame in frames], states)
        return [
            to_result(TensorResult(frame, detections), self.class_names, "")
            for frame, detections in zip(frames, found, strict=True)
        ]
