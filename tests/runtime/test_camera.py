from __future__ import annotations

from itertools import islice

import cv2
import numpy as np
import pytest
from live_helpers import FakeClock

from faim.errors import FaimError
from faim.runtime.camera import CameraSource


class FakeCapture:
    """What OpenCV would give: cameras 0 (unplugged twice) and 1 (never gives a picture)."""

    opened = 0
    released = 0
    clock: FakeClock

    def __init__(self, index: int) -> None:
        FakeCapture.opened += 1
        # The second and third attempt come while it is unplugged.
        self._there = index == 1 or FakeCapture.opened not in (2, 3)
        self._left = 0 if index == 1 else 3

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self._there

    def get(self, wanted: int) -> float:
        return 12.5 if wanted == cv2.CAP_PROP_FPS else 0.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        FakeCapture.clock.now += 0.08
        self._left -= 1
        if self._left < 0:
            return False, None
        return True, np.full((4, 6), 40 + self._left, np.uint8)  # a grey one

    def release(self) -> None:
        FakeCapture.released += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    FakeCapture.opened = FakeCapture.released = 0
    FakeCapture.clock = FakeClock()
    return FakeCapture.clock


def test_a_camera_that_is_unplugged_and_plugged_in_again(clock: FakeClock) -> None:
    with CameraSource(0, clock.retry()) as camera:
        assert (camera.name, camera.fps, camera.frame_count) == ("camera 0", 12.5, None)
        assert (camera.live, camera.realtime) == (True, True)
        frames = list(islice(camera, 5))
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    assert clock.naps == pytest.approx([0.5, 1.0, 2.0])
    # By the clock of arrival: 3.5 s asleep, and two reads of 0.08 s, one in vain.
    assert [frame.time for frame in frames] == pytest.approx([0, 0.08, 0.16, 3.82, 3.90])
    np.testing.assert_array_equal(frames[0].image, np.full((4, 6, 3), 42, np.uint8))
    assert FakeCapture.released == 2


def test_a_camera_that_gives_no_picture(clock: FakeClock) -> None:
    FakeCapture.opened = 10
    with (
        pytest.raises(FaimError, match="camera 1: not one frame came"),
        CameraSource(1, clock.retry(patience=5.0)) as camera,
    ):
        list(camera)
    assert FakeCapture.released == FakeCapture.opened - 10
