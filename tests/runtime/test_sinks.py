from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from runtime_helpers import flat_frames

from faim.errors import FaimError
from faim.pictures.palette import distinct_colors
from faim.runtime.drawing import Annotator, fit
from faim.runtime.results import FrameResult
from faim.runtime.sinks import (
    JsonLinesSink,
    LineSink,
    StopRun,
    WindowSink,
)
from faim.runtime.sources import open_source
from faim.runtime.video_sink import VideoSink
from faim.stream.frames import Frame

HERE = Path(__file__).parent


def found(*boxes: tuple[float, ...], class_id: int = 0, score: float = 0.91237) -> sv.Detections:
    count = len(boxes)
    return sv.Detections(
        xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        confidence=np.full(count, score, np.float32),
        class_id=np.full(count, class_id),
        data={"class_name": np.array(["chien d'été"] * count, dtype=str)},
    )


def result(index: int, image: np.ndarray, *boxes: tuple[float, ...]) -> FrameResult:
    return FrameResult(Frame(index, index / 25, image), found(*boxes))


def test_json_lines_keep_their_contract(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("what an earlier run left, longer than anything that follows" * 20)
    sink = JsonLinesSink(path)
    image = np.zeros((48, 64, 3), np.uint8)
    sink.write(result(0, image, (1.006, 2, 30.123, 40.999)))
    # Whole before the sink is closed: a reader may follow the file.
    first = json.loads(path.read_text())
    sink.write(result(1, image))
    sink.close()
    assert first == {
        "frame": 0,
        "time": 0.0,
        "width": 64,
        "height": 48,
        "detections": [
            {
                "bbox": [1.01, 2.0, 30.12, 41.0],
                "score": 0.9124,
                "label": "chien d'été",
                "class_id": 0,
            }
        ],
    }
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["frame"] for line in lines] == [0, 1]
    assert json.loads(lines[1])["detections"] == []


def test_json_lines_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    sink = JsonLinesSink("-")
    sink.write(result(3, np.zeros((2, 2, 3), np.uint8)))
    sink.close()
    assert json.loads(capsys.readouterr().out)["frame"] == 3


class _Breaking:
    """A raw file that takes part of a line and then fails."""

    def __init__(self, file: object, error: BaseException) -> None:
        self._file, self._error, self._broken = file, error, False

    def write(self, data: bytes) -> int:
        if self._broken:
            raise self._error
        self._broken = True
        return self._file.write(data[:11])  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), FaimError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (BrokenPipeError(), StopRun),
    ],
)
def test_half_a_line_is_taken_back(
    tmp_path: Path, error: BaseException, raised: type[BaseException]
) -> None:
    path = tmp_path / "out.jsonl"
    sink = JsonLinesSink(path)
    image = np.zeros((2, 2, 3), np.uint8)
    sink.write(result(0, image))
    whole = path.read_bytes()
    sink._file._file = _Breaking(sink._file._file, error)
    with pytest.raises(raised):
        sink.write(result(1, image))
    sink.close()
    assert path.read_bytes() == whole


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk_is_one_sentence() -> None:
    sink = JsonLinesSink("/dev/full")
    with pytest.raises(FaimError, match=r"/dev/full: cannot be written .*No space left"):
        sink.write(result(0, np.zeros((2, 2, 3), np.uint8)))
    sink.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk_ends_a_video_in_one_sentence(tmp_path: Path) -> None:
    link = tmp_path / "out.mp4"
    link.symlink_to("/dev/full")
    sink = VideoSink(link, 25.0)
    with pytest.raises(FaimError, match=r"out\.mp4: cannot be written .*No space left"):  # noqa: PT012
        for index, image in enumerate(flat_frames(*range(100))):
            sink.write(result(index, image))
        sink.close()


def test_outputs_that_cannot_be_written_fail_before_the_run(tmp_path: Path) -> None:
    sealed = tmp_path / "sealed"
    sealed.mkdir(mode=0o500)
    folders = [tmp_path / "gone"] + ([] if os.geteuid() == 0 else [sealed])
    for folder in folders:
        with pytest.raises(FaimError, match=r"out\.jsonl: cannot be written"):
            JsonLinesSink(folder / "out.jsonl")
        with pytest.raises(FaimError, match=r"out\.mp4: cannot be written"):
            VideoSink(folder / "out.mp4", 25.0)
    with pytest.raises(FaimError, match=r"out\.xyz: cannot tell the kind .*\.mp4"):
        VideoSink(tmp_path / "out.xyz", 25.0)


def test_video_has_every_frame_at_its_time_and_the_boxes(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    sink = VideoSink(path, 25.0)
    frames = flat_frames(*[100] * 30, size=(121, 161))
    for index, image in enumerate(frames):
        sink.write(result(index, image, (40, 50, 100, 110)))
    sink.close()
    with open_source(path) as source:
        read = list(source)
        assert source.frame_count == 30
    assert [frame.time for frame in read] == pytest.approx([index / 25 for index in range(30)])
    assert read[0].image.shape == (122, 162, 3)  # odd sides are made even
    colour = np.array(distinct_colors(1)[0].as_bgr())
    for frame in (read[0], read[-1]):
        assert np.abs(frame.image[80, 40].astype(int) - colour).max() < 60  # left side of the box
        assert np.abs(frame.image[80, 70].astype(int) - 100).max() < 12  # inside
        assert np.abs(frame.image[115, 155].astype(int) - 100).max() < 12  # outside
    # An ordinary MP4 after closing: one index, no fragments.
    content = path.read_bytes()
    assert content.count(b"moof") == 0 or content.rfind(b"moov") > content.rfind(b"moof")


def test_video_fits_frames_of_other_sizes_into_the_first(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", 25.0)
    sizes = [(60, 80), (30, 80), (120, 30)]
    for index, size in enumerate(sizes):
        sink.write(result(index, np.full((*size, 3), 200, np.uint8)))
    sink.close()
    first, wide, high = (frame.image for frame in open_source(tmp_path / "out.mp4"))
    assert first.shape == wide.shape == high.shape == (60, 80, 3)
    assert first.min() > 180
    assert wide[30].min() > 180  # the middle row is picture, the top is a black band
    assert wide[2].max() < 30
    assert high[:, 40].min() > 180
    assert high[:, 5].max() < 30


@pytest.mark.parametrize("size", [(1, 1), (3, 771)])
def test_video_of_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    sink = VideoSink(tmp_path / "out.mp4", 25.0)
    sink.write(result(0, np.full((*size, 3), 50, np.uint8), (0, 0, 1, 1)))
    sink.close()
    [frame] = open_source(tmp_path / "out.mp4")
    assert frame.image.shape == (size[0] + 1, size[1] + 1, 3)


def test_run_without_frames_leaves_no_broken_video(tmp_path: Path) -> None:
    sink = VideoSink(tmp_path / "out.mp4", 25.0)
    sink.close()
    assert not (tmp_path / "out.mp4").exists()


# A process started in the background of a shell ignores SIGINT until it says otherwise.
RUN_FOR_EVER = """
import itertools, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
sys.path[:0] = sys.argv[2:]
import test_sinks as t
from contextlib import ExitStack
import numpy as np
with ExitStack() as stack:
    out = Path(sys.argv[1])
    sinks = [t.VideoSink(out / "out.mp4", 25.0), t.JsonLinesSink(out / "out.jsonl")]
    for sink in sinks:
        stack.callback(sink.close)
    generator = np.random.default_rng(0)
    for index in itertools.count():
        image = generator.integers(0, 256, (96, 128, 3), dtype=np.uint8)
        for sink in sinks:
            sink.write(t.result(index, image, (8, 8, 64, 64)))
        if index == 150:
            print("ready", flush=True)
"""


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_killed_run_leaves_a_playable_video_and_whole_lines(
    tmp_path: Path, kind: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUN_FOR_EVER, tmp_path, HERE, HERE.parent / "helpers"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(kind)
        process.wait(timeout=30)
    text = (tmp_path / "out.jsonl").read_text()
    assert text.endswith("\n")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["frame"] for line in lines] == list(range(len(lines)))
    assert len(lines) >= 150
    played = sum(1 for _ in open_source(tmp_path / "out.mp4"))
    # Ctrl-C loses nothing; kill -9 the open fragment of a second, and what the encoder held.
    assert played >= (len(lines) if kind == signal.SIGINT else 50)


def test_a_class_keeps_its_colour_and_classes_differ() -> None:
    image = np.full((100, 100, 3), 90, np.uint8)
    annotator = Annotator()
    one = annotator.draw(image, found((20, 30, 80, 90), class_id=1))
    again = annotator.draw(image, found((20, 30, 80, 90), (1, 1, 9, 9), class_id=1, score=0.5))
    other = annotator.draw(image, found((20, 30, 80, 90), class_id=2))
    assert (image == 90).all()
    np.testing.assert_array_equal(one[60, 80], again[60, 80])
    assert (one[60, 80] != other[60, 80]).any()


def test_fit_pads_one_pixel_and_letterboxes_the_rest() -> None:
    image = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    padded = fit(image, 6, 8)
    np.testing.assert_array_equal(padded[:5, :7], image)
    np.testing.assert_array_equal(padded[5, :7], image[4])
    assert fit(image, 40, 40).shape == (40, 40, 3)


def test_window_needs_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(FaimError, match="show: there is no display"):
        WindowSink()


@pytest.mark.parametrize(("key", "ends"), [(ord("q"), True), (27, True), (-1, False)])
def test_q_and_escape_end_the_run(monkeypatch: pytest.MonkeyPatch, key: int, ends: bool) -> None:
    shown: list[np.ndarray] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("cv2.imshow", lambda title, image: shown.append(image))
    monkeypatch.setattr("cv2.waitKey", lambda delay: key)
    sink = WindowSink()
    if ends:
        with pytest.raises(StopRun):
            sink.write(result(0, np.zeros((20, 20, 3), np.uint8)))
    else:
        sink.write(result(0, np.zeros((20, 20, 3), np.uint8)))
    assert len(shown) == 1


def test_terminal_lines() -> None:
    lines: list[str] = []
    sink = LineSink(lines.append)
    sink.write(result(0, np.zeros((2, 2, 3), np.uint8), (0, 0, 1, 1)))
    sink.write(result(50, np.zeros((2, 2, 3), np.uint8)))
    assert lines == ["frame     0      0.00 s  chien d'été 0.91", "frame    50      2.00 s  -"]
