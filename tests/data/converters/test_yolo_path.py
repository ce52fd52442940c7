"""The commands of docs/train_your_own.md, on generated videos with YOLO labels."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import torch

from faim.cli import main
from faim.data.coco_vid import CocoVid
from faim.data.synth import generate
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import YoloxVideo

GUIDE = Path(__file__).resolve().parents[3] / "docs/train_your_own.md"
TRAIN = "max_epochs=1 no_aug_epochs=0 workers=0 model.test_size=(64,64)"
#: Makes a step small; it does not change what it does.
SHORT = {
    "train -f exps/yolox": f"batch_size=4 input_size=(64,64) multiscale_range=0 {TRAIN}",
    "train -f exps/faim": f"sizes=(64,) model.train_frames=2 {TRAIN}",
    "eval": "--size 64",
    "export": "--size 64",
    "predict mydata": "--backend torch",
}


def adapted(line: str) -> list[str]:
    line = line.removeprefix("faim ")
    for start, options in SHORT.items():
        if line.startswith(start) and "--weights model" not in line:
            line = f"{line} {options}"
    return shlex.split(line)


def write_yolo_labels(split: Path, seed: int, first: int) -> tuple[str, ...]:
    """Two generated videos, `cat_<first>` and the next, as images and labels; the class names."""
    data = CocoVid(
        generate(split, videos=2, frames=4, size=64, classes=2, severity="easy", seed=seed)
    )
    for number, video in enumerate(data.videos, start=first):
        images, labels = (split / kind / f"cat_{number:02}" for kind in ("images", "labels"))
        labels.mkdir(parents=True)
        images.parent.mkdir(exist_ok=True)
        video.frames[0].path.parent.rename(images)
        for frame in video.frames:
            lines = []
            for a in frame.annotations:
                x1, y1, x2, y2 = (side / 64 for side in a.box)
                center, sides = ((x1 + x2) / 2, (y1 + y2) / 2), (x2 - x1, y2 - y1)
                lines.append(" ".join(map(str, (a.category_id, *center, *sides, a.instance_id))))
            (labels / f"{frame.path.stem}.txt").write_text("\n".join(lines))
    return data.classes


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = write_yolo_labels(tmp_path / "mydata/train", seed=1, first=0)
    write_yolo_labels(tmp_path / "mydata/val", seed=2, first=1)
    (tmp_path / "mydata/classes.txt").write_text("\n".join(names))
    torch.manual_seed(0)
    coco = tuple(f"class {index}" for index in range(80))
    detector = YoloxVideo(FaimConfig("nano", coco, "yolox")).detector
    torch.save({"model": detector.state_dict()}, tmp_path / "yolox_nano.pth")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_labels_to_a_running_model(workplace: Path) -> None:
    text = GUIDE.read_text().replace("\\\n", " ")
    lines = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    assert len(lines) == 9
    for line in lines:
        assert main(adapted(line)) == 0, line
    converted = CocoVid(workplace / "mydata/train.json")
    original = CocoVid(workplace / "mydata/train/annotations.json")
    for own, other in zip(converted.frames, original.frames, strict=True):
        for a, b in zip(own.annotations, other.annotations, strict=True):
            assert a.category_id == b.category_id
            assert a.box == pytest.approx(b.box, abs=0.01)
    results = (workplace / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in results] == [0, 1, 2, 3]
