"""The commands of docs/train_imagenet_vid.md, in small, on a tree of the real layout."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from trees import imagenet_tree

from faim.class_names import IMAGENET_VID_CLASSES
from faim.cli import main
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import YoloxVideo

GUIDE = Path(__file__).resolve().parents[3] / "docs/train_imagenet_vid.md"
#: Makes a step small; it does not change what it does.
SHORT = {
    "train -f exps/yolox": "-d 1 -b 2 --precision 32-true input_size=(64,64) multiscale_range=0",
    "train -f exps/yolov": "--precision 32-true sizes=(64,) model.train_frames=2",
    "train -f exps/faim": "--precision 32-true sizes=(64,) model.train_frames=2 "
    "model.mask_weight=0",
    "eval": "--size 64 --device cpu",
}
TRAIN = "variant=nano max_epochs=1 no_aug_epochs=0 workers=0 model.test_size=(64,64)"


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return "".join(blocks).replace("\\\n", " ").splitlines()


def adapted(line: str) -> list[str]:
    line = line.removeprefix("faim ").replace("train_tenth_masks", "train_tenth")
    for start, options in SHORT.items():
        if line.startswith(start):
            line = f"{line} {options}" + (f" {TRAIN}" if start.startswith("train") else "")
    return shlex.split(line.replace("--workers 8", "--workers 1"))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    imagenet_tree(tmp_path)
    torch.manual_seed(0)
    names = tuple(f"class {index}" for index in range(80))
    detector = YoloxVideo(FaimConfig("nano", names, "yolox")).detector
    torch.save({"model": detector.state_dict()}, tmp_path / "yolox_s.pth")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_the_archives_to_the_report(workplace: Path) -> None:
    lines = commands()
    assert len(lines) == 11
    for line in lines:
        assert main(adapted(line)) == 0, line
    train = json.loads((workplace / "data/vid/train.json").read_text())
    assert [entry["name"] for entry in train["categories"]] == list(IMAGENET_VID_CLASSES)
    run = json.loads((workplace / "eval/faim_s/run.json").read_text())
    assert run["modes"].keys() == {"frame", "stream", "global"}
    assert run["images"] == 7
    page = (workplace / "report.html").read_text()
    assert all(name in page for name in ("yolov_s", "faim_s", "faim_s_repp"))
