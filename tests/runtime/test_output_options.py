"""Where results go, by the options of `faim predict`."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import supervision as sv
from grouped import predict_options
from pycocotools.coco import COCO
from runtime_helpers import FakeModel, flat_frames, write_video

from faim.cli import build_parser, main
from faim.errors import FaimError
from faim.runtime.output_options import output_options
from faim.runtime.outputs import OUTPUTS
from faim.runtime.pipeline import Detector
from faim.runtime.predict import PredictOptions
from faim.runtime.predict_terminal import predict_in_terminal

ALL = {
    "jsonl": "a.jsonl",
    "save_frames": "frames",
    "save_crops": "crops",
    "csv": "a.csv",
    "coco": "coco.json",
    "yolo": "yolo",
    "mot": "mot.txt",
    "cvat": "a.xml",
    "label_studio": "tasks.json",
}


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "in.mp4", flat_frames(*[200] * 4))


@pytest.fixture
def fake_load(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    """`faim.load` gives the fake model, whose one object is track 7 of every stream."""
    from faim.runtime import results

    model = FakeModel()

    def load(weights: Path, *, size: Any, conf: float, **rest: Any) -> Detector:
        return Detector(model, size=size, score_threshold=conf)  # type: ignore[arg-type]

    to_supervision = results.to_supervision

    def tracked(*arguments: Any) -> sv.Detections:
        found = to_supervision(*arguments)
        found.tracker_id = np.full(len(found), 7)
        return found

    monkeypatch.setattr("faim.runtime.predict.load_grouped", load)
    monkeypatch.setattr(results, "to_supervision", tracked)
    return model


def options(source: object, **values: Any) -> PredictOptions:
    named = source if isinstance(source, tuple) else str(source)
    return predict_options(named, Path("w.pth"), device="cpu", **values)


def in_folder(folder: Path) -> dict[str, Path]:
    return {name: folder / file for name, file in ALL.items()}


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_outputs_of_one_run(
    tmp_path: Path, video: Path, fake_load: FakeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    assert {*ALL, "save_video"} == set(OUTPUTS)
    assert predict_in_terminal(options(video, **in_folder(out))).frames == 4
    assert len(names_in(out / "frames")) == 4
    assert names_in(out / "crops/dog") == [f"{n:06d}_0_id7.jpg" for n in range(4)]
    assert len((out / "a.csv").read_text().splitlines()) == 5
    coco = COCO(str(out / "coco.json"))
    assert [each["track_id"] for each in coco.loadAnns(coco.getAnnIds())] == [7] * 4
    assert (out / "yolo/labels/000003.txt").read_text().split()[0::6] == ["0", "7"]
    assert (out / "mot.txt").read_text().splitlines()[3].startswith("4,7,9.00,17.00,32.00,32.00,")
    [track] = ElementTree.parse(out / "a.xml").getroot().iterfind("track")
    assert [box.attrib["frame"] for box in track] == ["0", "1", "2", "3"]
    [task] = json.loads((out / "tasks.json").read_text())
    assert len(task["predictions"][0]["result"]) == 1
    said = capsys.readouterr().out
    for name, output in OUTPUTS.items():
        assert (f"{output.words} in {out}" in said) == (name in ALL)


def test_no_track_leaves_ids_out_of_everything(
    tmp_path: Path, video: Path, fake_load: FakeModel
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    predict_in_terminal(options(video, track=False, **in_folder(out)))
    assert "track_id" not in (out / "a.jsonl").read_text()
    assert "track_id" not in (out / "coco.json").read_text()
    assert (out / "a.csv").read_text().splitlines()[1].startswith("0,0.0,,,0,dog,")
    assert names_in(out / "crops/dog")[0] == "000000_0.jpg"
    assert len((out / "yolo/labels/000000.txt").read_text().split()) == 6
    assert (out / "mot.txt").read_text().startswith("1,-1,")
    assert len(ElementTree.parse(out / "a.xml").getroot().findall("track")) == 4


def test_several_sources_have_files_of_their_own(
    tmp_path: Path, video: Path, fake_load: FakeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_video(tmp_path / "b.mp4", flat_frames(*[200] * 2))
    out = tmp_path / "out"
    out.mkdir()
    predict_in_terminal(options((str(video), str(other)), **in_folder(out)))
    assert [len(names_in(out / f"frames-{n}")) for n in (0, 1)] == [4, 2]
    assert [len(names_in(out / f"crops-{n}/dog")) for n in (0, 1)] == [4, 2]
    assert [len(names_in(out / f"yolo-{n}/labels")) for n in (0, 1)] == [4, 2]
    coco = [json.loads((out / f"coco-{n}.json").read_text()) for n in (0, 1)]
    assert [len(each["images"]) for each in coco] == [4, 2]
    assert coco[1]["images"][0]["file_name"] == "b/000000.jpg"
    assert (out / "tasks-1.label_config.xml").is_file()
    assert f"crops in {out / 'crops-0'}, {out / 'crops-1'}" in capsys.readouterr().out


def test_ctrl_c_leaves_whole_documents(
    tmp_path: Path, video: Path, fake_load: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose = fake_load.propose

    def interrupted(images: Any) -> Any:
        if len(fake_load.batches) == 3:
            signal.raise_signal(signal.SIGINT)
        return propose(images)

    monkeypatch.setattr(fake_load, "propose", interrupted)
    assert predict_in_terminal(options(video, mode="stream", **in_folder(tmp_path))).interrupted
    assert len(json.loads((tmp_path / "coco.json").read_text())["images"]) == 3
    [track] = ElementTree.parse(tmp_path / "a.xml").getroot().iterfind("track")
    # The video goes on: there the track is not known to be.
    assert [(box.attrib["frame"], box.attrib["outside"]) for box in track][-1] == ("3", "1")
    [task] = json.loads((tmp_path / "tasks.json").read_text())
    assert task["predictions"][0]["result"][0]["value"]["framesCount"] == 4
    assert len(names_in(tmp_path / "frames")) == 3
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize(("limit", "last"), [(2, ("2", "1")), (4, ("3", "0")), (None, ("3", "0"))])
def test_a_track_ends_where_the_run_did(
    tmp_path: Path, video: Path, fake_load: FakeModel, limit: int | None, last: tuple[str, str]
) -> None:
    predict_in_terminal(options(video, limit=limit, cvat=tmp_path / "a.xml"))
    [track] = ElementTree.parse(tmp_path / "a.xml").getroot().iterfind("track")
    assert [(box.attrib["frame"], box.attrib["outside"]) for box in track][-1] == last


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"save_frames": "clip"},
            "clip: holds 0.png, which the run reads; expected another folder",
        ),
        ({"save_crops": "."}, ".: holds 0.png, which the run reads"),
        ({"coco": "clip/0.png"}, "0.png: is what the run reads"),
        ({"yolo": "clip"}, "clip: is what the run reads"),
        ({"csv": "x", "mot": "x"}, "x: given for both of two outputs"),
        ({"label_studio": "x.json", "cvat": "x.label_config.xml"}, "given for both of two outputs"),
        ({"csv": "gone/x.csv"}, "gone/x.csv: cannot be written"),
        ({"yolo": "clip/0.png/labels"}, "labels: cannot be written"),
        ({"trace": True, "track": False}, "trace: needs tracks; expected it without no-track"),
        ({"coco": "-"}, "coco: - given; expected a name, as only jsonl goes to stdout"),
        ({"line_width": -1}, "line_width: -1 given"),
    ],
)
def test_what_cannot_be_is_told_before_the_first_frame(
    tmp_path: Path,
    fake_load: FakeModel,
    monkeypatch: pytest.MonkeyPatch,
    values: dict[str, Any],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip").mkdir()
    cv2.imwrite("clip/0.png", flat_frames(200)[0])
    before = (tmp_path / "clip/0.png").read_bytes()
    given = {k: Path(v) if isinstance(v, str) else v for k, v in values.items()}
    with pytest.raises(FaimError, match=sentence):
        predict_in_terminal(options("clip", **given))
    assert fake_load.batches == []
    assert (tmp_path / "clip/0.png").read_bytes() == before
    assert names_in(tmp_path / "clip") == ["0.png"]


def test_the_command_line_has_every_option(tmp_path: Path) -> None:
    line = ["predict", "0", "--line-width", "3", "--hide-labels", "--trace", "--color-by", "class"]
    for name, file in ALL.items():
        line += [f"--{name.replace('_', '-')}", str(tmp_path / file)]
    made = output_options(build_parser().parse_args(line))
    assert {name: str(getattr(made, name)) for name in ALL} == {
        name: str(tmp_path / file) for name, file in ALL.items()
    }
    assert (made.line_width, made.hide_labels, made.hide_scores) == (3, True, False)
    assert (made.trace, made.color_by, made.track) == (True, "class", True)


def test_the_command_writes_and_locks(
    tmp_path: Path, video: Path, fake_load: FakeModel, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w").touch()
    line = ["predict", str(video), "--weights", str(tmp_path / "w"), "--no-track"]
    line += ["--save-frames", str(tmp_path / "deep" / "frames"), "--hide-scores"]
    assert main(line) == 0
    assert len(names_in(tmp_path / "deep" / "frames")) == 4
    assert not list(tmp_path.rglob(".*"))
    assert main([*line, "--save-crops", str(tmp_path / "deep" / "frames")]) == 2
    assert "given for both of two outputs" in capsys.readouterr().err
