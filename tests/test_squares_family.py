"""A family in a folder of its own goes through the whole house, without a line changed there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from safetensors.torch import load_file
from toy_family import FAMILY, NAMES, SquareDetector, SquareExperiment, save
from training_fixtures import fit

import faim
from faim import registry
from faim.cli import main
from faim.detector import VideoDetector

__all__ = ["fit"]

#: Of eight frames of 80x64: a red square that moves right, and a blue one that stays.
RED = [(10 + 4 * index, 8, 26 + 4 * index, 24) for index in range(8)]
BLUE = (50, 40, 60, 50)


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FAMILIES", dict(registry._FAMILIES))
    registry.register(FAMILY)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A CocoVID of the frames."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, red in enumerate(RED):
        picture = np.full((64, 80, 3), 30, np.uint8)
        for channel, (x1, y1, x2, y2) in ((2, red), (0, BLUE)):
            picture[y1:y2, x1:x2, channel] = 220
            box = [x1, y1, x2 - x1, y2 - y1]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": index + 1, "category_id": channel + 1}
                | {"bbox": box, "area": box[2] * box[3], "iscrowd": 0, "instance_id": channel}
            )
        cv2.imwrite(str(tmp_path / f"{index}.png"), picture)
        place = {"id": index + 1, "video_id": 1, "frame_id": index, "file_name": f"{index}.png"}
        images.append({**place, "width": 80, "height": 64})
    content = {
        "videos": [{"id": 1, "name": "squares"}],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": place, "name": name} for place, name in enumerate(NAMES, 1)],
    }
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "squares.safetensors"
    save(path, SquareDetector())
    return path


@pytest.mark.parametrize("mode", ["frame", "stream", "global"])
@pytest.mark.parametrize("post", ["none", "auto"])
def test_load_and_predict(data: Path, weights: Path, mode: Any, post: Any) -> None:
    detector = faim.load(weights, post=post)
    assert (detector.class_names, detector.size, detector.backend) == (
        NAMES,
        (64, 64),
        "torch fp32",
    )
    results = detector.predict(data.parent, mode=mode)
    assert len(results) == 8
    for result, red in zip(results, RED, strict=True):
        assert sorted(result.labels) == ["blue", "red"]
        assert result.confidence.tolist() == [0.5, 0.5]
        found = dict(zip(result.labels, result.xyxy.tolist(), strict=True))
        np.testing.assert_allclose(found["red"], red, atol=1.5)
        np.testing.assert_allclose(found["blue"], BLUE, atol=1.5)


@pytest.mark.parametrize(("mode", "post"), [("stream", "causal"), ("global", "repp")])
def test_links_follow_its_squares(data: Path, weights: Path, mode: Any, post: Any) -> None:
    results = faim.load(weights, post=post).predict(data.parent, mode=mode)
    tracks = {
        label: {int(r.tracker_id[r.labels.index(label)]) for r in results[1:]}
        for label in ("red", "blue")
    }
    assert sorted(map(len, tracks.values())) == [1, 1]
    assert tracks["red"] != tracks["blue"]


def test_the_command_line(
    data: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "found.jsonl"
    common = ["--weights", str(weights)]
    assert main(["predict", str(data.parent), *common, "--jsonl", str(lines)]) == 0
    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [len(record["detections"]) for record in records] == [2] * 8
    run, page = tmp_path / "run", tmp_path / "report.html"
    asked = ["eval", *common, "--data", str(data), "--out", str(run), "--json", str(run) + ".json"]
    assert main(asked) == 0
    figures = json.loads(Path(str(run) + ".json").read_text())["modes"]
    assert {mode: round(found["ap50"], 1) for mode, found in figures.items()} == dict.fromkeys(
        ("frame", "stream", "global"), 100.0
    )
    assert main(["report", str(run), "--out", str(page)]) == 0
    assert "red" in page.read_text(encoding="utf-8")
    asked = ["export", *common, "--format", "onnx", "--out", str(tmp_path / "onnx")]
    assert main(asked) == 2
    assert "detectors of the family squares have no graphs" in capsys.readouterr().err


def test_a_family_that_is_not_known(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FAMILIES", {"yolox": registry.family_of("yolox", "")})
    with pytest.raises(
        faim.FaimError, match=r"squares.safetensors: of a family of detectors 'squares'; expected"
    ):
        faim.load(weights)


def test_ten_steps_of_training(fit: Callable[..., Path], data: Path, tmp_path: Path) -> None:
    experiment = SquareExperiment(
        name="squares",
        train_ann=str(data),
        val_ann=str(data),
        max_epochs=10,
        batch_size=8,
        ema=False,
        workers=0,
        accelerator="cpu",
    )
    weights = fit(experiment, tmp_path / "out")
    # Two of three channels are lit: each step takes 2/3 of twice the rate off the distance.
    expected = 1 - 0.5 * (1 - 0.1 * 2 * 2 / 3) ** 10
    assert float(load_file(weights)["gain"]) == pytest.approx(expected, abs=1e-5)
    found = faim.load(weights).predict(data.parent, mode="frame")
    assert found[0].confidence.tolist() == pytest.approx([expected] * 2, abs=1e-5)


def test_a_family_that_lacks_a_part_is_told() -> None:
    class Half(VideoDetector):
        def look(self, images: Any) -> Any:
            return images

    with pytest.raises(TypeError, match=r"abstract.*decide.*step.*traits"):
        Half()
