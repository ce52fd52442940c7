"""What takes weights takes a name of known ones, whose file is fetched once."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from release_server import CONTENT, ReleaseServer

import faim
from faim.cli import main
from faim.errors import FaimError
from faim.families.yolox.checkpoint import load_base_weights, load_checkpoint
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import YoloxVideo, build_model
from faim.weights import default_weights
from faim.weights.known import KNOWN, KnownWeights, Release
from faim.weights.named import fetched, place_of, weights_file

ROOT = Path(__file__).resolve().parents[2]
NANO = FaimConfig(
    variant="nano",
    class_names=tuple(f"class {index}" for index in range(80)),
    architecture="yolox",
    test_size=(64, 64),
)


@pytest.fixture
def model(server: ReleaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> YoloxVideo:
    """`yolox_nano`, of random weights, as the server has it."""
    model = build_model(NANO)
    assert isinstance(model, YoloxVideo)
    torch.save({"model": model.detector.state_dict()}, tmp_path / "made.pth")
    server.content = (tmp_path / "made.pth").read_bytes()
    sha256 = hashlib.sha256(server.content).hexdigest()
    release = Release(server.url(), len(server.content), sha256)
    known = KnownWeights("YOLOX-Nano", "80 of COCO", "yolox_nano.pth", release)
    monkeypatch.setitem(KNOWN, "yolox_nano", known)
    return model


def test_a_detector_by_name(model: YoloxVideo, server: ReleaseServer, cache: Path) -> None:
    detector = faim.load("yolox_nano", backend="torch", size=64)
    assert detector.class_names[16] == "dog"
    assert (cache / "yolox_nano.pth").read_bytes() == server.content
    again = pickle.loads(pickle.dumps(detector))
    assert len(list(again.predict([np.full((64, 64, 3), 90, np.uint8)]))) == 1
    key = "detector.head.cls_preds.0.weight"
    assert torch.equal(load_checkpoint("yolox_nano")[1][key], model.state_dict()[key])
    assert server.asked == [None]


def test_what_training_starts_from(model: YoloxVideo, server: ReleaseServer) -> None:
    other = build_model(NANO)
    load_base_weights(other, "yolox_nano")
    weight = other.detector.head.cls_preds[0].weight
    assert torch.equal(weight, model.detector.head.cls_preds[0].weight)
    assert server.asked == [None]


def test_commands_by_name(model: YoloxVideo, server: ReleaseServer, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "frame.png"), np.full((64, 64, 3), 90, np.uint8))
    line = ["predict", str(tmp_path / "frame.png"), "--weights", "yolox_nano", "--size", "64"]
    assert main([*line, "--jsonl", "a.jsonl", "--backend", "torch"]) == 0
    assert len(Path("a.jsonl").read_text().splitlines()) == 1
    assert main(["convert", "yolox_nano", "--out", "ours.safetensors"]) == 0
    config, state = load_checkpoint("ours.safetensors")
    assert (config.variant, config.num_classes) == ("nano", 80)
    key = "detector.head.cls_preds.0.weight"
    assert torch.equal(state[key], model.state_dict()[key])
    assert server.asked == [None]


def test_a_path_that_exists_is_a_path(known: KnownWeights, server: ReleaseServer) -> None:
    Path("yolox_s").write_bytes(b"mine")
    assert weights_file("yolox_s") == place_of("yolox_s") == Path("yolox_s")
    with pytest.raises(FaimError, match=r"^yolox_s: not a checkpoint"):
        faim.load("yolox_s")
    Path("yolox_s").unlink()
    Path("yolox_s").mkdir()
    with pytest.raises(FaimError, match=r"^yolox_s: a folder without frame\.engine"):
        faim.load("yolox_s")
    assert server.asked == []
    assert main(["weights", "yolox_s"]) == 0  # which takes names alone
    assert server.asked == [None]


def test_the_place_of_a_name_is_told_without_fetching(
    known: KnownWeights, server: ReleaseServer, cache: Path
) -> None:
    assert place_of("yolox_s") == place_of(Path("yolox_s")) == cache / "yolox_s.pth"
    assert place_of("faim_nano_synthvid") == default_weights()
    assert weights_file("faim_nano_synthvid") == default_weights()
    assert place_of("other.pth") == Path("other.pth")
    assert not cache.exists()


def test_a_damaged_file_is_fetched_again(
    known: KnownWeights, server: ReleaseServer, cache: Path
) -> None:
    cache.mkdir(parents=True)
    (cache / "yolox_s.pth").write_bytes(CONTENT[:-1] + b"x")
    assert fetched("yolox_s").read_bytes() == CONTENT
    assert server.asked == [None]
    server.statuses = [404]
    (cache / "yolox_s.pth").write_bytes(b"put there by hand")
    with pytest.raises(FaimError, match="the server answers 404 Not Found"):
        fetched("yolox_s")
    assert (cache / "yolox_s.pth").read_bytes() == b"put there by hand"


def test_what_is_put_there_by_hand_needs_no_network(
    known: KnownWeights, server: ReleaseServer, cache: Path
) -> None:
    sentence = (
        "yolov_s: lies on Google Drive, where only a browser can fetch it; expected the file of "
        "https://drive.google.com/file/d/12X4dQw45aXVYgJjKAAAPk409FO3xValW/view?usp=sharing at "
        f"{cache}/yolov_s.pth"
    )
    with pytest.raises(FaimError, match=f"^{re.escape(sentence)}$"):
        weights_file("yolov_s")
    cache.mkdir(parents=True)
    (cache / "yolov_s.pth").write_bytes(b"theirs")
    (cache / "yolox_s.pth").write_bytes(CONTENT)
    assert weights_file("yolov_s") == cache / "yolov_s.pth"
    assert weights_file("yolox_s") == cache / "yolox_s.pth"
    assert server.asked == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("yolox-s", "a name that faim weights lists, such as yolox_s"),
        ("yolox_nano.pth", "a name that faim weights lists, such as yolox_nano"),
        ("YOLOV_L", "a name that faim weights lists, such as yolov_l"),
        ("weights.safetensors", "a name that faim weights lists$"),
    ],
)
def test_names_that_are_near_are_told(given: str, told: str, capsys: pytest.CaptureFixture) -> None:
    sentence = rf"^{given}: no such file; expected a checkpoint \(.safetensors or .pth\), or {told}"
    with pytest.raises(FaimError, match=sentence):
        faim.load(given, backend="torch")
    assert main(["weights", "faim_nano_synthvid", given]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.match(rf"faim: {given}: no known weights have this name; expected {told}", err)


@pytest.mark.parametrize(
    "line",
    [
        ["predict", "in.mp4", "--weights", "yolox_s", "--jsonl"],
        ["convert", "yolox_s", "--out"],
        ["eval", "-c", "yolox_s", "--data", "a.json", "--json"],
    ],
)
def test_an_output_is_not_the_fetched_file(
    known: KnownWeights, line: list[str], capsys: pytest.CaptureFixture
) -> None:
    place = fetched("yolox_s")
    assert main([*line, str(place)]) == 2
    assert capsys.readouterr().err.endswith(
        f"{place}: is what the run reads; expected another output\n"
    )
    assert place.read_bytes() == CONTENT


def test_without_a_home_the_variable_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAIM_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def no_home() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(FaimError, match=r"^FAIM_CACHE: not set, and there is no home folder"):
        weights_file("yolox_s")


def test_a_new_user_without_a_network_is_told_what_to_do(tmp_path: Path) -> None:
    """One sentence; a proxy that is not there stands for no network."""
    cv2.imwrite("frame.png", np.zeros((64, 64, 3), np.uint8))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("FAIM", "XDG"))
    }
    environment |= {"HOME": str(tmp_path / "home"), "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "faim.cli", "predict", "frame.png", "--weights", "yolox_s"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    url = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/yolox_s.pth"
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"faim: yolox_s: fetching 72.1 MB from {url}",
        f"faim: yolox_s: {url} cannot be fetched (Connection refused); expected the released "
        f"file, which may also be put by hand at {tmp_path}/home/.cache/faim/weights/yolox_s.pth",
    ]


def test_the_list_and_the_path(
    known: KnownWeights, server: ReleaseServer, cache: Path, capsys: pytest.CaptureFixture
) -> None:
    cache.mkdir(parents=True)
    (cache / "yolox_s.pth.part").write_bytes(CONTENT[: len(CONTENT) // 4])
    (cache / "yolox_x.pth").write_bytes(b"")
    (cache / "yolov_l.pth").write_bytes(b"theirs")
    assert main(["weights"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: re.split(r"\s{2,}", line.strip()) for line in lines[1:-1]}
    assert list(rows) == ["faim_nano_synthvid", *KNOWN]
    assert rows["faim_nano_synthvid"][1:] == (
        ["FAIM-Nano", "8 of SynthVID", "4.9 MB", "this package", "yes"]
    )
    assert rows["yolox_s"] == ["yolox_s", "YOLOX-S", "80 of COCO", "3.1 MB", "GitHub", "25 %"]
    assert rows["yolox_l"][3:] == ["434.4 MB", "GitHub", "no"]
    assert rows["yolox_x"][3:] == ["793.5 MB", "GitHub", "damaged"]
    assert rows["yolov_l"] == ["yolov_l", "YOLOV-L", "30 of VID", "Google Drive", "yes"]
    assert rows["yolov_x"][-1] == "no"
    assert f"fetches into {cache}" in lines[-1]
    assert server.asked == []
    assert main(["weights", "yolox_s", "faim_nano_synthvid"]) == 0
    assert capsys.readouterr().out == f"{cache}/yolox_s.pth\n{default_weights()}\n"


def test_the_table_is_that_of_the_page() -> None:
    page = (ROOT / "weights/README.md").read_text()
    for name, known in KNOWN.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert (known.release.url if known.release else known.page) in row
        if known.release:
            assert re.fullmatch("[0-9a-f]{64}", known.release.sha256)
            assert known.release.url.endswith(f"/{name}.pth")
            assert f"| {known.release.size / 1e6:.1f} MB |" in row
