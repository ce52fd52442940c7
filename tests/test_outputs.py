"""What a command writes is never what it reads, nor what another run is writing."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from faim.cli import build_parser, main
from faim.errors import FaimError
from faim.outputs import check_outputs, claimed

#: What the names of options that write have in common.
_TELLING = ("out", "json", "jsonl", "video", "preview", "registry", "save")
#: Of those, what reads.
_READING = {"resume", "hold_out"}


def _leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    nested = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not nested:
        yield parser
    for action in nested:
        for child in action.choices.values():
            yield from _leaves(child)


def test_every_option_that_writes_is_declared() -> None:
    found = {}
    for parser in _leaves(build_parser()):
        writes = parser.get_default("writes") or {}
        names = {action.dest for action in parser._actions}
        assert writes.keys() <= names
        for name in names - writes.keys() - _READING:
            assert not set(name.split("_")) & set(_TELLING), (parser.prog, name)
        found[parser.prog] = set(writes)
    assert found["faim predict"] == {
        "jsonl",
        "save_video",
        "save_frames",
        "save_crops",
        "csv",
        "coco",
        "yolo",
        "mot",
        "cvat",
        "label_studio",
    }
    assert found["faim eval"] == {"json", "out"}
    assert found["faim train"] == {"output_dir"}
    assert found.pop("faim weights") == set()  # it fills the cache
    assert all(found.values())  # another command without an output has no use


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two images, and the annotation file that names them."""
    folder = tmp_path / "data"
    (folder / "frames").mkdir(parents=True)
    for number in range(2):
        cv2.imwrite(str(folder / f"frames/{number}.jpg"), np.full((40, 60, 3), 90, np.uint8))
    content = {
        "categories": [{"id": 1, "name": "a"}],
        "videos": [{"id": 1, "name": "v"}],
        "images": [
            {"id": k + 1, "video_id": 1, "frame_id": k, "width": 60, "height": 40}
            | {"file_name": f"frames/{k}.jpg"}
            for k in range(2)
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 20, 20], "instance_id": 1}
        ],
    }
    (folder / "ann.json").write_text(json.dumps(content))
    (folder / "weights.safetensors").write_bytes(b"not read before the outputs are looked at")
    (folder / "results.json").write_text("[]")
    (folder / "exported").mkdir()
    (folder / "exported/frame.xml").write_text("<net/>")
    (folder / "run").mkdir()
    (folder / "run/run.json").write_text(json.dumps({"data": str(folder / "ann.json")}))
    (folder / "run/detections_frame.json").write_text("[]")
    (folder / "annotations_train.json").write_text("{}")
    for name in ("hard.jsonl", "hard.json"):
        os.link(folder / "frames/1.jpg", folder / name)
    (folder / "soft.json").symlink_to("ann.json")
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "predict frames --jsonl frames/1.jpg",
        "predict frames --jsonl hard.jsonl",
        "predict frames/*.jpg --jsonl frames/0.jpg",
        "predict frames --weights weights.safetensors --jsonl weights.safetensors",
        "predict frames --weights exported --jsonl exported/frame.xml",
        "predict frames --post-model results.json --jsonl results.json",
        "eval --data ann.json --json ann.json",
        "eval --data ann.json --json soft.json",
        "eval --data ann.json --json frames/1.jpg",
        "eval --data ann.json -c weights.safetensors --json weights.safetensors",
        "eval --data ann.json --detections results.json --json results.json",
        "eval --data ann.json --detections run/detections_frame.json --out run",
        "report run --out run/run.json",
        "report run --out run/detections_frame.json",
        "report run --out ann.json",
        "report run --out frames/0.jpg",
        "export -c exported --format onnx --out exported",
        "data convert ovis . --out annotations_train.json",
        "data convert yolo . --out hard.json",
        "data check ann.json --out frames/0.jpg",
        "data check ann.json --out ann.json",
        "masks ann.json --method box --out ann.json",
        "masks ann.json --method box --preview frames/1.jpg",
        "masks ann.json --method sam checkpoint=weights.safetensors --preview weights.safetensors",
        "masks eval ann.json results.json --json results.json",
        "masks eval ann.json results.json --video frames/1.jpg",
        "bench --weights weights.safetensors --json weights.safetensors",
        "bench --source frames/0.jpg --json frames/0.jpg",
        "convert weights.safetensors --out weights.safetensors",
        "repp fit ann.json --out ann.json",
        "repp fit ann.json --out frames/0.jpg",
    ],
)
def test_an_output_onto_an_input_is_refused(
    line: str, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(data)
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    assert main(line.split()) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "is what the run reads; expected another output" in told
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


def test_earlier_results_beside_the_input_may_be_replaced(data: Path) -> None:
    """What is not read is no input, wherever it lies."""
    sheet = data / "frames/sheet.png"
    for _ in range(2):
        assert main(["data", "check", str(data / "ann.json"), "--out", str(sheet)]) == 0
    out = data / "all.json"
    (data / "labels").mkdir()
    for _ in range(2):
        line = ["data", "convert", "yolo", str(data), "--names", "a", "--out", str(out)]
        assert main([*line, "--workers", "0"]) == 0
    assert json.loads(out.read_text())["categories"] == [{"id": 1, "name": "a"}]


def test_one_file_for_two_outputs_is_refused(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(data)
    assert main(["predict", "frames", "--jsonl", "a.mp4", "--save-video", "./a.mp4"]) == 2
    assert "a.mp4: given for both of two outputs" in capsys.readouterr().err
    with pytest.raises(FaimError, match=r"soft.json: given for both of two outputs"):
        check_outputs([Path("ann.json"), Path("soft.json")], [])
    (data / "b-0.mp4").symlink_to("b-1.mp4")
    assert main(["predict", "frames", "frames", "--save-video", "b.mp4"]) == 2
    assert "b-1.mp4: given for both of two outputs" in capsys.readouterr().err


_HOLD = """
import sys
from pathlib import Path
from faim.outputs import claimed
with claimed([Path(sys.argv[1])], []):
    print("has it", flush=True)
    sys.stdin.read()
"""


def test_two_runs_into_one_output(tmp_path: Path) -> None:
    out = tmp_path / "new/folder/out.jsonl"
    link = tmp_path / "link.jsonl"
    link.symlink_to(out)
    command = [sys.executable, "-c", _HOLD, str(out)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "has it\n"
        for name in (out, link):
            with pytest.raises(FaimError, match=r"jsonl: another run is writing it; expected one"):
                claimed([name], []).__enter__()
        with claimed([out.with_name("other.jsonl")], []):
            pass
        other.kill()  # which leaves its lock file
    assert len(list(out.parent.iterdir())) == 1
    with claimed([out], []):
        pass
    assert not list(out.parent.iterdir())


def test_folders_made_for_nothing_go_again(tmp_path: Path) -> None:
    with claimed([tmp_path / "a/b/out.json"], []):
        assert (tmp_path / "a/b").is_dir()
    assert not list(tmp_path.iterdir())
    with claimed([tmp_path / "a/b/out.json"], []):
        (tmp_path / "a/kept").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "kept"]


def test_a_planted_lock_is_neither_followed_nor_removed(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    with claimed([out], []):
        [lock] = tmp_path.iterdir()
    for content in ("somebody's own", None):
        if content is None:
            lock.unlink()
            lock.symlink_to("nowhere")
        else:
            lock.write_text(content)
        with claimed([out], []):
            pass
        assert [path.name for path in tmp_path.iterdir()] == [lock.name]
    assert lock.is_symlink()
