from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from grouped import predict_options
from live_helpers import FakeClock, FakeDevice, FakeFeed
from runtime_helpers import FakeModel, flat_frames, write_video

import faim
from faim.cli import main
from faim.errors import FaimError
from faim.runtime.live import LiveSource
from faim.runtime.pipeline import Detector
from faim.runtime.predict import PredictOptions
from faim.runtime.predict_terminal import predict_in_terminal
from faim.runtime.sources import ArraySource, Frame, open_source


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "in.mp4", flat_frames(*[200] * 6))


@pytest.fixture
def fake_load(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """`faim.load` gives the fake model, whatever the weights."""
    model = FakeModel()

    def load(weights: Path, *, size: Any, conf: float, **rest: Any) -> Detector:
        return Detector(model, size=size, score_threshold=conf)  # type: ignore[arg-type]

    monkeypatch.setattr("faim.runtime.predict.load_grouped", load)
    return model


def options(source: object, **values: Any) -> PredictOptions:
    named = source if isinstance(source, tuple) else str(source)
    return predict_options(named, Path("w.pth"), device="cpu", **values)


@pytest.mark.parametrize("mode", ["stream", "frame", "global"])
def test_files_and_summary(
    tmp_path: Path, video: Path, fake_load: FakeModel, capsys: Any, mode: Any
) -> None:
    lines, film = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    summary = predict_in_terminal(options(video, mode=mode, jsonl=lines, save_video=film))
    assert (summary.frames, summary.detections, summary.interrupted) == (6, 6, False)
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [record["frame"] for record in records] == list(range(6))
    assert all(record["detections"][0]["bbox"] == [8, 16, 40, 48] for record in records)
    shown = [frame.image for frame in open_source(film)]
    assert len(shown) == 6
    # The picture itself in every mode, global's second reading included.
    assert all(abs(float(image[60, 60].mean()) - 200) < 6 for image in shown)
    out = capsys.readouterr().out
    assert "6 frames, 6 detections from score 0.3" in out
    assert f"mode {mode}" in out
    assert f"JSON lines in {lines}" in out
    assert f"annotated video in {film}" in out


@pytest.mark.parametrize("mode", ["stream", "frame", "global"])
@pytest.mark.parametrize("several", [False, True])
def test_an_image_that_cannot_be_read_keeps_its_number(
    tmp_path: Path, fake_load: FakeModel, capsys: Any, mode: Any, several: bool
) -> None:
    folder, lines = tmp_path / "clip", tmp_path / "out.jsonl"
    folder.mkdir()
    for number, frame in enumerate(flat_frames(*[200] * 5)):
        cv2.imwrite(str(folder / f"{number}.png"), frame)
    for lost in (1, 2):
        (folder / f"{lost}.png").write_bytes((folder / f"{lost}.png").read_bytes()[:-30])
    if several and mode != "stream":
        pytest.skip("several sources are streams")
    source = (str(folder), str(folder)) if several else folder
    film = None if several else tmp_path / "out.mp4"
    summary = predict_in_terminal(options(source, mode=mode, jsonl=lines, save_video=film))
    assert (summary.frames, summary.unread) == ((6, 4) if several else (3, 2))
    for file in [tmp_path / f"out-{k}.jsonl" for k in (0, 1)] if several else [lines]:
        records = [json.loads(line) for line in file.read_text().splitlines()]
        assert [record["frame"] for record in records] == [0, 3, 4]
        assert [record["file"] for record in records] == ["0.png", "3.png", "4.png"]
        assert [record["time"] for record in records] == [0.0, 0.12, 0.16]
    assert f"{summary.unread} more could not be read" in capsys.readouterr().out
    if several:
        assert predict_in_terminal(options(source, jsonl=lines, limit=2)).frames == 4


@pytest.mark.parametrize("mode", ["stream", "frame", "global"])
def test_limit_ends_the_run_early(
    tmp_path: Path, video: Path, fake_load: FakeModel, mode: Any
) -> None:
    film = tmp_path / "out.mp4"
    assert predict_in_terminal(options(video, mode=mode, save_video=film, limit=2)).frames == 2
    assert sum(fake_load.batches) == len(list(open_source(film))) == 2
    with pytest.raises(FaimError, match="limit: 0"):
        predict_in_terminal(options(video, limit=0))


def test_stdout_carries_json_lines_alone(
    video: Path, fake_load: FakeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    predict_in_terminal(options(video, jsonl="-"))
    captured = capsys.readouterr()
    assert [json.loads(line)["frame"] for line in captured.out.splitlines()] == list(range(6))
    assert "6 frames" in captured.err


def test_without_outputs_it_prints_and_says_how_to_keep(
    video: Path, fake_load: FakeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    predict_in_terminal(options(video))
    out = capsys.readouterr().out
    assert "frame     5      0.20 s  dog 0.77" in out
    assert "--jsonl FILE, --save-video FILE" in out


def test_interrupt_closes_what_is_open_and_is_told(
    tmp_path: Path, video: Path, fake_load: FakeModel, monkeypatch: Any, capsys: Any
) -> None:
    propose = fake_load.propose

    def interrupted(images: Any) -> Any:
        if len(fake_load.batches) == 3:
            raise KeyboardInterrupt
        return propose(images)

    monkeypatch.setattr(fake_load, "propose", interrupted)
    lines, film = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    summary = predict_in_terminal(options(video, mode="stream", jsonl=lines, save_video=film))
    assert summary.interrupted
    assert (
        summary.frames == len(lines.read_text().splitlines()) == len(list(open_source(film))) == 3
    )
    assert "3 frames" in (out := capsys.readouterr().out)
    assert "interrupted" in out


def test_wrong_input_leaves_earlier_results_alone(
    tmp_path: Path, video: Path, fake_load: FakeModel
) -> None:
    lines = tmp_path / "out.jsonl"
    lines.write_text("kept\n")
    for wrong, words in [
        ({"source": tmp_path / "gone.mp4"}, "gone.mp4"),
        ({"source": video, "size": 100}, "size: 100"),
        ({"source": video, "mode": "past"}, "mode: 'past'"),
        ({"source": video, "conf": -1.0}, "conf: -1"),
        (
            {"source": video, "save_video": tmp_path / "gone" / "out.mp4", "jsonl": None},
            "cannot be",
        ),
        ({"source": video, "save_video": tmp_path / "out.avi"}, "kind of video by its name"),
        (
            {"source": video, "jsonl": tmp_path / "a.mp4", "save_video": tmp_path / "a.mp4"},
            "given for both",
        ),
    ]:
        with pytest.raises(FaimError, match=words):
            predict_in_terminal(options(**({"jsonl": lines} | wrong)))
    assert lines.read_text() == "kept\n"
    assert fake_load.batches == []


def test_output_onto_input_is_refused(video: Path, fake_load: FakeModel) -> None:
    before = video.read_bytes()
    with pytest.raises(FaimError, match="is what the run reads"):
        predict_in_terminal(options(video, save_video=video))
    assert video.read_bytes() == before


def test_reader_that_leaves_ends_the_run_quietly(tmp_path: Path, video: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from runtime_helpers import FakeModel, flat_frames\n"
        "from faim.runtime.pipeline import Detector\n"
        "from faim.runtime import predict\n"
        "predict.open_source = lambda s: __import__('faim.runtime.sources', fromlist=['x'])"
        ".ArraySource(flat_frames(*[9] * 5000))\n"
        "predict.load_grouped = lambda *a, **k: Detector(FakeModel())\n"
        "from grouped import predict_options\n"
        "from faim.runtime.predict_terminal import predict_in_terminal\n"
        "o = predict_options('x', Path('w'), mode='stream', jsonl='-')\n"
        "s = predict_in_terminal(o)\n"
        "assert s.frames < 5000\n"
    )
    helpers = Path(__file__).parents[1] / "helpers"
    command = f"'{sys.executable}' -c \"$CODE\" '{helpers}' | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env={"CODE": code, "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frame"] == 0
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.fixture
def videos(tmp_path: Path) -> tuple[str, str]:
    """Six light frames, and three dark ones of another size."""
    return (
        str(write_video(tmp_path / "a.mp4", flat_frames(*[200] * 6))),
        str(write_video(tmp_path / "b.mp4", flat_frames(*[100] * 3, size=(32, 64)))),
    )


def test_several_sources_write_numbered_files(
    tmp_path: Path, videos: tuple[str, str], fake_load: FakeModel, capsys: Any
) -> None:
    lines, film = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    summary = predict_in_terminal(options(videos, jsonl=lines, save_video=film))
    assert (summary.frames, summary.detections) == (9, 9)
    assert not lines.exists()
    assert not film.exists()
    for number, (count, height, score) in enumerate([(6, 64, 200 / 255), (3, 32, 0.42)]):
        text = (tmp_path / f"out-{number}.jsonl").read_text()
        records = [json.loads(line) for line in text.splitlines()]
        assert [record["frame"] for record in records] == list(range(count))
        assert {record["height"] for record in records} == {height}
        found = [record["detections"][0]["score"] for record in records]
        assert found == pytest.approx([score] * count, abs=0.02)
        shown = [frame.image.shape for frame in open_source(tmp_path / f"out-{number}.mp4")]
        assert shown == [(height, 64, 3)] * count
    out = capsys.readouterr().out
    assert "9 frames, 9 detections" in out
    assert f"JSON lines in {tmp_path / 'out-0.jsonl'}, {tmp_path / 'out-1.jsonl'}" in out


def test_several_sources_at_the_terminal(
    videos: tuple[str, str], fake_load: FakeModel, capsys: Any
) -> None:
    assert predict_in_terminal(options(videos, limit=2)).frames == 4
    out = capsys.readouterr().out
    for name in videos:
        assert f"{name}  frame     1      0.04 s  dog 0." in out
        assert f"{name}  frame     2" not in out


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"jsonl": "-"}, "jsonl: - given with several sources; expected a file's name, or one"),
        ({"limit": 0}, "limit: 0 given"),
    ],
)
def test_what_several_sources_cannot_do(
    tmp_path: Path,
    videos: tuple[str, str],
    fake_load: FakeModel,
    values: dict[str, Any],
    sentence: str,
) -> None:
    kept = tmp_path / "out-0.jsonl"
    kept.write_text("kept\n")
    with pytest.raises(FaimError, match=sentence):
        predict_in_terminal(options(videos, **({"jsonl": tmp_path / "out.jsonl"} | values)))
    assert kept.read_text() == "kept\n"
    assert fake_load.batches == []


def test_a_numbered_output_onto_an_input_is_refused(
    tmp_path: Path, videos: tuple[str, str], fake_load: FakeModel
) -> None:
    onto = tmp_path / "b-1.mp4"
    Path(videos[1]).rename(onto)
    before = onto.read_bytes()
    with pytest.raises(FaimError, match=r"b-1\.mp4: is what the run reads"):
        predict_in_terminal(options((videos[0], str(onto)), save_video=tmp_path / "b.mp4"))
    assert onto.read_bytes() == before


@pytest.mark.parametrize("several", [False, True])
def test_dropped_frames_are_told(
    video: Path, fake_load: FakeModel, monkeypatch: Any, capsys: Any, several: bool
) -> None:
    begun, given = threading.Event(), threading.Event()

    class Camera(ArraySource):
        live = realtime = True

        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                assert frame.index == 0 or begun.wait(10)
                yield frame
            given.set()

    class Patient(ArraySource):
        def __iter__(self) -> Iterator[Frame]:
            assert begun.wait(10)
            yield from super().__iter__()

    propose = fake_load.propose

    def slow(images: Any) -> Any:
        begun.set()
        assert given.wait(10)
        return propose(images)

    opened = {"camera": Camera(flat_frames(*[200] * 30)), "film": Patient(flat_frames(9, 9))}
    monkeypatch.setattr(fake_load, "propose", slow)
    monkeypatch.setattr("faim.runtime.predict.open_source", opened.get)
    summary = predict_in_terminal(options(("camera", "film") if several else "camera"))
    # The first was taken, four were kept waiting.
    assert (summary.frames, summary.dropped) == (7 if several else 5, 25)
    assert ", 25 dropped to keep up" in capsys.readouterr().out


def test_import_faim_is_light() -> None:
    code = "import faim, sys; print({'torch', 'cv2', 'av', 'supervision'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert faim.__version__.count(".") >= 1


def boxes_of_masks(folder: Path) -> Iterator[np.ndarray]:
    import cv2

    for path in sorted(folder.glob("*.png")):
        rows, columns = np.nonzero(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        yield np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def test_real_weights_find_the_real_object_where_it_is(shared: Path) -> None:
    detector = faim.load(shared / "weights/yolox_nano_coco.pth", size=416, device="cpu")
    frames = shared / "data/davis/JPEGImages/480p/blackswan"
    images = [frame.image for frame in open_source(frames)][-6:]
    truth = boxes_of_masks(shared / "data/davis/Annotations/480p/blackswan")
    for found, box in zip(detector.predict(images, mode="stream"), list(truth)[-6:], strict=True):
        birds = found[found.data["class_name"] == "bird"]
        low = np.maximum(birds.xyxy[:, :2], box[:2])
        high = np.minimum(birds.xyxy[:, 2:], box[2:])
        inside = np.prod(np.clip(high - low, 0, None), axis=1)
        iou = inside / (birds.area + np.prod(box[2:] - box[:2]) - inside)
        assert iou.max() > 0.75


@pytest.mark.parametrize(("mode", "batches"), [("stream", 3), ("global", 0)])
def test_sigterm_keeps_what_is_done(
    mode: str, batches: int, tmp_path: Path, video: Path, fake_load: FakeModel, monkeypatch: Any
) -> None:
    """All results so far, in whole files; in global mode there are none yet, and no empty files."""
    propose = fake_load.propose

    def terminated(images: Any) -> Any:
        if len(fake_load.batches) == batches:
            signal.raise_signal(signal.SIGTERM)
        return propose(images)

    monkeypatch.setattr(fake_load, "propose", terminated)
    lines, film = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    weights = tmp_path / "w"
    weights.touch()
    line = ["predict", video, "--weights", weights, "--mode", mode, "--jsonl", lines]
    assert main([str(each) for each in [*line, "--save-video", film]]) == 143
    if mode == "stream":
        assert len(lines.read_text().splitlines()) == len(list(open_source(film))) == 3
        assert b"moof" not in film.read_bytes()  # an ordinary MP4, whose end was written
    else:
        assert not lines.exists()
        assert not film.exists()
    assert not list(tmp_path.glob(".*"))


def test_a_lost_camera_is_no_success(
    fake_load: FakeModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = FakeClock()
    device = FakeDevice(FakeFeed([0.0, 0.1, 0.2], clock))
    camera = LiveSource("camera 7", device, clock.retry())
    monkeypatch.setattr("faim.runtime.predict.open_source", lambda _name: camera)
    with pytest.raises(FaimError, match="camera 7: was lost and did not come back; expected a cam"):
        predict_in_terminal(options("camera"))
    assert "3 frames, 0 detections" in capsys.readouterr().out
