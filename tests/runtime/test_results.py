"""What users do with the result of a frame, and the options of one call."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import supervision as sv
from runtime_helpers import FakeModel, flat_frames, write_lossless

from faim.errors import FaimError
from faim.runtime.class_choice import class_ids_of
from faim.runtime.drawing import Annotator
from faim.runtime.pipeline import Detector
from faim.runtime.results import FrameResult
from faim.runtime.sinks import JsonLinesSink
from faim.stream.frames import Frame

NAMES = ("dog", "cat", "猫")


def result(*, image: np.ndarray | None = None, track: int = 7) -> FrameResult:
    """Two dogs and a cat in the fourth picture of a folder."""
    found = sv.Detections(
        xyxy=np.array([[4, 5, 30, 40], [20, 8, 60, 44], [1, 2, 3.125, 4]], np.float32),
        confidence=np.array([0.9, 0.75, 0.5], np.float32),
        class_id=np.array([0, 2, 0]),
        tracker_id=np.array([track, -1, 8]),
        data={"class_name": np.array(["dog", "猫", "dog"])},
    )
    image = np.full((48, 64, 3), 90, np.uint8) if image is None else image
    return FrameResult(Frame(3, 0.12, image, file="00003.jpg"), found, NAMES, "walk")


def test_a_result_says_where_it_is_from_and_what_is_in_it() -> None:
    one = result()
    assert (one.index, one.time, one.source, one.file) == (3, 0.12, "walk", "00003.jpg")
    assert one.names == NAMES
    assert len(one) == 3
    assert one.labels == one["class_name"].tolist() == ["dog", "猫", "dog"]
    assert one.xyxy[1].tolist() == [20, 8, 60, 44]
    assert one.confidence.tolist() == [np.float32(0.9), 0.75, 0.5]
    assert one.class_id.tolist() == [0, 2, 0]
    assert one.tracker_id is not None
    assert one.tracker_id.tolist() == [7, -1, 8]
    assert repr(one) == "<FrameResult of walk, frame 3 (00003.jpg) at 0.12 s: 2 dog, 1 猫>"
    nothing = FrameResult(Frame(0, 0.0, one.image), sv.Detections.empty())
    assert repr(nothing) == "<FrameResult frame 0 at 0.00 s: nothing>"
    assert (len(nothing), nothing.labels) == (0, [])


def test_its_json_is_the_line_that_predict_writes(tmp_path: Path) -> None:
    one = result()
    sink = JsonLinesSink(tmp_path / "out.jsonl")
    sink.write(one)
    sink.close()
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == one.to_json() + "\n"
    assert json.loads(one.to_json()) == one.to_dict()
    record = one.to_dict()
    assert (record["frame"], record["file"], record["time"]) == (3, "00003.jpg", 0.12)
    assert record["detections"][1] == {
        "bbox": [20.0, 8.0, 60.0, 44.0], "score": 0.75, "label": "猫", "class_id": 2,
    }  # fmt: skip
    assert record["detections"][0]["track_id"] == 7


def test_its_picture(tmp_path: Path) -> None:
    one = result()
    before = one.image.copy()
    drawn = one.plot()
    np.testing.assert_array_equal(drawn, Annotator().draw(before, one.detections))
    np.testing.assert_array_equal(one.image, before)
    assert (drawn != before).any()
    one.save(tmp_path / "out" / "a.png")
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "out" / "a.png")), drawn)
    with pytest.raises(FaimError, match=r"a\.txt: cannot be written; expected a name ending in"):
        one.save(tmp_path / "a.txt")
    shown = one._repr_jpeg_()
    assert shown is not None
    picture = cv2.imdecode(np.frombuffer(shown, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(picture.astype(int) - drawn).mean() < 12


def test_a_result_without_pixels_says_how_to_keep_them(tmp_path: Path) -> None:
    one = result().without_pixels()
    assert one.to_dict() == result().to_dict()
    assert one._repr_jpeg_() is None
    for use in (one.plot, lambda: one.image, lambda: one.save(tmp_path / "a.png")):
        with pytest.raises(FaimError, match="frame 3: its pixels were not kept; expected images="):
            use()
    assert not (tmp_path / "a.png").exists()


def test_results_go_to_other_processes() -> None:
    other = pickle.loads(pickle.dumps(result()))
    assert other.to_json() == result().to_json()
    np.testing.assert_array_equal(other.plot(), result().plot())


def test_predict_keeps_the_pixels_of_listed_pictures_alone(
    tmp_path: Path, detector: Detector
) -> None:
    frames = flat_frames(10, 20)
    video = write_lossless(tmp_path / "a.mkv", frames)
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), frames[0])
    for mode in ("stream", "frame", "global"):
        for source, kept in [
            (frames, True), (frames[0], True), ([picture], True), (str(picture), True),
            (video, False), (tmp_path, False), (iter(frames), False),
        ]:  # fmt: skip
            found = detector.predict(source, mode)  # type: ignore[arg-type]
            assert {one.frame.has_pixels for one in found} == {kept}, (mode, source)
        found = detector.predict(video, mode, images=True)  # type: ignore[arg-type]
        assert [one.image[0, 0, 0] for one in found] == [10, 20]
        found = detector.predict(frames, mode, images=False)  # type: ignore[arg-type]
        assert not found[0].frame.has_pixels


def test_a_call_gives_one_result_for_one_picture(tmp_path: Path, detector: Detector) -> None:
    frames = flat_frames(51, 255)
    for number, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / f"{number}.png"), frame)
    for one in (frames[0], tmp_path / "0.png", str(tmp_path / "0.png")):
        found = detector(one)
        assert isinstance(found, FrameResult)
        assert found.confidence[0] == pytest.approx(0.2)
        assert found.image[0, 0, 0] == 51
    listed: tuple[Any, ...] = (
        frames, np.stack(frames), tmp_path, [tmp_path / "0.png", tmp_path / "1.png"], iter(frames),
    )  # fmt: skip
    for several in listed:
        found = detector(several)
        assert isinstance(found, list)
        assert [one.confidence[0] for one in found] == pytest.approx([0.2, 1.0])
    assert [type(detector(source)) for source in ([frames[0]], frames[0][None])] == [list, list]
    assert detector([]) == []


@pytest.mark.parametrize("post", ["none", "auto", "causal", "repp"])
def test_a_call_links_nothing(post: Any) -> None:
    made = Detector(FakeModel(), score_threshold=0.0, post=post)
    found = made(flat_frames(255, 51))
    assert isinstance(found, list)
    assert [one.confidence[0] for one in found] == pytest.approx([1.0, 0.2])
    assert [one.tracker_id for one in found] == [None, None]
    assert made.post_name == post


def test_step_gives_what_stream_gives() -> None:
    frames = flat_frames(255, 51, 204)
    for post in ("none", "causal"):
        made = Detector(FakeModel(), score_threshold=0.0, post=post)
        state = made.new_state()
        for expected, image in zip(made.stream(frames), frames, strict=True):
            found = made.step(image, state)
            assert found.to_json() == expected.to_json()
            assert found.names == expected.names == ("dog", "cat")
            np.testing.assert_array_equal(found.image, image)
    found = made.step(np.zeros((64, 64, 4), np.uint8), state, time=7.5)
    assert (found.index, found.time, found.image.shape) == (3, 7.5, (64, 64, 3))
    with pytest.raises(FaimError, match="frame 4: got a float64 array"):
        made.step(np.zeros((64, 64, 3)), state)
    assert state.frames_seen == 4


def test_conf_of_one_call_goes_below_and_above_the_detectors() -> None:
    made = Detector(FakeModel(), score_threshold=0.3)
    frames = flat_frames(51, 102, 255)  # 0.2, 0.4, 1
    for conf, counts in ((None, [0, 1, 1]), (0.1, [1, 1, 1]), (0.5, [0, 0, 1])):
        assert [len(one) for one in made.predict(frames, "frame", conf=conf)] == counts
        assert [len(one) for one in made.stream(frames, "frame", conf=conf)] == counts
        found = made(frames, conf=conf)
        assert isinstance(found, list)
        assert [len(one) for one in found] == counts
    assert made.score_threshold == 0.3
    for wrong in (1.5, -1, float("nan"), "high"):
        with pytest.raises(FaimError, match=r"conf: .* expected a number from 0 to 1"):
            made.stream(frames, conf=wrong)  # type: ignore[arg-type]


def test_classes_of_one_call() -> None:
    made = Detector(FakeModel(), score_threshold=0.0)
    [every] = made.predict(flat_frames(204), "frame")
    assert sorted(every.labels) == ["cat", "dog"]
    for classes, labels in (("dog", ["dog"]), (1, ["cat"]), (["cat", 0], every.labels)):
        [one] = made.predict(flat_frames(204), "frame", classes=classes)
        assert one.labels == labels
        assert next(iter(made.stream(flat_frames(204), classes=classes))).labels == labels
        found = made(flat_frames(204)[0], classes=classes)
        assert isinstance(found, FrameResult)
        assert found.labels == labels
    [nothing] = made.predict(flat_frames(204), "frame", conf=0.5, classes="cat")
    assert nothing.to_dict()["detections"] == []
    with pytest.raises(
        FaimError, match="'dgo' given; expected a class of the weights, such as dog"
    ):
        made.stream(flat_frames(204), classes="dgo")


@pytest.mark.parametrize(
    ("classes", "ids"),
    [
        ("car, person", (0, 2)), (["Car"], (2,)), ("2,0", (0, 2)), (2, (2,)),
        ([np.int64(1), 1], (1,)), ("fire, truck", (3,)), (range(2), (0, 1)), (("4",), (4,)),
    ],
)  # fmt: skip
def test_class_ids(classes: Any, ids: tuple[int, ...]) -> None:
    assert class_ids_of(classes, ("person", "bicycle", "car", "fire, truck", "7")) == ids


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        ("persn", "classes: 'persn' given; expected a class of the weights, such as person"),
        (3, "classes: 3 given; expected one of the 3 classes of the weights, by name"),
        (-1, "classes: -1 given"), ("9", "classes: '9' given"), (True, "classes: True given"),
        (1.0, "classes: 1.0 given"), ([None], "classes: None given"), ([], "classes: none given"),
        ("", "classes: '' given"),
    ],
)  # fmt: skip
def test_wrong_classes_are_one_sentence(classes: Any, sentence: str) -> None:
    with pytest.raises(FaimError) as error:
        class_ids_of(classes, ("person", "bicycle", "car"))
    assert sentence in str(error.value)
