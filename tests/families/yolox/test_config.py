import dataclasses

import pytest

from faim.errors import FaimError
from faim.families.yolox.config import FaimConfig

GOOD = FaimConfig(class_names=("cat", "dog"))


def test_round_trip():
    config = dataclasses.replace(GOOD, num_proposals=50, mask_levels=("P3", "P5"), variant="x")
    assert FaimConfig.from_json(config.to_json()) == config


def test_the_papers_numbers():
    assert (GOOD.top_k, GOOD.num_proposals, GOOD.nms_train, GOOD.nms_test) == (750, 30, 0.75, 0.5)
    assert (GOOD.train_frames, GOOD.test_frames, GOOD.test_size) == (16, 32, (576, 576))
    assert (GOOD.num_heads, GOOD.attention_scale, GOOD.similarity_threshold) == (4, 25, 0.75)
    assert (GOOD.mask_levels, GOOD.mask_roi_size, GOOD.mask_weight) == (("P5",), 32, 1.0)


def test_feature_dim_follows_the_width():
    dims = [
        FaimConfig(variant=v, class_names=("a",)).feature_dim
        for v in ("nano", "tiny", "s", "m", "l", "x")
    ]
    assert dims == [64, 96, 128, 192, 256, 320]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("variant", "xl"),
        ("class_names", ()),
        ("class_names", ("cat", "cat")),
        ("class_names", "cat"),
        ("test_size", (576,)),
        ("test_size", (500, 576)),
        ("num_proposals", 0),
        ("num_proposals", 751),
        ("num_proposals", 2.5),
        ("nms_test", 1.5),
        ("nms_train", "high"),
        ("num_heads", 3),
        ("mask_levels", ("P6",)),
        ("mask_loss", "focal"),
        ("mask_weight", -1),
        ("train_parts", ("head",)),
        ("train_frames", True),
    ],
)
def test_a_wrong_value_is_named(field, value):
    with pytest.raises(FaimError, match=f"config: {field}"):
        dataclasses.replace(GOOD, **{field: value})


def test_wrong_json():
    with pytest.raises(FaimError, match="not JSON"):
        FaimConfig.from_json("{")
    with pytest.raises(FaimError, match=r"unknown fields \['colour'\]"):
        FaimConfig.from_json('{"colour": 1}')


@pytest.mark.parametrize(
    ("architecture", "threshold"),
    [("yolox", 0.5), ("faim", 0.5), ("yolov", 0.75), ("yolov_ifem", 0.75)],
)
def test_nms_test_is_the_architectures_unless_it_is_named(architecture, threshold):
    config = FaimConfig(class_names=("a",), architecture=architecture)
    assert config.nms_test == threshold
    assert FaimConfig.from_json(config.to_json()) == config
    stored = FaimConfig(class_names=("a",), architecture=architecture, nms_test=0.6)
    assert FaimConfig.from_json(stored.to_json()).nms_test == 0.6
