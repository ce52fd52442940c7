"""`faim predict` with the options for what is detected, read back from what it wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import cv2
import pytest
from runtime_helpers import FakeModel, flat_frames, write_video

from faim.cli import main
from faim.runtime.pipeline import Detector
from faim.runtime.sources import ArraySource

MODES = ("stream", "frame", "global")
#: Of the 12 frames of 25 a second those that `--start 0.08 --end 0:00:00.4 --stride 3` asks for.
PICKED = [(2, 0.08), (5, 0.2), (8, 0.32)]
LOOKED = ["--start", "0.08", "--end", "0:00:00.4", "--stride", "3"]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """`faim.load` gives a detector of the fake model: its box has the centre (24, 32)."""
    model = FakeModel()

    def load(weights: object, **given: Any) -> Detector:
        return Detector(
            model,  # type: ignore[arg-type]
            score_threshold=given["conf"],
            batch_size=given["batch"],
            selection=given["selection"],
        )

    monkeypatch.setattr("faim.runtime.predict.load_grouped", load)
    return model


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "in.mp4", flat_frames(*range(100, 220, 10)))


def run(*arguments: object) -> int:
    weights = Path(str(arguments[0])).parent / "w"
    weights.touch()
    return main(["predict", *map(str, arguments), "--weights", str(weights)])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def numbers(path: Path) -> list[tuple[int, float]]:
    return [(record["frame"], record["time"]) for record in lines(path)]


@pytest.mark.parametrize("mode", MODES)
def test_frames_keep_numbers_and_times_and_the_video_plays_as_fast_as_the_source(
    tmp_path: Path, video: Path, fake: FakeModel, mode: str
) -> None:
    out, film = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    assert run(video, "--mode", mode, *LOOKED, "--jsonl", out, "--save-video", film) == 0
    assert numbers(out) == PICKED
    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        assert float(stream.average_rate) == pytest.approx(25 / 3)
        frames = list(container.decode(stream))
    # It begins at once, not after the time that was left out.
    assert [frame.time for frame in frames] == pytest.approx([0, 0.12, 0.24], abs=1e-4)
    levels = [float(frame.to_ndarray(format="bgr24")[60, 60].mean()) for frame in frames]
    assert levels == pytest.approx([120, 150, 180], abs=12)


@pytest.mark.parametrize("mode", MODES)
def test_the_limit_counts_the_frames_that_are_looked_at(
    tmp_path: Path, video: Path, fake: FakeModel, mode: str
) -> None:
    out = tmp_path / "out.jsonl"
    assert run(video, "--mode", mode, *LOOKED, "--limit", 2, "--jsonl", out) == 0
    assert numbers(out) == PICKED[:2]
    assert sum(fake.batches) == 2


def test_a_folder_and_a_video_together(tmp_path: Path, video: Path, fake: FakeModel) -> None:
    folder, out = tmp_path / "clip", tmp_path / "out.jsonl"
    folder.mkdir()
    for number, image in enumerate(flat_frames(*[200] * 7)):
        cv2.imwrite(str(folder / f"{number}.png"), image)
    assert run(video, folder, *LOOKED, "--jsonl", out) == 0
    assert numbers(tmp_path / "out-0.jsonl") == PICKED
    assert numbers(tmp_path / "out-1.jsonl") == PICKED[:2]
    files = [record["file"] for record in lines(tmp_path / "out-1.jsonl")]
    assert files == ["2.png", "5.png"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--classes", "DOG"], 12),
        (["--classes", "1"], 0),
        (["--roi", "20,30,30,30,30,40,20,40"], 12),
        (["--roi", "0,0,.3,0,.3,1,0,1"], 0),
        (["--roi", "MASK"], 12),
        (["--roi", "JSON"], 0),
        (["--max-det", "1", "--iou", "0.2", "--agnostic"], 12),
    ],
)
def test_what_is_detected(
    tmp_path: Path, video: Path, fake: FakeModel, mode: str, options: list[str], found: int
) -> None:
    mask = flat_frames(0)[0]
    mask[30:34, 22:26] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    (tmp_path / "roi.json").write_text('{"exclude": [[[0, 0], [64, 0], [64, 64], [0, 64]]]}')
    files = {"MASK": tmp_path / "mask.png", "JSON": tmp_path / "roi.json"}
    given = [files.get(option, option) for option in options]
    out = tmp_path / "out.jsonl"
    assert run(video, "--mode", mode, *given, "--jsonl", out) == 0
    assert [len(record["detections"]) for record in lines(out)] == [found // 12] * 12


def test_a_camera_has_a_stride_but_no_beginning(
    tmp_path: Path, video: Path, fake: FakeModel, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    class Camera(ArraySource):
        live = realtime = True

    monkeypatch.setattr(
        "faim.runtime.predict.open_source", lambda _name: Camera(flat_frames(*[200] * 4))
    )
    out = tmp_path / "out.jsonl"
    assert run(video, "--stride", 2, "--jsonl", out) == 0
    assert numbers(out) == [(0, 0.0), (2, 0.08)]
    assert run(video, "--end", "0:01", "--jsonl", out) == 2
    told = "faim: end: given with 4 arrays, which is live and has no beginning; expected a file"
    assert told in capsys.readouterr().err


def test_an_output_onto_the_region_is_refused(
    tmp_path: Path, video: Path, fake: FakeModel, capsys: Any
) -> None:
    region = tmp_path / "region.json"
    region.write_text("[[[0, 0], [1, 0], [1, 1]]]")
    assert run(video, "--roi", region, "--jsonl", region) == 2
    assert "region.json: is what the run reads" in capsys.readouterr().err
    assert region.read_text() == "[[[0, 0], [1, 0], [1, 1]]]"


def test_the_batch(video: Path, fake: FakeModel) -> None:
    assert run(video, "--mode", "frame", "--batch", 5) == 0
    assert fake.batches == [5, 5, 2]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--classes", "dgo"],
            "classes: 'dgo' given; expected a class of the weights, such as dog",
        ),
        (["--roi", "1,2,3,4"], "roi: [1.0, 2.0, 3.0, 4.0] is no polygon; expected three points"),
        (["--roi", "gone.json"], "roi: gone.json: no such file; expected x1,y1"),
        (["--start", "1:99"], "start: '1:99' given; expected seconds from 0 on"),
        (["--start", "-1"], "start: '-1' given; expected seconds from 0 on"),
        (["--start", "3", "--end", "2"], "end: 2 s given with start 3 s; expected an end after"),
        (["--start", "0.48"], "in.mp4: has no frame from 0.48 s on; expected a start and an end"),
    ],
)
def test_one_sentence(
    tmp_path: Path, video: Path, fake: FakeModel, options: list[str], sentence: str, capsys: Any
) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("kept\n")
    assert run(video, *options, "--jsonl", out) == 2
    # Before it may stand which mode a file gets.
    *_, told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("faim: ")]
    assert sentence in told
    assert out.read_text() == "kept\n"
