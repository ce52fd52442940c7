"""Which detections are given out: classes, iou, agnostic, max_det and roi, in every mode."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv
import torch
from grouped import make_detector
from runtime_helpers import flat_frames
from torch import Tensor

import faim
from faim.errors import FaimError
from faim.families.yolox.aggregation import NoAggregation
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.proposal_detector import ProposalDetector
from faim.runtime.class_choice import class_ids_of
from faim.runtime.many import stream_many
from faim.runtime.selection import Selection
from faim.runtime.sources import ArraySource
from faim.structures import Detections, Proposals
from faim.weights import default_weights

NAMES = ("dog", "cat", "Traffic light", "traffic cone", "7")
#: Mode, and what links its frames.
WAYS = [
    ("stream", "none"),
    ("stream", "causal"),
    ("frame", "none"),
    ("frame", "repp"),
    ("global", "none"),
    ("global", "repp"),
]


class Model(ProposalDetector):
    """The same four objects in every frame of 64x64, moved right by its brightness.

    Of the first two, a dog and a cat, the IoU is 0.6; so is that of the last two, both cones.
    """

    boxes = ((0, 0, 20, 20), (5, 0, 25, 20), (20, 40, 40, 60), (25, 40, 45, 60))
    classes = (0, 1, 3, 3)
    scores = (0.9, 0.8, 0.7, 0.6)

    def __init__(self) -> None:
        self.config = FaimConfig(variant="nano", class_names=NAMES, test_size=(64, 64))
        self.aggregator = NoAggregation()

    def propose(self, images: Tensor) -> Proposals:
        count, many = len(images), len(self.boxes)
        moved = images[:, 0, 0, 0].float()[:, None] * torch.tensor([1.0, 0.0, 1.0, 0.0])
        class_scores = torch.zeros(count, many, len(NAMES))
        class_scores[:, range(many), self.classes] = torch.tensor(self.scores)
        return Proposals(
            boxes=torch.tensor(self.boxes).float() + moved[:, None],
            objectness=torch.ones(count, many),
            class_scores=class_scores,
            cls_features=torch.ones(count, many, 4),
            ins_features=torch.ones(count, many, 4),
            valid=torch.ones(count, many, dtype=torch.bool),
        )


def detect(mode: Any, post: Any, frames: list[Any], **options: Any) -> list[sv.Detections]:
    detector = make_detector(Model(), post=post, scene_cuts=False, **options)
    return detector.predict(frames, mode)


def scores(found: sv.Detections) -> list[float]:
    return [round(float(score), 4) for score in found.confidence]


@pytest.mark.parametrize(("mode", "post"), WAYS)
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0, 1, 2]),
        ({"classes": "cat"}, [1]),
        ({"classes": ["traffic cone", 0]}, [0, 2]),
        ({"iou": 0.65}, [0, 1, 2, 3]),
        ({"iou": 0.65, "agnostic": True}, [0, 1, 2, 3]),
        ({"agnostic": True}, [0, 2]),
        # No dog is a cat because dogs are not asked for.
        ({"agnostic": True, "classes": "cat,traffic cone"}, [2]),
        ({"max_det": 2}, [0, 1]),
        # The best of those asked for, not those of the best.
        ({"max_det": 1, "classes": "traffic cone"}, [2]),
        ({"max_det": 1, "roi": "0,32,64,32,64,64,0,64"}, [2]),
        ({"roi": [[0, 0], [0.2, 0], [0.2, 1], [0, 1]]}, [0]),
    ],
)
def test_what_is_given_out(mode: Any, post: Any, options: dict[str, Any], expected: Any) -> None:
    for frame in detect(mode, post, flat_frames(*[0] * 6), **options):
        np.testing.assert_allclose(frame.xyxy, [Model.boxes[k] for k in expected], atol=1e-4)
        assert frame.class_id.tolist() == [Model.classes[k] for k in expected]
        if post == "none":
            assert scores(frame) == [Model.scores[k] for k in expected]


@pytest.mark.parametrize(("mode", "post"), WAYS)
def test_an_object_that_walks_through_the_region(mode: Any, post: Any) -> None:
    """It is linked outside too: nothing of it stays where it left, and it comes back as itself."""
    frames = flat_frames(*range(0, 44, 2), *range(44, 0, -2))
    right = np.zeros((64, 64), bool)
    right[:, 30:] = True
    found = detect(mode, post, frames, roi=right, classes="dog")
    everywhere = detect(mode, post, frames, classes="dog")
    for inside, whole in zip(found, everywhere, strict=True):
        [centre] = (whole.xyxy[:, 0] + whole.xyxy[:, 2]) / 2
        assert len(inside) == (centre >= 30)
        np.testing.assert_array_equal(inside.xyxy, whole.xyxy[: len(inside)])
        np.testing.assert_array_equal(inside.confidence, whole.confidence[: len(inside)])
    assert 20 < sum(map(len, found)) < 30


def test_a_step_and_several_streams() -> None:
    detector = make_detector(Model(), classes="cat", max_det=1, post="causal")
    [frame] = flat_frames(0)
    assert detector.step(frame, detector.new_state()).xyxy.tolist() == [list(Model.boxes[1])]
    sources = [ArraySource([frame] * 2), ArraySource([frame] * 3)]
    found = [result.detections.xyxy.tolist() for _, result in stream_many(detector, sources)]
    assert found == [[list(Model.boxes[1])]] * 5


def test_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    propose = Model.propose
    monkeypatch.setattr(
        Model, "propose", lambda self, images: batches.append(len(images)) or propose(self, images)
    )
    detect("frame", "none", flat_frames(*[0] * 7), batch_size=np.int64(3))
    assert batches == [3, 3, 1]


def test_the_order_stays_and_ids_go_along() -> None:
    found = Detections(
        boxes=torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40], [0, 0, 10, 10]]),
        scores=torch.tensor([0.9, 0.9, 0.9, 0.2]),
        class_ids=torch.tensor([1, 0, 1, 1]),
        track_ids=torch.tensor([7, -1, 3, 9]),
    )
    kept = Selection(iou=0.5, agnostic=True, class_ids=(1,)).of(found, (50, 50))
    assert kept.track_ids is not None
    assert kept.track_ids.tolist() == [7, 3]
    assert Selection(iou=0.5, max_det=3).of(found, (50, 50)).track_ids.tolist() == [7, -1, 3]


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ("dog", (0,)),
        ("cat, dog", (0, 1)),
        ("cat,0,cat", (0, 1)),
        (["cat", 3], (1, 3)),
        (np.array([1, 0]), (0, 1)),
        (2, (2,)),
        ("DOG,Traffic Light", (0, 2)),
        # A name before a number.
        ("7", (4,)),
        ("4", (4,)),
    ],
)
def test_classes_by_name_and_number(given: Any, ids: tuple[int, ...]) -> None:
    assert class_ids_of(given, NAMES) == ids


def test_a_name_with_a_comma_and_names_that_differ_in_case_alone() -> None:
    names = ["cup, paper", "Cup", "cup"]
    assert class_ids_of("cup, paper", names) == (0,)
    assert class_ids_of("cup", names) == (2,)
    with pytest.raises(FaimError, match="classes: 'CUP' given; expected a class of the weights, "):
        class_ids_of("CUP", names)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"classes": "dgo"}, "classes: 'dgo' given; expected a class of the weights, such as dog"),
        ({"classes": "cat,traffic"}, "'traffic' given; expected a class of the weights, such as "
         "traffic cone, Traffic light"),
        ({"classes": "zebra"}, "classes: 'zebra' given; expected one of the 5 classes of the "
         "weights, by name (dog, cat, Traffic light, traffic cone, 7) or by number (0 to 4)"),
        ({"classes": "5"}, "classes: '5' given; expected one of the 5 classes"),
        ({"classes": [-1]}, "classes: -1 given; expected one of the 5"),
        ({"classes": [True]}, "classes: True given"),
        ({"classes": 1.5}, "classes: 1.5 given; expected names or numbers of classes"),
        ({"classes": ["dog", 1.5]}, "classes: 1.5 given"),
        ({"classes": []}, "classes: none given"),
        ({"classes": ""}, "classes: '' given"),
        ({"classes": "dog,"}, "classes: '' given"),
        ({"iou": 1.1}, "iou: 1.1 given; expected a number from 0 to 1"),
        ({"iou": "a"}, "iou: 'a' given"),
        ({"iou": float("nan")}, "iou: nan given"),
        ({"max_det": 0}, "max det: 0 given; expected a whole number from 1 on"),
        ({"max_det": 2.0}, "max det: 2.0 given"),
        ({"agnostic": 1}, "agnostic: 1 given; expected True or False"),
        ({"batch_size": 0}, "batch: 0 given; expected a whole number of frames from 1 to 256"),
        ({"batch_size": 257}, "batch: 257 given"),
        ({"roi": "gone.png"}, "roi: gone.png: no such file"),
    ],
)  # fmt: skip
def test_one_sentence(option: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FaimError) as error:
        make_detector(Model(), **option)
    assert sentence in str(error.value)


def test_load_takes_them_and_copies_keep_them(tmp_path: Path) -> None:
    mask = tmp_path / "left.json"
    mask.write_text("[[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]")
    options: dict[str, Any] = {
        "classes": "1", "iou": 0.9, "max_det": 4, "agnostic": True, "roi": mask, "batch": 2
    }  # fmt: skip
    detector = faim.load(default_weights(), device="cpu", backend="torch", **options)
    mask.unlink()
    for one in (detector, pickle.loads(pickle.dumps(detector))):
        assert (one.selection.iou, one.selection.agnostic, one.selection.max_det) == (0.9, True, 4)
        assert one.selection.class_ids == (1,)
        assert one.selection.region.holds(np.array([[3, 3], [9, 3]]), (10, 10)).tolist() == [1, 0]
        assert one.batch_size == 2
        # Boxes that overlap less than that are not left out earlier either.
        assert one.model.traits.details["proposal_nms"] == 0.9
    for wrong in ({"iou": "0.5"}, {"batch": 0}, {"classes": "nothing"}, {"max_det": -1}):
        [name] = wrong
        with pytest.raises(FaimError, match=f"^{name.replace('_', ' ')}: "):
            faim.load(default_weights(), device="cpu", backend="torch", **wrong)  # type: ignore[arg-type]


def test_a_stricter_iou_leaves_the_proposals_alone() -> None:
    detector = faim.load(default_weights(), device="cpu", backend="torch", iou=0.1)
    assert detector.model.traits.details["proposal_nms"] == 0.5
