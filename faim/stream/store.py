"""What global mode keeps of a whole video, within bounded memory.

An hour at 30 frames a second is 108,000 frames. Their proposals (n = 30, D = 128, C = 80: 40 KB a
frame, 4.4 GB) go to a temporary file when they grow too many; their detections (24 bytes each) are
packed into one block.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import tempfile
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

import numpy as np
import torch
from torch import Tensor

from faim.errors import FaimError
from faim.structures import Detections, TensorRecord

#: Bytes of proposals that are kept in memory.
MEMORY_LIMIT = 256 * 2**20
_MB = 1_000_000


@dataclass(frozen=True)
class _Field:
    """One tensor of a record of bytes: those from `start` to `stop`."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    start: int
    stop: int


class SeenStore:
    """What was seen of all frames of a video, in order of their arrival, bit for bit.

    They stay in memory up to the limit. Beyond it all of them move to a nameless file in the folder
    for temporary files, which the system removes when the store is closed or the process ends,
    however it ends. That folder is the one that TMPDIR names, or the system's; where it lies in
    memory itself (tmpfs), TMPDIR should name another.

    Args:
        memory_limit: bytes of proposals to keep in memory; 0 writes them to the file at once.

    Raises:
        FaimError: a negative limit.
    """

    def __init__(self, memory_limit: int = MEMORY_LIMIT) -> None:
        if memory_limit < 0:
            raise FaimError(
                f"proposal store: memory limit is {memory_limit} bytes; expected 0 or more"
            )
        self._memory_limit = memory_limit
        # To SpooledTemporaryFile 0 means no limit.
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=max(memory_limit, 1))  # noqa: SIM115
        self._layout: list[_Field] = []
        self._length = 0
        self._kind: TensorRecord | None = None

    def __len__(self) -> int:
        """Frames stored."""
        return self._length

    @property
    def frame_bytes(self) -> int:
        """Bytes that one frame takes; 0 before the first."""
        return self._layout[-1].stop if self._layout else 0

    def append(self, seen: TensorRecord) -> None:
        """Store the next frame's, without leading dimension.

        Raises:
            FaimError: other shapes or types than the frames before, or no space left for the file.
        """
        tensors = seen.tensors()
        layout = _layout(tensors)
        if self._layout and layout != self._layout:
            new, known = next(
                pair for pair in zip(layout, self._layout, strict=True) if pair[0] != pair[1]
            )
            raise FaimError(
                f"proposal store: {new.name} of frame {self._length} is {new.shape} {new.dtype}; "
                f"expected {known.shape} {known.dtype} as in the frames before"
            )
        self._layout, self._kind = layout, seen
        record = b"".join(map(_to_bytes, tensors.values()))
        try:
            self._file.seek(self._length * len(record))
            self._file.write(record)
            self._file.flush()
        except OSError as error:
            raise self._no_space(error) from error
        self._length += 1

    def check_space(self, frames: int | None) -> None:
        """See after the first frame whether so many will find a place; unknown for None.

        Raises:
            FaimError: they will not, which would otherwise show after most of the work.
        """
        needed = (frames or 0) * self.frame_bytes
        if needed <= self._memory_limit:
            return
        try:
            folder = tempfile.gettempdir()
            free = shutil.disk_usage(folder).free
        except OSError:  # it is said when the file is to be written
            return
        if free < needed:
            raise FaimError(
                f"{folder}: the proposals of {frames} frames, {needed / _MB:.1f} MB, do not fit "
                f"into the {free / _MB:.1f} MB that are free; expected TMPDIR to name a folder "
                "with enough space, or mode stream"
            )

    def group(self, indices: Sequence[int]) -> TensorRecord:
        """What was seen of some frames, stacked.

        Args:
            indices: m numbers of frames, counted from 0 in the order of `append`, in any order.

        Returns:
            Leading dimension m, on the CPU.

        Raises:
            FaimError: no such frame, or the file cannot be read.
        """
        for index in indices:
            if not 0 <= index < self._length:
                raise FaimError(
                    f"proposal store: frame {index} asked for; expected one of the {self._length} "
                    "frames stored, counted from 0"
                )
        records = np.empty((len(indices), self.frame_bytes), dtype=np.uint8)
        try:
            for record, index in zip(records, indices, strict=True):
                self._file.seek(index * len(record))
                record[:] = np.frombuffer(self._file.read(len(record)), dtype=np.uint8)
        except (OSError, ValueError) as error:
            raise FaimError(
                f"{tempfile.gettempdir()}: the temporary file of proposals cannot be read "
                f"({error}); expected it to stay as it was written"
            ) from error
        assert self._kind is not None
        return self._kind.with_tensors(
            {part.name: _from_bytes(records, part) for part in self._layout}
        )

    def close(self) -> None:
        """Forget everything; a file is gone with it. May be called twice."""
        with contextlib.suppress(OSError):  # a full disk refuses what was not yet written
            self._file.close()
        self._length = 0

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _no_space(self, error: OSError) -> FaimError:
        needed = (self._length + 1) * self.frame_bytes / _MB
        try:
            folder = tempfile.gettempdir()
        except OSError:  # none of the usual folders can be written to
            folder = "the folder for temporary files"
        return FaimError(
            f"{folder}: the proposals of {self._length + 1} frames, {needed:.1f} MB, cannot be "
            f"written ({error.strerror or error}); expected TMPDIR to name a folder with enough "
            f"space ({self.frame_bytes / _MB:.3f} MB a frame of the video)"
        )


#: In the place of a track's number, where nothing links the frames.
_NO_TRACKS = 0


class DetectionStore:
    """The detections of every frame of a video, 28 bytes each, set in any order.

    Args:
        num_frames: frames of the video.
    """

    def __init__(self, num_frames: int) -> None:
        self._rows = bytearray()
        self._starts = array("q", [-1]) * num_frames
        self._counts = array("q", [0]) * num_frames

    def __len__(self) -> int:
        """Frames of the video."""
        return len(self._starts)

    def __setitem__(self, index: int, detections: Detections) -> None:
        """Store one frame's detections; class and track ids below 2^24. Each is set only once."""
        if self._starts[index] >= 0:
            raise KeyError(f"frame {index} is already set")
        tracks = detections.track_ids
        if tracks is None:
            tracks = torch.full_like(detections.class_ids, _NO_TRACKS)
        numbers = (detections.scores, detections.class_ids, tracks)
        columns = (detections.boxes, *(column[:, None] for column in numbers))
        rows = torch.cat([column.detach().cpu().float() for column in columns], dim=1)
        self._starts[index], self._counts[index] = len(self._rows), len(rows)
        self._rows += _to_bytes(rows)

    def __getitem__(self, index: int) -> Detections:
        """One frame's detections, on the CPU.

        Raises:
            KeyError: the frame has not been set.
            IndexError: the video has no such frame.
        """
        start, count = self._starts[index], self._counts[index]
        if start < 0:
            raise KeyError(f"frame {index} is not set")
        rows = np.frombuffer(self._rows, np.float32, count * 7, start).copy().reshape(count, 7)
        found = torch.from_numpy(rows)
        tracks = found[:, 6].long()
        return Detections(
            found[:, :4],
            found[:, 4],
            found[:, 5].long(),
            None if (tracks == _NO_TRACKS).any() else tracks,
        )


def _layout(tensors: dict[str, Tensor]) -> list[_Field]:
    layout: list[_Field] = []
    start = 0
    for name, tensor in tensors.items():
        stop = start + tensor.numel() * tensor.element_size()
        layout.append(_Field(name, tuple(tensor.shape), tensor.dtype, start, stop))
        start = stop
    return layout


def _to_bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _from_bytes(records: np.ndarray, part: _Field) -> Tensor:
    """The tensors of one field out of (m, bytes) records: (m, *shape)."""
    flat = np.ascontiguousarray(records[:, part.start : part.stop]).reshape(-1)
    size = (len(records), *part.shape)
    if not math.prod(size):
        return torch.empty(size, dtype=part.dtype)
    return torch.from_numpy(flat).view(part.dtype).reshape(size)
