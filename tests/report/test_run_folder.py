"""Reading run folders, damaged ones too."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from report_cases import perfect, write_run

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.report.run_folder import figure, read_run


@pytest.fixture
def run(tmp_path: Path, annotations: Path) -> Path:
    return write_run(tmp_path / "mine", annotations, {"stream": perfect()}, videos=2)


def test_reads_what_was_written(run: Path, annotations: Path) -> None:
    read = read_run(run)
    assert (read.name, read.classes, list(read.modes)) == ("mine", ("cat", "dog"), ["stream"])
    case = read.detections("stream", CocoVid(annotations))
    assert case.image_ids[case.found.frame].tolist() == list(range(1, 49))
    assert case.found.label.tolist() == [0] * 24 + [1] * 24
    assert case.found.box[0].tolist() == [6.0, 10.0, 46.0, 40.0]
    assert read.features() is None


def test_a_run_without_name_has_its_folders(run: Path) -> None:
    content = json.loads((run / "run.json").read_text())
    del content["name"]
    (run / "run.json").write_text(json.dumps(content))
    assert read_run(run).name == "mine"


def test_no_detections_are_no_mistake(run: Path, annotations: Path) -> None:
    (run / "detections_stream.json").write_text("[]")
    case = read_run(run).detections("stream", CocoVid(annotations))
    assert len(case.found.score) == 0
    assert len(case.objects.label) == 48


def test_figures_by_path() -> None:
    figures = {"ap50": 3, "by_speed": {"slow": {"ap50": 7.5}}, "odd": True, "none": None}
    assert figure(figures, "ap50") == 3.0
    assert figure(figures, "by_speed", "slow", "ap50") == 7.5
    for keys in (("odd",), ("none",), ("missing",), ("ap50", "deeper"), ("by_speed", "fast")):
        assert math.isnan(figure(figures, *keys))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("{", "is not JSON"),
        ("[]", "expected a JSON object"),
        ('{"classes": ["a"]}', "`modes` is missing"),
        (
            '{"classes": ["a"], "modes": {"stream": {"errors": {"both": 1' + 400 * "0" + "}}}}",
            "`stream.errors.both` is no number below 1e15",
        ),
        ('{"classes": ["a"], "modes": {"stream": {"ap50": 1e999}}}', "`stream.ap50` is no number"),
        ('{"modes": {}, "classes": ["a"]}', "`modes` is {}"),
        ('{"modes": {"stream": 3}, "classes": ["a"]}', "`modes`"),
        ('{"modes": {"stream": {}}, "classes": [1]}', "`classes` is [1]"),
        ('{"modes": {"../stream": {}}, "classes": ["a"]}', "has no detections_../stream.json"),
        ('{"modes": {"global": {}}, "classes": ["a"]}', "has no detections_global.json"),
    ],
)
def test_refuses_a_damaged_run(run: Path, content: str, word: str) -> None:
    (run / "run.json").write_text(content)
    with pytest.raises(FaimError) as refusal:
        read_run(run)
    assert word in str(refusal.value)


def test_refuses_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(FaimError, match=r"has no run\.json"):
        read_run(tmp_path)
    for missing in (tmp_path / "nothing", tmp_path / ("x" * 300)):
        with pytest.raises(FaimError, match="no such folder"):
            read_run(missing)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("[{", "is not JSON"),
        ('[{"image_id": 99, "category_id": 4, "bbox": [1, 2, 3, 4], "score": 1}]', "image_id 99"),
        ('[{"image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4], "score": 1}]', "category_id 5"),
    ],
)
def test_refuses_detections_of_something_else(
    run: Path, annotations: Path, content: str, word: str
) -> None:
    (run / "detections_stream.json").write_text(content)
    with pytest.raises(FaimError) as refusal:
        read_run(run).detections("stream", CocoVid(annotations))
    assert word in str(refusal.value)
    assert "detections_stream.json" in str(refusal.value)


def test_reads_features(run: Path) -> None:
    before, after = np.arange(6.0).reshape(3, 2), np.ones((3, 4))
    np.savez(run / "features.npz", labels=[0, 1, 1], before=before, after=after)
    features = read_run(run).features()
    assert features is not None
    assert features.labels.tolist() == [0, 1, 1]
    assert features.before.tolist() == before.tolist()
    assert features.after is not None
    assert features.after.shape == (3, 4)
    np.savez(run / "features.npz", labels=[0, 1, 1], before=before)
    features = read_run(run).features()
    assert features is not None
    assert features.after is None


def test_refuses_damaged_features(run: Path) -> None:
    path = run / "features.npz"

    def refused(word: str) -> None:
        with pytest.raises(FaimError, match=word):
            read_run(run).features()

    path.write_bytes(b"no archive")
    refused("cannot be read")
    with path.open("wb") as stream:
        np.save(stream, np.ones(3))  # a lone array
    refused("cannot be read")
    np.savez(path, labels=[0, 1])
    refused("cannot be read")
    np.savez(path, labels=[0, 1], before=np.ones((3, 2)))
    refused("do not fit")
    np.savez(path, labels=[0, 1], before=np.full((2, 2), np.nan))
    refused("do not fit")
    np.savez(path, labels=[0, 2], before=np.ones((2, 2)))
    refused("beyond the 2 classes")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused("cannot be read")
