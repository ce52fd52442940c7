"""The Python code of the guides runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from faim.families.yolox.checkpoint import save_checkpoint
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import YoloxVideo

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "docs/from_ultralytics.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with weights, a picture and a video."""
    folder = tmp_path_factory.mktemp("guide")
    torch.manual_seed(0)
    names = ("person", *(f"class {number}" for number in range(1, 80)))
    config = FaimConfig(variant="nano", class_names=names, test_size=(64, 64), architecture="yolox")
    save_checkpoint(folder / "small.safetensors", YoloxVideo(config))
    picture = np.full((48, 64, 3), 90, np.uint8)
    cv2.imwrite(str(folder / "bus.jpg"), picture)
    writer = cv2.VideoWriter(
        str(folder / "video.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (64, 48)
    )
    for _ in range(3):
        writer.write(picture)
    writer.release()
    return folder


def test_every_pair_has_theirs_and_ours():
    assert ["import faim" in block for block in BLOCKS] == [False, True] * 3
    assert all("YOLO(" in block for block in BLOCKS[::2])


def test_ours_runs(workplace):
    code = "\n".join(BLOCKS[1::2]).replace('"yolox_s"', '"small.safetensors"')
    code += "\nassert picture.shape == (48, 64, 3)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=workplace, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert cv2.imread(str(workplace / "out.jpg")).shape == (48, 64, 3)


def test_the_names_of_results_are_there():
    from faim.runtime.results import FrameResult

    table = GUIDE.split("## Results")[1]
    named = set(re.findall(r"`result\.(\w+)", table)) - {"boxes"}
    assert {"xyxy", "confidence", "class_id", "tracker_id", "labels", "image", "file"} <= named
    known = {*dir(FrameResult), *FrameResult.__dataclass_fields__}
    assert named <= known
