"""Folders of videos, images named one by one, and several sources in every mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
from grouped import predict_options
from live_helpers import recorded_warnings
from loguru import logger
from PIL import Image
from runtime_helpers import FakeModel, flat_frames, write_video

from faim.errors import FaimError
from faim.runtime.pipeline import Detector
from faim.runtime.predict_summary import PredictSummary
from faim.runtime.predict_terminal import predict_in_terminal
from faim.runtime.source_list import FolderVideo, ImageFiles, listed_sources
from faim.runtime.sources import ArraySource, open_source


@pytest.fixture(autouse=True)
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    made = FakeModel()

    def load(*_weights: Any, conf: float, post: Any, **_rest: Any) -> Detector:
        return Detector(made, score_threshold=conf, post=post.name)  # type: ignore[arg-type]

    monkeypatch.setattr("faim.runtime.predict.load_grouped", load)
    return made


@pytest.fixture
def said() -> Any:
    """What is logged for information."""
    messages: list[str] = []
    handler = logger.add(lambda m: messages.append(m.record["message"]), level="INFO")
    yield messages
    logger.remove(handler)


def predict(*sources: object, **options: Any) -> PredictSummary:
    return predict_in_terminal(
        predict_options(tuple(str(each) for each in sources), "w", **options)
    )


def images(folder: Path, *names: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), flat_frames(200)[0])
    return [folder / name for name in names]


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_images_named_one_by_one_are_one_sequence(tmp_path: Path, said: list[str]) -> None:
    named = images(tmp_path / "dog", "10.jpg", "2.jpg", "1.jpg")
    summary = predict(*named, jsonl=tmp_path / "out.jsonl")
    assert [source.frames for source in summary.sources] == [3]
    rows = records(tmp_path / "out.jsonl")
    assert [row["file"] for row in rows] == ["1.jpg", "2.jpg", "10.jpg"]
    assert [row["time"] for row in rows] == [0.0, 0.04, 0.08]
    assert said[0] == (
        f"3 images, {tmp_path}/dog/1.jpg to 10.jpg: taken for one sequence, in the natural order "
        "of their names"
    )


def test_what_names_stand_for(tmp_path: Path) -> None:
    dog = images(tmp_path / "dog", "2.jpg", "1.png")
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("10.mp4", "9.MOV", ".hidden.mp4", "notes.md"):
        (clips / name).touch()
    videos = [FolderVideo(clips / "9.MOV"), FolderVideo(clips / "10.mp4")]
    film = str(clips / "10.mp4")
    assert listed_sources([str(clips)]) == videos
    assert listed_sources([str(clips / "*")]) == videos
    assert listed_sources([film, 0, "1", "rtsp://h/x"]) == [film, 0, "1", "rtsp://h/x"]
    assert listed_sources([str(tmp_path / "dog")]) == [str(tmp_path / "dog")]
    assert listed_sources([str(dog[0])]) == [str(dog[0])]
    sequence = ImageFiles((dog[1], dog[0]))
    assert listed_sources([film, str(dog[0]), "0", str(dog[1])]) == [film, sequence, "0"]
    animations = []
    for name in ("a.gif", "b.gif"):
        animations.append(str(tmp_path / name))
        first, second = Image.new("L", (8, 8), 1), Image.new("L", (8, 8), 250)
        first.save(animations[-1], save_all=True, append_images=[second])
    assert listed_sources(animations) == animations
    (clips / "cover.jpg").write_bytes(dog[0].read_bytes())
    for name in (str(clips), str(clips / "*")):
        with pytest.raises(FaimError, match=r"holds images \(1\) and videos \(2\); expected one"):
            listed_sources([name])


def test_a_folder_in_python(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", flat_frames(9, 9))
    assert len(list(open_source(tmp_path))) == 2
    write_video(tmp_path / "b.mp4", flat_frames(9))
    with pytest.raises(FaimError, match="holds 2 videos; expected one source"):
        open_source(tmp_path)


@pytest.mark.parametrize("mode", ["auto", "stream", "global", "frame"])
def test_several_in_every_mode(
    tmp_path: Path, mode: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    write_video(clips / "a.mp4", flat_frames(*[200] * 6))
    write_video(clips / "b.mp4", flat_frames(*[100] * 3, size=(32, 64)))
    images(tmp_path / "dog", "0.jpg", "1.jpg")
    outputs: dict[str, Any] = {"jsonl": tmp_path / "o.jsonl", "save_video": tmp_path / "o.mp4"}
    summary = predict(clips, tmp_path / "dog", mode=mode, **outputs)
    ran = "global" if mode == "auto" else mode
    assert summary.mode == ran
    out = capsys.readouterr().out
    expected = [(6, 0.78, clips / "a.mp4"), (3, 0.42, clips / "b.mp4"), (2, 0.78, tmp_path / "dog")]
    for number, (count, score, name) in enumerate(expected):
        rows = records(tmp_path / f"o-{number}.jsonl")
        assert [row["frame"] for row in rows] == list(range(count))
        found = [row["detections"][0]["score"] for row in rows]
        assert found == pytest.approx([score] * count, abs=0.02)
        assert len(list(open_source(tmp_path / f"o-{number}.mp4"))) == count
        assert f"{name}: {count} frames, {count} detections, mode {ran}: " in out
    limited = predict(clips, mode=mode, limit=2, jsonl=tmp_path / "o.jsonl")
    assert [source.frames for source in limited.sources] == [2, 2]


@pytest.mark.parametrize("mode", ["stream", "global"])
def test_a_broken_video_of_a_folder_is_left_out_and_told(tmp_path: Path, mode: Any) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "a.mp4").write_bytes(b"no video at all")
    write_video(clips / "b.mp4", flat_frames(*[200] * 3))
    told = r"a\.mp4: cannot be opened"
    with recorded_warnings() as warnings, pytest.raises(FaimError, match=told):
        predict(clips, mode=mode, jsonl=tmp_path / "o.jsonl")
    assert len(records(tmp_path / "o-1.jsonl")) == 3
    assert not (tmp_path / "o-0.jsonl").exists()
    assert [each.endswith("the other sources go on") for each in warnings] == [True]


def test_what_auto_does_is_said_with_the_way_to_the_other(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    film = write_video(tmp_path / "a.mp4", flat_frames(*[200] * 3))
    predict(film)
    assert said[-1] == (
        "mode auto: whole files (meanbrightness over 4 frames), with results after a file's last "
        "frame; --mode stream gives them without waiting"
    )
    predict(film, post="causal")
    assert "the files are streams" in said[-1]
    camera = ArraySource(flat_frames(9, 9))
    camera.live = True
    camera.name = "camera 0"
    opened = {"camera": camera, str(film): open_source(film)}
    monkeypatch.setattr("faim.runtime.predict.open_source", opened.get)
    assert predict("camera", film).mode == "stream"
    assert "the files are streams (meanbrightness over 3 past frames), as camera 0 is" in said[-1]
    before = len(said)
    assert predict("camera").mode == "stream"
    assert len(said) == before
    for options, words in [
        ({"mode": "global"}, "camera 0: a live source has no end, so mode global cannot work"),
        ({"post": "repp"}, "camera 0: a live source has no end, so post repp cannot work"),
        (
            {"keep_audio": True, "save_video": tmp_path / "o.mp4"},
            "keep-audio: camera 0 is live, so its sound is gone; expected a video file",
        ),
        ({"keep_audio": True}, "keep-audio: given without save-video; expected a video"),
    ]:
        with pytest.raises(FaimError, match=words):
            predict("camera", **options)


def test_to_watch_is_to_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = write_video(tmp_path / "a.mp4", flat_frames(*[200] * 3))
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("cv2.imshow", lambda *_: None)
    monkeypatch.setattr("cv2.waitKey", lambda _delay: -1)
    assert predict(film, show=True).mode == "stream"
    assert predict(film, show=True, post="repp").mode == "global"
    assert predict(film, show=True, jsonl=tmp_path / "o.jsonl").mode == "global"


def test_a_pipe_is_live(tmp_path: Path) -> None:
    film = write_video(tmp_path / "a.ts", flat_frames(*range(0, 200, 20)))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = subprocess.Popen(["sh", "-c", f"cat '{film}' > '{pipe}'"])
    try:
        source = open_source(pipe)
        assert (source.live, source.realtime) == (True, False)
        frames = list(source)
    finally:
        writer.kill()
        writer.wait()
    assert [frame.time for frame in frames] == pytest.approx([k / 25 for k in range(10)], abs=1e-3)
    assert [float(f.image.mean()) for f in frames] == pytest.approx(range(0, 200, 20), abs=5)


def test_standard_input(tmp_path: Path) -> None:
    film = write_video(tmp_path / "a.ts", flat_frames(*[50] * 5))
    code = (
        "from faim.runtime.sources import open_source\n"
        "source = open_source('-')\nprint(source.name, source.live, len(list(source)))"
    )
    for line, printed in (
        (f'cat \'{film}\' | "$0" -c "$1"', "standard input True 5"),
        (f'"$0" -c "$1" < \'{film}\'', "/dev/stdin False 5"),
    ):
        done = subprocess.run(
            ["sh", "-c", line, sys.executable, code], capture_output=True, text=True, timeout=120
        )
        assert done.stdout.strip() == printed, done.stderr


def test_sound_is_kept_by_the_command(tmp_path: Path) -> None:
    from test_finished_video import loud_seconds, write_with_sound

    film = write_with_sound(tmp_path / "in.mp4")
    predict(film, mode="global", save_video=tmp_path / "out.mp4", keep_audio=True)
    assert loud_seconds(tmp_path / "out.mp4") == pytest.approx((1.0, 2.0), abs=0.06)
