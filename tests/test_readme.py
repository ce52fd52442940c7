"""Every command of the README is run, on small data."""

import json
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from yolox.data.datasets import COCO_CLASSES

from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import YoloxVideo

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
#: Makes a training short; it does not change what the command means.
SHORT = {
    "yolox_s_vid": "input_size=(64,64) multiscale_range=0",
    "faim_s": "sizes=(64,) model.train_frames=2 model.mask_roi_size=8",
}
EVERY = "max_epochs=1 no_aug_epochs=0 frame_stride=1 workers=0 model.test_size=(64,64)"


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands():
    lines = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


def adapt(line):
    """The command with its tools found and its sizes small."""
    line = re.sub(r"--videos \d+ --frames \d+", "--videos 2 --frames 2 --size 64 --classes 3", line)
    for name, short in SHORT.items():
        if f"exps/{name}.py" in line:
            line = f"{line} {short} {EVERY}"
    return [sys.executable, "-m", "faim.cli", *shlex.split(line)[1:]]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with what the README takes for granted: a video, frames, YOLOX weights."""
    folder = tmp_path_factory.mktemp("readme")
    torch.manual_seed(0)
    config = FaimConfig(variant="s", class_names=tuple(COCO_CLASSES), architecture="yolox")
    # A file comes before the name of public weights, so nothing is fetched.
    torch.save({"model": YoloxVideo(config).detector.state_dict()}, folder / "yolox_s")
    run(folder, [sys.executable, "-m", "faim.cli", "synth", "--out", "clip", "--videos", "1",
                 "--frames", "3", "--size", "64"])  # fmt: skip
    (folder / "frames").symlink_to(folder / "clip/frames/video_0000")
    write_yolo_folder(folder / "mydata", folder / "frames")
    write_masks_and_boxes(folder)
    make = [sys.executable, "-m", "faim.cli", "predict", "frames", "--size", "64"]
    run(folder, [*make, "--save-video", "video.mp4"])
    return folder


def write_masks_and_boxes(folder):
    content = json.loads((folder / "clip/annotations.json").read_text())
    for image in content["images"]:
        image["file_name"] = "../clip/" + image["file_name"]
    (folder / "data").mkdir()
    (folder / "data/true.json").write_text(json.dumps(content))
    for annotation in content["annotations"]:
        del annotation["segmentation"]
    (folder / "data/boxes.json").write_text(json.dumps(content))


def write_yolo_folder(folder, frames):
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    (folder / "images/walk").symlink_to(frames.resolve())
    (folder / "labels/walk").mkdir()
    for frame in frames.iterdir():
        (folder / f"labels/walk/{frame.stem}.txt").write_text("0 0.5 0.5 0.2 0.2 1")
    (folder / "classes.txt").write_text("cat")


def run(folder, command):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_shell_commands(workplace):
    ran = []
    for line in commands():
        if line.startswith(("make", "pip")) or "--show" in line or "rtsp:" in line:
            continue  # `make` is what runs this test; a window needs a screen, a camera a camera
        if "tensorrt" in line and find_spec("tensorrt_rtx") is None:
            continue
        words = adapt(line)
        if "bench" in words:
            words += ["--size", "64", "--frames", "5"]
        if "predict" in words and "--size" not in words:
            words += ["--size", "64"]
        run(workplace, words)
        ran.append(line)
    assert len(ran) >= 15
    assert (workplace / "out.mp4").stat().st_size > 0
    assert len((workplace / "out.jsonl").read_text().splitlines()) == 3
    assert (workplace / "out.csv").read_text().startswith("frame,time,file,track_id,")
    assert "<annotations>" in (workplace / "walk.xml").read_text()
    assert len(json.loads((workplace / "tasks.json").read_text())) == 1
    assert (workplace / "runs/faim/weights.safetensors").exists()
    assert "repp" in (workplace / "report.html").read_text()
    assert (workplace / "sheet.png").stat().st_size > 0


def test_python_code(workplace):
    (code,) = blocks("python")
    run(workplace, [sys.executable, "-c", code.replace('"yolox_s"', '"yolox_s", size=64')])


def test_pictures_and_links_are_there():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
