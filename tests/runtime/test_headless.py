"""A prediction without a terminal, and who looks on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from grouped import predict_options
from runtime_helpers import FakeModel, flat_frames, write_video

from faim.runtime.pipeline import Detector
from faim.runtime.predict import Running, Watcher, run_predict
from faim.runtime.results import FrameResult
from faim.runtime.sinks import StopRun
from faim.runtime.sources import ArraySource

LEVELS = (200, 220, 240)


@pytest.fixture(autouse=True)
def fake_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(weights: object, *, conf: float, **rest: object) -> Detector:
        return Detector(FakeModel(), score_threshold=conf)  # type: ignore[arg-type]

    monkeypatch.setattr("faim.runtime.predict.load_grouped", load)


@pytest.fixture
def videos(tmp_path: Path) -> tuple[str, ...]:
    return tuple(str(write_video(tmp_path / f"{n}.mp4", flat_frames(*LEVELS))) for n in "ab")


class Diary(Watcher):
    """Writes down what it sees; it leaves after `most` results."""

    def __init__(self, most: int = 100) -> None:
        self.entries: list[Any] = []
        self._most = most

    @contextmanager
    def watching(self, running: Running) -> Iterator[None]:
        self.entries.append((running.mode, len(running.sources), list(running.notes)))
        try:
            yield
        finally:
            self.entries.append("end")

    def looked(self, number: int) -> None:
        self.entries.append(number)

    def found(self, number: int, result: FrameResult) -> None:
        self.entries.append((number, result.index, len(result)))
        self._most -= 1
        if not self._most:
            raise StopRun


def test_nothing_is_printed(
    tmp_path: Path, videos: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "out.jsonl"
    summary = run_predict(predict_options(videos[0], "w", jsonl=lines))
    assert (summary.mode, summary.frames, summary.detections) == ("global", 3, 3)
    assert len(lines.read_text().splitlines()) == 3
    # Neither is it where results go nowhere: the summary counts them.
    assert run_predict(predict_options(videos, "w", mode="stream")).frames == 6
    assert capfd.readouterr() == ("", "")


def test_who_looks_on_is_told_of_every_frame(videos: tuple[str, ...]) -> None:
    diary = Diary()
    run_predict(predict_options(videos, "w", mode="frame"), diary)
    first, *between, last = diary.entries
    assert (first, last) == (("frame", 2, []), "end")
    assert [each for each in between if isinstance(each, tuple)] == [
        (number, index, 1) for number in (0, 1) for index in range(3)
    ]
    assert [each for each in between if isinstance(each, int)] == [0, 0, 0, 1, 1, 1]


def test_a_note_says_what_auto_came_to(videos: tuple[str, ...]) -> None:
    diary = Diary()
    run_predict(predict_options(videos, "w"), diary)
    [mode, count, [note]] = diary.entries[0]
    assert (mode, count) == ("global", 2)
    assert note.startswith("mode auto: whole files (meanbrightness over ")


def test_who_looks_on_may_end_the_run(tmp_path: Path, videos: tuple[str, ...]) -> None:
    diary, lines = Diary(most=2), tmp_path / "out.jsonl"
    summary = run_predict(predict_options(videos[0], "w", mode="stream", jsonl=lines), diary)
    assert diary.entries[-1] == "end"
    assert len(lines.read_text().splitlines()) == 2
    assert not summary.interrupted


def test_a_camera_that_was_lost_is_in_the_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = ArraySource(flat_frames(*LEVELS))
    camera.live, camera.lost, camera.name = True, True, "camera 0"
    monkeypatch.setattr("faim.runtime.predict.open_source", lambda _name: camera)
    summary = run_predict(predict_options("0", "w"))
    assert (summary.lost, summary.frames) == (("camera 0",), 3)
    with pytest.raises(Exception, match="camera 0: was lost and did not come back"):
        summary.check_complete()
