"""The `faim` command as a user meets it: results, and one sentence for every wrong input."""

import json
import pickle

import cv2
import numpy as np
import pytest
import torch

from faim.cli import main
from faim.families.yolox.checkpoint import save_checkpoint
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import FAIM


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    config = FaimConfig(variant="nano", class_names=("a", "b"), test_size=(64, 64))
    save_checkpoint(path, FAIM(config))
    return path


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    g = np.random.default_rng(0)
    for i in range(3):
        size = (40 + 10 * i, 60, 3)  # frames of changing size
        cv2.imwrite(str(folder / f"{i}.png"), g.integers(0, 255, size, dtype=np.uint8))
    return folder


def refused(arguments, capsys, *words):
    """The command ends with status 2, and one sentence that has these words."""
    assert main([str(a) for a in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    for word in words:
        assert word in captured.err, captured.err


@pytest.mark.parametrize("mode", ["stream", "global", "frame"])
def test_predict_writes_json_lines(weights, frames, tmp_path, mode):
    out = tmp_path / "out.jsonl"
    arguments = ["predict", frames, "--weights", weights, "--mode", mode, "--conf", "0"]
    assert main([str(a) for a in [*arguments, "--jsonl", out]]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["frame"] for row in rows] == [0, 1, 2]
    assert [(row["height"], row["width"]) for row in rows] == [(40, 60), (50, 60), (60, 60)]
    assert set(rows[0]) == {"frame", "time", "width", "height", "file", "detections"}
    for row in rows:
        for found in row["detections"]:
            assert set(found) == {"bbox", "score", "label", "class_id"}
            x1, y1, x2, y2 = found["bbox"]
            assert 0 <= x1 <= x2 <= row["width"]
            assert 0 <= y1 <= y2 <= row["height"]
            assert found["label"] == ("a", "b")[found["class_id"]]


def test_predict_refuses_wrong_sources(weights, tmp_path, capsys):
    def predict(source):
        return ["predict", source, "--weights", weights, "--jsonl", tmp_path / "o.jsonl"]

    refused(predict(tmp_path / "absent.mp4"), capsys, "absent.mp4")
    (tmp_path / "empty.mp4").touch()
    refused(predict(tmp_path / "empty.mp4"), capsys, "empty.mp4", "empty")
    (tmp_path / "text.mp4").write_text("no video")
    refused(predict(tmp_path / "text.mp4"), capsys, "text.mp4")
    (tmp_path / "folder").mkdir()
    refused(predict(tmp_path / "folder"), capsys, "folder", "image")
    refused(predict(tmp_path / "*.tif"), capsys, "*.tif")
    assert not (tmp_path / "o.jsonl").exists()


def test_predict_refuses_wrong_weights(frames, tmp_path, capsys):
    def predict(weights):
        return ["predict", frames, "--weights", weights]

    refused(predict(tmp_path / "absent.pth"), capsys, "absent.pth")
    (tmp_path / "list.pth").write_bytes(pickle.dumps([1, 2]))
    refused(predict(tmp_path / "list.pth"), capsys, "list.pth")
    broken = FAIM(FaimConfig(variant="nano", class_names=("a",)))
    with torch.no_grad():
        broken.ifem.conv.pconv.conv.weight[0] = float("nan")
    save_checkpoint(tmp_path / "nan.safetensors", broken)
    refused(predict(tmp_path / "nan.safetensors"), capsys, "nan.safetensors", "finite")


def test_predict_refuses_wrong_outputs(weights, frames, tmp_path, capsys):
    (tmp_path / "file").touch()
    for option in ("--jsonl", "--save-video"):
        target = tmp_path / "file" / "out.mp4"
        refused(["predict", frames, "--weights", weights, option, target], capsys, "out.mp4")


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "x", "--size", "100"],
        ["predict", "x", "--size", "64x"],
        ["predict", "x", "--conf", "1.5"],
        ["predict", "x", "--mode", "fast"],
        ["synth", "--out", "x", "--videos", "0"],
        ["eval", "--mode", "best"],
        [],
    ],
)
def test_wrong_options_end_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_synth_eval_and_wrong_class_count(weights, tmp_path, capsys):
    out = tmp_path / "set"
    small = ["--videos", "1", "--frames", "2", "--size", "64", "--classes", "3"]
    assert main(["synth", "--out", str(out), *small]) == 0
    capsys.readouterr()
    data = ["--data", out / "annotations.json"]
    refused(["eval", "-c", weights, *data], capsys, "classes")
    names = json.loads((out / "annotations.json").read_text())["categories"]
    config = FaimConfig(
        variant="nano", class_names=tuple(c["name"] for c in names), test_size=(64, 64)
    )
    own = tmp_path / "own.safetensors"
    save_checkpoint(own, FAIM(config))
    report = tmp_path / "report.json"
    assert main([str(a) for a in ["eval", "-c", own, *data, "--json", report]]) == 0
    assert set(json.loads(report.read_text())["modes"]) == {"frame", "stream", "global"}


def test_convert(tmp_path, capsys):
    model = FAIM(FaimConfig(variant="nano", class_names=("a", "b")))
    torch.save(model.detector.state_dict(), tmp_path / "yolox.pth")
    convert = ["convert", tmp_path / "yolox.pth", "--out", tmp_path / "w.safetensors"]
    refused([*convert, "--classes", "a,b,c"], capsys, "2 classes")
    assert main([str(a) for a in [*convert, "--classes", "cat,dog"]]) == 0
    from faim.families.yolox.checkpoint import load_checkpoint

    config, _ = load_checkpoint(tmp_path / "w.safetensors")
    assert config.class_names == ("cat", "dog")
