from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from evaluation_cases import MakeData, detections

from faim.errors import FaimError
from faim.evaluation.classes import OtherClasses
from faim.evaluation.results_file import read_detections, read_results, write_detections

BOX = (10.004, 10.0, 30.0, 30.0)
ENTRY = {"image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4], "score": 0.5}


def test_written_as_coco_and_read_back(make_data: MakeData, tmp_path: Path) -> None:
    data = make_data([[(0, BOX, 1)], []])
    file = tmp_path / "found.json"
    write_detections(file, data, {1: detections((2, 0.123456, BOX)), 2: detections()})
    assert json.loads(file.read_text()) == [
        {"image_id": 1, "category_id": 7, "bbox": [10.0, 10.0, 20.0, 20.0], "score": 0.12346}
    ]
    back = read_detections(file, data)
    assert list(back) == [1]
    assert back[1].boxes.tolist() == [[10, 10, 30, 30]]
    assert (back[1].scores.tolist(), back[1].class_ids.tolist()) == ([0.12346], [2])
    write_detections(file, data, {})
    assert read_detections(file, data) == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["annotations.json", "found.json"]


def test_best_first_whatever_the_order(make_data: MakeData, tmp_path: Path) -> None:
    data = make_data([[(0, BOX, 1)]])
    file = tmp_path / "found.json"
    file.write_text(json.dumps([{**ENTRY, "score": s} for s in (0.1, 0.9, 0.5)]))
    found = read_detections(file, data)[1]
    assert found.scores.tolist() == [0.9, 0.5, 0.1]
    assert torch.equal(found.boxes[0], torch.tensor([1, 2, 4, 6], dtype=torch.float64))


def test_other_classes_stand_beside_by_name(make_data: MakeData, tmp_path: Path) -> None:
    data = make_data([[(0, BOX, 1)], []])
    file = tmp_path / "found.json"
    own = {1: detections((2, 0.5, BOX))}
    strange = {2: detections((4, 0.4, BOX), (3, 0.9, BOX))}
    write_detections(file, data, own, OtherClasses(("bear", "boat"), strange))
    names = [(row["category_id"], row.get("category_name")) for row in json.loads(file.read_text())]
    # The dataset's categories are 5, 6 and 7.
    assert names == [(7, None), (9, "boat"), (8, "bear")]
    found, others = read_results(file, data)
    assert list(found) == list(read_detections(file, data)) == [1]
    assert others.names == ("boat", "bear")
    assert list(others.detections) == [2]
    back = others.detections[2]
    # Numbered as they come: boat is 3, bear is 4; best first.
    assert (back.class_ids.tolist(), back.scores.tolist()) == ([4, 3], [0.9, 0.4])
    write_detections(file, data, own)
    assert read_results(file, data)[1] == OtherClasses()


@pytest.mark.parametrize("name", [3, None, "cat"])
def test_a_strange_category_needs_a_name_of_its_own(
    make_data: MakeData, tmp_path: Path, name: object
) -> None:
    file = tmp_path / "found.json"
    file.write_text(json.dumps([{**ENTRY, "category_id": 9, "category_name": name}]))
    with pytest.raises(FaimError, match="entry 0 has category_id 9; expected one of"):
        read_results(file, make_data([[(0, BOX, 1)]]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": []}, "holds a dict; expected a list"),
        ([3], "entry 0 is a int"),
        ([ENTRY, {"image_id": 1}], "entry 1 has no category_id"),
        ([{**ENTRY, "image_id": 9}], "image_id 9; expected one of"),
        ([{**ENTRY, "image_id": "1"}], "image_id '1'"),
        ([{**ENTRY, "category_id": 0}], "category_id 0"),
        ([{**ENTRY, "category_id": [5]}], r"category_id \[5\]"),
        ([{**ENTRY, "bbox": [1, 2, 3]}], "bbox"),
        ([{**ENTRY, "bbox": [1, 2, -3, 4]}], "not negative"),
        ([{**ENTRY, "bbox": [1, 2, float("nan"), 4]}], "finite"),
        ([{**ENTRY, "bbox": [10**400, 2, 3, 4]}], "finite"),
        ([{**ENTRY, "bbox": [1, 2, 2e9, 4]}], "bbox .*; expected pixels, up to 1000000000"),
        ([{**ENTRY, "bbox": [-(10**300), 2, 3, 4]}], r"bbox \[-10+…0+, 2, 3, 4\]; expected pixels"),
        ([{**ENTRY, "score": 10**400}], r"score 10+…0+; expected a finite"),
        ([{**ENTRY, "image_id": 10**400}], r"image_id 10+…0+; expected one of"),
        ([{**ENTRY, "score": "high"}], "score 'high'"),
        ([{**ENTRY, "score": None}], "score None"),
    ],
)
def test_damaged_files(make_data: MakeData, tmp_path: Path, content: Any, message: str) -> None:
    file = tmp_path / "found.json"
    file.write_text(json.dumps(content))
    with pytest.raises(FaimError, match=message):
        read_detections(file, make_data([[(0, BOX, 1)]]))


def test_no_such_file_and_no_json(make_data: MakeData, tmp_path: Path) -> None:
    data = make_data([[(0, BOX, 1)]])
    with pytest.raises(FaimError, match="no such file; expected a JSON list of detections"):
        read_detections(tmp_path / "nowhere.json", data)
    (tmp_path / "text.json").write_text("[{")
    with pytest.raises(FaimError, match="is not JSON"):
        read_detections(tmp_path / "text.json", data)
    with pytest.raises(FaimError, match="cannot be written"):
        write_detections(tmp_path / "nowhere" / "found.json", data, {})
