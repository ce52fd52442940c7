"""Presentation stamps as the ffmpeg program gives them, from clocks that restart, jump or lack."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

#: seconds by which a clock that may restart goes back, or forward, before that counts as a restart.
BACK, AHEAD = 0.1, 10.0
#: seconds by which stamps of any other container are off before they count as missing.
ABSURD = 30 * 3600.0


class PacketClock:
    """Mends the stamps of packets as they come, in decoding order.

    Transport streams and their kin (FFmpeg's TS_DISCONT) may be joined of several, each with a
    clock of its own: where it turns back, or far ahead, the stamps go on from the packet before. In
    other containers stamps that are off by more than a day are taken away. The rules and numbers
    are those of `ts_discontinuity_detect` in ffmpeg's ffmpeg_demux.c, and one more: where B-frames
    bring the two stamps of a packet to different sides of such a step, that for presentation goes.

    Args:
        time_base: seconds of a tick.
        fps: nominal frames a second, for packets that do not say how long they last.
        restarts: whether the container's clock may restart.
    """

    def __init__(self, time_base: Fraction, fps: float, *, restarts: bool) -> None:
        self._back, self._ahead, self._absurd = (
            round(seconds / time_base) for seconds in (BACK, AHEAD, ABSURD)
        )
        self._step = max(1, round(1 / (fps * time_base)))
        self._restarts = restarts
        self._offset = 0
        self._last = 0
        self._next: int | None = None

    def mend(self, packet: Any) -> None:
        """Change the stamps of the next packet where they need it."""
        if packet.dts is not None:
            if self._restarts:
                self._join(packet)
            else:
                self._take_away(packet)
        if packet.dts is not None:
            self._next = packet.dts
        if self._next is not None:
            self._last = self._next
            self._next += packet.duration or self._step

    def _join(self, packet: Any) -> None:
        dts = packet.dts + self._offset
        if self._next is not None and (
            abs(dts - self._next) > self._ahead or dts + self._back < self._last
        ):
            self._offset += self._next - dts
        if self._offset:
            packet.dts += self._offset
            if packet.pts is not None:
                packet.pts += self._offset
        if packet.pts is not None and abs(packet.pts - packet.dts) > self._ahead:
            packet.pts = None

    def _take_away(self, packet: Any) -> None:
        if self._next is None:
            return
        if packet.pts is not None and abs(packet.pts - self._next) > self._absurd:
            packet.pts = None
        if abs(packet.dts - self._next) > self._absurd:
            packet.dts = None


class PictureClock:
    """Which of a decoded picture's two stamps is the time it is shown.

    Files whose presentation stamps are wrong (packed B-frames in AVI) often have decoding stamps
    that are right, and the other way round: those with fewer steps back are believed. The rule is
    that of `guess_correct_pts` in FFmpeg's decode.c.
    """

    def __init__(self) -> None:
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._faulty_pts = self._faulty_dts = 0

    def stamp(self, pts: int | None, dts: int | None) -> int | None:
        """The stamp in ticks of the next picture; None where it has none."""
        if dts is not None:
            self._faulty_dts += self._last_dts is not None and dts <= self._last_dts
            self._last_dts = dts
        elif pts is not None:
            self._last_dts = pts
        if pts is not None:
            self._faulty_pts += self._last_pts is not None and pts <= self._last_pts
            self._last_pts = pts
        elif dts is not None:
            self._last_pts = dts
        believed = self._faulty_pts <= self._faulty_dts or dts is None
        return pts if believed and pts is not None else dts
