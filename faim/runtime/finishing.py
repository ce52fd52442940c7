"""The last pass over a written video: its index to the front, and the source's sound."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import ExitStack, closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from loguru import logger

from faim.errors import FaimError
from faim.files import ffmpeg_path, is_special, write_whole
from faim.pictures.files import is_image_name
from faim.runtime.video import VideoSource
from faim.stream.frames import FrameSource

#: What players of MP4 understand; a container may allow more, which then plays nowhere.
_PLAYED = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"})
#: Samples of a packet of AAC, which its encoder wants at a time, and most of them a second.
_AAC_SAMPLES, _AAC_RATE = 1024, 48_000
#: Seconds before the first picture from which sound is kept: what a decoder needs to begin.
_LEAD = 0.05


def audio_file(source: FrameSource) -> Path | None:
    """The file whose sound belongs to a source, None where there is none.

    Raises:
        FaimError: the source can be read once only.
    """
    if source.live:
        raise FaimError(
            f"keep-audio: {source.name} is live, so its sound is gone; expected a video file"
        )
    path = Path(source.name)
    return path if path.is_file() and not is_image_name(path) else None


def finish_video(path: str, kind: str, audio_of: Path | None = None, first: float = 0.0) -> None:
    """Make a whole video one that plays while it loads, and give it sound.

    The file is replaced once that is done; where it cannot be, it stays as it is, with a warning.

    Args:
        path: the video, of one stream.
        kind: FFmpeg's name of its container. Matroska is read from the front anyway.
        audio_of: the video file that its pictures are of; their part of its sound is taken.
        first: `Frame.time` of the first picture; a file may begin at 0 all the same.
    """
    if is_special(path) or (kind == "matroska" and audio_of is None):
        return
    try:
        write_whole(Path(path), lambda part: _remux(path, kind, (audio_of, first), part))
    except FaimError as error:
        logger.warning("{}: stays as it was written first ({})", path, error)


def _remux(path: str, kind: str, sound: tuple[Path | None, float], part: Path) -> None:
    audio_of, first = sound
    options = {} if kind == "matroska" else {"movflags": "faststart"}
    try:
        with ExitStack() as stack:
            written = stack.enter_context(av.open(ffmpeg_path(path)))
            out = stack.enter_context(av.open(ffmpeg_path(part), "w", format=kind, options=options))
            video = written.streams.video[0]
            packets = [_copied(written, video, out)]
            if audio_of is not None:
                start, end = _span(written, video)
                begin = _first_picture(audio_of) + Fraction(first).limit_denominator(10**6) - start
                packets += _sound(audio_of, begin, (start, end), kind, out, stack)
            for _, packet in heapq.merge(*packets, key=lambda pair: pair[0]):
                out.mux(packet)
    except av.error.FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error


def _copied(container: Any, stream: Any, out: Any) -> Iterator[tuple[Fraction, Any]]:
    """The packets of a stream for a new one in `out`, each with its time."""
    target = out.add_stream_from_template(stream)
    target.time_base = stream.time_base
    return _copies(container, stream, target)


def _copies(container: Any, stream: Any, target: Any) -> Iterator[tuple[Fraction, Any]]:
    for packet in container.demux(stream):
        if packet.dts is not None:
            packet.stream = target
            yield packet.dts * packet.time_base, packet


def _span(container: Any, video: Any) -> tuple[Fraction, Fraction]:
    """When the pictures begin and end, in seconds."""
    start = (video.start_time or 0) * video.time_base
    if video.duration:
        return start, start + video.duration * video.time_base
    return start, Fraction(container.duration or 0, av.time_base)


def _sound(
    path: Path,
    begin: Fraction,
    span: tuple[Fraction, Fraction],
    kind: str,
    out: Any,
    stack: ExitStack,
) -> list[Iterator[tuple[Fraction, Any]]]:
    """The packets of a file's sound, as a stream of `out`; none where it has no sound.

    `begin` is the stamp in the file of what is second 0 in `out`, `span` the pictures' there.
    """
    source = stack.enter_context(av.open(ffmpeg_path(path), metadata_errors="replace"))
    stream = source.streams.best("audio")
    if stream is None:
        logger.info("{}: has no sound to keep", path)
        return []
    name = stream.codec_context.codec.canonical_name
    played = kind in ("matroska", "mov") or name in _PLAYED
    lead = Fraction(_LEAD) if kind != "matroska" else Fraction(0)
    if played and name in out.supported_codecs:
        target = out.add_stream_from_template(stream)
        packets = source.demux(stream)
    else:
        # Two channels and this rate play everywhere; what PCM has may not even have a name.
        layout = "mono" if stream.codec_context.channels == 1 else "stereo"
        target = out.add_stream("aac", rate=min(stream.rate, _AAC_RATE), layout=layout)
        packets = _encoded(source, stream, target)
        logger.info("{}: its sound, {}, is written as aac", path, name)
    return [_placed(packets, target, begin, (span[0] - lead, span[1]))]


def _first_picture(path: Path) -> Fraction:
    """The time stamp of what is frame 0, from which `Frame.time` counts."""
    with closing(VideoSource(str(path)).open()) as reader:
        stamp = reader.read()
    return Fraction(0) if stamp is None else Fraction(stamp[0] or 0).limit_denominator(10**6)


def _encoded(source: Any, stream: Any, target: Any) -> Iterator[Any]:
    """The packets of a stream's sound in the codec of another."""
    context = target.codec_context
    resampler = av.AudioResampler(context.format, context.layout, context.rate, _AAC_SAMPLES)
    for packet in source.demux(stream):
        for frame in packet.decode():
            for piece in resampler.resample(frame):
                yield from target.encode(piece)
    for piece in resampler.resample(None):
        yield from target.encode(piece)
    yield from target.encode(None)


def _placed(
    packets: Iterator[Any], target: Any, begin: Fraction, span: tuple[Fraction, Fraction]
) -> Iterator[tuple[Fraction, Any]]:
    """The packets within a span of seconds, counted from the stamp `begin`."""
    for packet in packets:
        if packet.pts is None or packet.dts is None:
            continue
        shift = round(begin / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        start = packet.pts * packet.time_base
        if start >= span[1]:
            return
        if start >= span[0]:
            packet.stream = target
            yield start, packet
