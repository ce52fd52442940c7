"""The training-free benchmark: its rows of what users get are what the detector gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import faim
from faim.choices import PostName
from faim.data.coco_vid import CocoVid, read_frame
from faim.data.synth import generate
from faim.runtime.opening import Mode
from faim.runtime.pipeline import Detector
from faim.runtime.sources import ArraySource
from faim.structures import Detections
from faim.weights import default_weights
from lab import looking
from studies.training_free import methods as ways


def opened(post: PostName) -> Detector:
    """The embedded weights' base detector as plain weights, as the benchmark opens them."""
    made = faim.load(
        default_weights(), aggregate="affinity", size=128, conf=0.001, post=post, backend="torch",
        device="cpu",
    )  # fmt: skip
    made.batch_size = 1
    return made


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("synth")
    file = generate(
        folder, videos=1, frames=8, size=128, classes=7, severity="easy", seed=1, progress=False
    )
    return [read_frame(frame) for frame in CocoVid(file).videos[0].frames]


def boxes_by_method(images: list[Any]) -> dict[str, list[Detections]]:
    detector = opened("auto")
    frames = list(looking.looked(detector, images))
    with torch.inference_mode():
        return {
            name: list(method(frames))
            for name, method in ways.methods(detector, 31, ablation=False, trackers=False).items()
        }


@pytest.mark.parametrize(
    ("name", "mode", "post"),
    [
        ("default", "stream", "auto"),
        ("frame", "frame", "none"),
        ("REPP, one box an object (offline)", "frame", "repp"),
    ],
)
def test_rows_of_what_users_get_are_what_the_detector_gives(
    images: list[Any], name: str, mode: Mode, post: PostName
) -> None:
    found = boxes_by_method(images)[name]
    expected = [r.detections for r in opened(post).run(ArraySource(images), mode, images=False)]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.boxes, other.boxes)
        torch.testing.assert_close(one.scores, other.scores)
        assert one.class_ids.tolist() == other.class_ids.tolist()
    assert sum(len(one.scores) for one in found) >= 8
