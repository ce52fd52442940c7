"""What a prediction came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from faim.errors import FaimError
from faim.runtime.opening import Mode


@dataclass
class SourceSummary:
    """What a run found in one source, under its name."""

    name: str
    frames: int = 0
    detections: int = 0


@dataclass
class PredictSummary:
    """What a run came to.

    Attributes:
        mode: what ran.
        sources: the same of each source.
        frames: frames whose result was delivered.
        detections: detections in them.
        dropped: frames of a camera or stream that came too fast to be looked at.
        unread: frames that could not be read.
        seconds: wall time from the first frame read to the last result delivered, decoding,
            drawing and encoding included.
        lost: cameras and streams that were lost for good, by name.
        status: of the command line: 0, or 130 after Ctrl-C, 143 after SIGTERM.
    """

    mode: Mode = "stream"
    sources: list[SourceSummary] = field(default_factory=list)
    dropped: int = 0
    unread: int = 0
    seconds: float = 0.0
    lost: tuple[str, ...] = ()
    status: int = 0

    @property
    def frames(self) -> int:
        """In all sources."""
        return sum(source.frames for source in self.sources)

    @property
    def detections(self) -> int:
        """In all sources."""
        return sum(source.detections for source in self.sources)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C or SIGTERM ended the run."""
        return self.status != 0

    @property
    def ms_per_frame(self) -> float:
        """Milliseconds a frame, 0 without frames."""
        return 1000 * self.seconds / self.frames if self.frames else 0.0

    @property
    def fps(self) -> float:
        """Frames a second, 0 without frames."""
        return self.frames / self.seconds if self.seconds else 0.0

    def check_complete(self) -> None:
        """Raise FaimError where the run ended because a camera or stream was lost for good."""
        if self.lost and not self.interrupted:
            raise FaimError(
                f"{self.lost[0]}: was lost and did not come back; expected a camera or stream that "
                "stays"
            )
