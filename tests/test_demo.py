import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from faim.cli import main
from faim.data.coco_vid import CocoVid
from faim.demo import _print_table, _which_are_right
from faim.evaluation.modes import ModeRun
from faim.families.yolox.checkpoint import load_model
from faim.runtime.sources import open_source
from faim.structures import Detections
from faim.weights import default_weights


def test_embedded_checkpoint_is_small_and_whole():
    path = default_weights()
    assert path.stat().st_size < 12e6
    model = load_model(path)
    assert model.config.variant == "nano"
    assert model.config.architecture == "faim"


def test_demo(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "demo"), "--frames", "8"]) == 0
    shown = capsys.readouterr().out
    for words in ("AP50", "flips", "ms a frame", "demo.mp4", "demo.png"):
        assert words in shown
    with open_source(tmp_path / "demo" / "demo.mp4") as video:
        frames = [frame.image for frame in video]
    assert len(frames) == 4 * 8
    # Two detectors side by side on the same pictures.
    height, width = frames[0].shape[:2]
    left, right = frames[0][:, : width // 2], frames[0][:, width // 2 :]
    assert (height, width) == (256 * 2 + 24, 256 * 2 * 2)
    assert np.corrcoef(left[30:].ravel(), right[30:].ravel())[0, 1] > 0.8
    assert cv2.imread(str(tmp_path / "demo" / "demo.png")) is not None


def test_of_two_boxes_of_one_object_the_surer_is_right():
    box, beside, label = (10.0, 10.0, 50.0, 50.0), (60.0, 60.0, 90.0, 90.0), 1
    truths = [SimpleNamespace(category_id=label, box=each) for each in (box, beside)]
    found = Detections(
        torch.tensor([(12.0, 10, 50, 50), box, beside, (200.0, 200, 240, 240), box]),
        torch.tensor([0.5, 0.9, 0.4, 0.8, 0.7]),
        torch.tensor([1, 1, 1, 1, 0]),
    )
    right = _which_are_right(found, SimpleNamespace(annotations=truths))
    assert right == [False, True, True, False, False]


def test_the_table_says_what_a_viewer_sees(tmp_path, capsys):
    """A right box; then one of another class in its place, and one of two beside it not shown."""
    images = [
        {"id": i, "video_id": 1, "frame_id": i - 1, "file_name": f"{i}.png"}
        | {"width": 100, "height": 100}
        for i in (1, 2)
    ]
    objects = [
        {"id": i, "image_id": i, "video_id": 1, "instance_id": 1, "category_id": 1, "iscrowd": 0}
        | {"bbox": [10, 10, 40, 40], "area": 1600}
        for i in (1, 2)
    ]
    content = {
        "categories": [{"id": 1, "name": "dots"}, {"id": 2, "name": "rings"}],
        "videos": [{"id": 1, "name": "a"}],
        "images": images,
        "annotations": objects,
    }
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    box, beside = (10.0, 10, 50, 50), (60.0, 60, 90, 90)
    run = ModeRun(
        {
            1: Detections(torch.tensor([box]), torch.tensor([0.9]), torch.tensor([0])),
            2: Detections(
                torch.tensor([box, beside, beside]),
                torch.tensor([0.8, 0.3, 0.29]),
                torch.tensor([1, 1, 0]),
            ),
        }
    )
    data = CocoVid(tmp_path / "annotations.json")
    _print_table(Console(width=80), data, {"its boxes linked, whole clips (REPP)": run})
    *heads, first, _ = (
        [cell.strip() for cell in line.replace("┃", "│").split("│")[1:-1]]
        for line in capsys.readouterr().out.splitlines()
        if "┃" in line or "│" in line
    )
    titles = [" ".join(filter(None, parts)) for parts in zip(*heads, strict=True)]
    assert dict(zip(titles, first, strict=True)) == {
        "": "its boxes linked,",
        "AP50": "50.5",
        "found %": "50.0",
        "wrong labels %": "50.0",
        "boxes a frame": "1.50",
        "on/off flips per 100 frames": "100.0",
        "ms a frame": "-",
    }


def test_demo_refuses_a_file_as_its_folder(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["demo", "--out", str(tmp_path / "file"), "--frames", "8"]) == 2
    assert "file" in capsys.readouterr().err


@pytest.mark.parametrize("frames", ["7", "many"])
def test_demo_refuses_a_wrong_length(frames):
    with pytest.raises(SystemExit) as caught:
        main(["demo", "--frames", frames])
    assert caught.value.code == 2
