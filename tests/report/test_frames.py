"""Which frames differ, and what is right and wrong in them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from report_cases import Row, as_case, perfect, truth_box, write_data

from faim.data.coco_vid import Annotation, CocoVid, FrameRecord
from faim.report.drawing import as_jpeg, draw, frame_image
from faim.report.frames import FrameDetections, Judged, differences

GREEN, RED = [80, 200, 60], [60, 60, 240]


@pytest.fixture(scope="module")
def data(annotations: Path) -> CocoVid:
    return CocoVid(annotations)


def judged(data: CocoVid, rows: list[Row], image_id: int = 1) -> Judged:
    frame = next(f for f in data.frames if f.image_id == image_id)
    return FrameDetections(as_case(data, rows)).judge(frame)


def test_the_best_detection_takes_the_object(data: CocoVid) -> None:
    x, y, w, h = truth_box(1)
    rows: list[Row] = [
        (1, 4, (x, y, w, h), 0.5),  # a second one of the same object
        (1, 4, (x + 2, y, w, h), 0.8),
        (1, 9, (x, y, w, h), 0.9),  # another class
        (1, 4, (x, y, w, h), 0.29),  # below the score
        (2, 4, (x, y, w, h), 0.9),  # another frame
    ]
    seen = judged(data, rows)
    assert seen.scores.tolist() == [0.9, 0.8, 0.5]
    assert seen.classes.tolist() == [1, 0, 0]
    assert seen.right.tolist() == [False, True, False]
    assert (seen.objects, seen.found, seen.wrong, seen.balance) == (1, 1, 2, -1)


def test_right_from_half_overlap_on(data: CocoVid) -> None:
    x, y, w, h = truth_box(1)
    assert judged(data, [(1, 4, (x, y, w / 2, h), 0.9)]).found == 1  # IoU 0.5
    assert judged(data, [(1, 4, (x, y, w / 2 - 0.1, h), 0.9)]).found == 0
    assert judged(data, []).balance == 0


def test_two_objects_two_detections(tmp_path: Path) -> None:
    path = write_data(tmp_path, images=False)
    content = json.loads(path.read_text())
    x, y, w, h = truth_box(1)
    content["annotations"].append(
        {**content["annotations"][0], "id": 99, "instance_id": 99, "bbox": [x + 1, y, w, h]}
    )
    path.write_text(json.dumps(content))
    rows: list[Row] = [(1, 4, (x, y, w, h), score) for score in (0.9, 0.8, 0.7)]
    seen = judged(CocoVid(path), rows)
    assert seen.right.tolist() == [True, True, False]
    assert (seen.objects, seen.found, seen.wrong) == (2, 2, 1)


def test_frames_that_differ_most_come_first(data: CocoVid) -> None:
    first = perfect(but=[3, 5, 20, 30])
    noise: list[Row] = [(30, 9, (60.0, 40.0, 20.0, 20.0), s) for s in (0.5, 0.6)]
    second = perfect()
    shown = differences(as_case(data, [*first, *noise]), as_case(data, second), 12)
    # Image 30: -2 against 1; then 3 and 20 of the other video: 5 is too near to 3.
    assert [(d.video, d.place, d.size) for d in shown] == [
        ("run", 5, 3),
        ("walk", 2, 1),
        ("walk", 19, 1),
    ]
    assert (shown[0].first.balance, shown[0].second.balance) == (-2, 1)


def test_at_most_two_of_a_video_and_so_many_in_all(data: CocoVid) -> None:
    nothing, everything = as_case(data, []), as_case(data, perfect())
    shown = differences(nothing, everything, 12)
    assert [(d.video, d.place) for d in shown] == [
        ("walk", 0),
        ("walk", 10),
        ("run", 0),
        ("run", 10),
    ]
    assert len(differences(nothing, everything, 3)) == 3
    assert differences(everything, everything, 12) == []


def test_right_is_green_and_wrong_is_red() -> None:
    frame = FrameRecord(1, Path("missing.png"), 960, 640, 0, (Annotation((100, 300, 300, 500), 0),))
    image, there = frame_image(frame)
    assert not there
    assert image.shape == (320, 480, 3)
    boxes = np.array([[100, 300, 300, 500], [600, 300, 1e12, 500]], dtype=float)
    seen = Judged(boxes, np.array([0.9, 0.5]), np.array([0, 0]), np.array([True, False]), 1)
    drawn = draw(image, frame, seen, ["cat"])
    assert drawn[200, 50].tolist() == GREEN  # half of the frame's pixels
    assert drawn[200, 300].tolist() == RED
    assert (image == 96).all()
    assert (drawn[20, 20] == 96).all()
    unseen = Judged(np.zeros((0, 4)), *(np.zeros(0, t) for t in (float, int, bool)), 1)
    dashes = draw(image, frame, unseen, ["cat"])[200:250, 50]
    whites = (dashes == 255).all(axis=1).mean()
    assert 0.4 < whites < 0.8
    assert as_jpeg(drawn).startswith("data:image/jpeg;base64,/9j/")


def test_small_images_keep_their_size(data: CocoVid, tmp_path: Path) -> None:
    image, there = frame_image(data.frames[0])
    assert there
    assert image.shape == (64, 96, 3)
    assert (image == 120).all()
    cv2.imwrite(str(tmp_path / "odd.png"), image[:10])
    _, there = frame_image(FrameRecord(1, tmp_path / "odd.png", 96, 64, 0))
    assert not there


def test_boxes_and_labels_in_one_place_are_all_seen() -> None:
    frame = FrameRecord(1, Path("missing.png"), 480, 320, 0)
    image, _ = frame_image(frame)
    boxes = np.array([[100.0, 100.0, 300.0, 200.0]] * 3)
    scores, right = np.array([0.9, 0.8, 0.7]), np.array([True, False, False])
    drawn = draw(image, frame, Judged(boxes, scores, np.zeros(3, int), right, 1), ["cat"])
    side = drawn[190, 296:305].tolist()
    assert GREEN in side
    assert RED in side
    # Labels: one above the corner, two below it, one pixel apart.
    column = drawn[80:140, 99].tolist()
    runs = [c for place, c in enumerate(column) if not place or c != column[place - 1]]
    assert [c for c in runs if c in (GREEN, RED)][:2] == [GREEN, RED]
    assert column.count(RED) >= 2 * 12
