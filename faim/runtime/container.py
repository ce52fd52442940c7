"""What PyAV opens: files and streams, the one of their video streams to show, how long they are."""

from __future__ import annotations

from time import monotonic
from typing import Any

import av
from av.container import Flags
from av.stream import Discard, Disposition

from faim.errors import FaimError

#: Pixels that a stream marked as the default one counts for, when ffmpeg chooses among several.
DEFAULT_STREAM_BONUS = 5_000_000
#: Containers that are lists of others; their size is that of the list.
PLAYLISTS = frozenset({"dash", "hls"})


def open_container(
    address: str,
    name: str,
    expected: str,
    *,
    timeout: float | None = None,
    options: dict[str, str] | None = None,
) -> Any:
    """An `av` input container that has a video.

    Args:
        address: what FFmpeg opens: a URL, or a local file by `ffmpeg_path`.
        name: what messages call it.
        expected: what the message of an error asks for.
        timeout: seconds without an answer after which opening, and later reading, is given up.
        options: of FFmpeg.

    Raises:
        FaimError: it cannot be opened in time or has no video that can be decoded.
    """
    start = monotonic()
    try:
        # A name with a % is that of one file, and tags may be in any encoding.
        container = av.open(
            address,
            container_options={"pattern_type": "none", **(options or {})},
            timeout=timeout,
            metadata_errors="replace",
        )
    except av.error.FFmpegError as error:
        # The error itself repeats the address, with its password; so the sentence does not show it.
        reason = error.strerror or "unknown error"
        # What FFmpeg says of an interrupted call depends on the protocol.
        if timeout is not None and monotonic() - start >= timeout:
            reason = f"no answer within {timeout:g} s"
        raise FaimError(
            f"{name}: cannot be opened as a video ({reason}); expected {expected}"
        ) from None
    # PyAV's guesses at missing stamps rest on less than what is known after decoding.
    container.flags &= ~Flags.gen_pts.value
    try:
        _check_video(container, name)
    except FaimError:
        container.close()
        raise
    return container


def _check_video(container: Any, name: str) -> None:
    streams = _moving(container)
    if not streams:
        raise FaimError(f"{name}: has no video stream; expected a video")
    if not any(stream.codec_context for stream in streams):
        raise FaimError(f"{name}: no decoder for its video; expected a codec that FFmpeg knows")


def _moving(container: Any) -> list[Any]:
    """The video streams, without pictures that are attached to something, such as a cover."""
    return [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]


def shown_stream(container: Any) -> Any:
    """The video stream that the ffmpeg program takes by itself; the others are then not read.

    That is the largest one, one that is marked as default counting for more.
    """
    streams = [stream for stream in _moving(container) if stream.codec_context]
    shown = max(streams, key=_preference)
    for stream in container.streams:
        if stream.index != shown.index:
            stream.discard = Discard.all
    return shown


def _preference(stream: Any) -> int:
    default = bool(stream.disposition & Disposition.default)
    pixels = stream.codec_context.width * stream.codec_context.height
    return int(pixels + DEFAULT_STREAM_BONUS * default)


def has_end(container: Any) -> bool:
    """Whether it is known to end: it says how long it lasts, or is a file of known size."""
    if container.duration and container.duration > 0:
        return True
    return container.format.name not in PLAYLISTS and container.size > 0


def promised_frames(container: Any, stream: Any) -> int:
    """Frames that the header promises to show, without those that an edit list cuts; 0 if unknown.

    An edit list marks some entries of the index, and others it takes out of it; those show where
    the file is read without the list.
    """
    frames, index = int(stream.frames or 0), stream.index_entries
    # What has no size is a pipe, which must not be opened a second time.
    if "mp4" not in container.format.name.split(",") or container.size <= 0:
        return frames
    hidden = sum(entry.is_discard for entry in index)
    if hidden or 0 < len(index) < frames:
        hidden += _entries_without_edits(container, stream.index) - len(index)
    return max(frames - hidden, 0)


def _entries_without_edits(container: Any, index: int) -> int:
    try:
        with av.open(
            container.name,
            container_options={"ignore_editlist": "1"},
            metadata_errors="replace",
            timeout=10.0,
        ) as plain:
            return len(plain.streams[index].index_entries)
    except av.error.FFmpegError:
        return len(container.streams[index].index_entries)


def frames_by_duration(container: Any, stream: Any, fps: float) -> int | None:
    """Frames to expect by how long it says it lasts; None if unknown."""
    if stream.duration and stream.time_base:
        return max(1, round(float(stream.duration * stream.time_base) * fps))
    if container.duration:
        return max(1, round(container.duration / av.time_base * fps))
    return None
