"""`aligned`: masks of other tools, from result files and from a small Mask R-CNN."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from sam_helpers import BOXES, SIZE, blue_frame, masks_of, noise
from torchvision.models.detection import MaskRCNN, faster_rcnn, mask_rcnn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign

from faim.data.mask_encoding import tight_box
from faim.errors import FaimError
from faim.masks import aligned, segmenters
from faim.masks.aligned import AlignedMasks, align
from faim.masks.protocol import ArrayFrames
from faim.masks.segmenters import MODELS, Found, read_results
from faim.pictures.image import Mask


def block(x1: int, y1: int, x2: int, y2: int) -> Mask:
    mask = np.zeros(SIZE, bool)
    mask[y1:y2, x1:x2] = True
    return mask


def rle(mask: Mask) -> dict[str, Any]:
    found = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": found["size"], "counts": found["counts"].decode()}


def row(mask: Mask, score: float = 0.9, image: int = 0, **more: Any) -> dict[str, Any]:
    x1, y1, x2, y2 = tight_box(mask)
    bbox = [x1, y1, x2 - x1, y2 - y1]
    return {
        "image_id": image,
        "category_id": 17,
        "bbox": bbox,
        "score": score,
        "segmentation": rle(mask),
        **more,
    }


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def found_of(boxes: Any, scores: Any = None) -> Found:
    boxes = np.array(boxes, float).reshape(-1, 4)
    scores = np.ones(len(boxes)) if scores is None else np.array(scores, float)
    return Found(boxes, scores, lambda index: block(*boxes[index].astype(int)))


def test_each_box_gets_the_mask_of_the_best_iou(tmp_path: Path) -> None:
    left, right, low = block(10, 10, 30, 30), block(50, 10, 80, 40), block(12, 10, 32, 28)
    left[12, 12] = False
    other = block(0, 0, 9, 9)
    # The third row is worse for the first box than the first: it is nobody's.
    results = write(
        tmp_path / "results.json",
        [row(left, 0.3), row(right), row(low, 0.99), row(other, image=1), row(left, 0.04)],
    )
    boxes = [np.array([[51.0, 10, 80, 40], [10, 10, 30, 30], [60, 41, 90, 48]]), np.zeros((0, 4))]

    found = masks_of(AlignedMasks(results), noise(2), boxes)

    np.testing.assert_array_equal(found[0, 0], right)
    np.testing.assert_array_equal(found[0, 1], left)
    assert found[0, 2] is None


def test_images_are_told_apart_by_the_ids_of_the_annotation_file(tmp_path: Path) -> None:
    class Numbered(ArrayFrames):
        image_ids = (40, 7)

    first, second = block(10, 10, 30, 30), block(10, 10, 30, 29)
    results = write(tmp_path / "results.json", [row(first, image=7), row(second, image=40)])
    boxes = [np.array([[10.0, 10, 30, 30]])] * 2
    found = masks_of(AlignedMasks(results), Numbered(noise(2).images), boxes)
    np.testing.assert_array_equal(found[0, 0], second)
    np.testing.assert_array_equal(found[1, 0], first)


def test_polygons_uncompressed_runs_and_absent_boxes(tmp_path: Path) -> None:
    square = [[10.0, 10, 30, 10, 30, 30, 10, 30]]
    runs = {"size": list(SIZE), "counts": [48 * 50 + 10, 5, SIZE[0] * SIZE[1] - 48 * 50 - 15]}
    results = write(
        tmp_path / "results.json",
        [
            {"image_id": 0, "score": 1, "segmentation": square},
            {"image_id": 0, "score": 1, "segmentation": runs, "bbox": None},
        ],
    )
    boxes = [np.array([[10.0, 10, 30, 30], [50, 10, 51, 15]])]
    found = masks_of(AlignedMasks(results, min_iou=0.99), noise(1), boxes)
    np.testing.assert_array_equal(found[0, 0], block(10, 10, 30, 30))
    np.testing.assert_array_equal(found[0, 1], block(50, 10, 51, 15))


def test_a_mask_is_for_one_box_and_the_best_pair_comes_first() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 8]])
    # IoU of the objects with box 0: 0.9 and 0.5; with box 1: 8/9 and 0.625.
    assert align(boxes, found_of([[0, 0, 10, 9], [0, 0, 10, 5]]), 0.5) == {0: 0, 1: 1}
    assert align(boxes, found_of([[0, 0, 10, 9], [0, 0, 10, 5]]), 0.63) == {0: 0}
    # With box 0: 1 and 0.8; with box 1: 0.8 and 0.6. The greatest sum above 0.7 would be 0.8 twice.
    found = found_of([[0, 0, 10, 10], [0, 2, 10, 10]])
    assert align(boxes, found, 0.7) == {0: 0}
    assert align(boxes[::-1].copy(), found, 0.7) == {1: 0}


def test_of_equal_overlaps_the_higher_score_counts() -> None:
    boxes = np.array([[0.0, 0, 10, 10]])
    same = [[0, 0, 10, 9], [0, 0, 10, 9], [0, 1, 10, 10]]
    assert align(boxes, found_of(same, [0.4, 0.7, 0.6]), 0.5) == {0: 1}
    assert align(boxes, found_of(same, [0.4, 0.4, 0.4]), 0.5) == {0: 0}


def test_what_does_not_overlap_is_no_pair_even_without_a_limit() -> None:
    boxes = np.array([[0.0, 0, 10, 10]])
    assert align(boxes, found_of([[20, 20, 30, 30], [0, 0, 0, 0]]), 0.0) == {}
    assert align(boxes, found_of([]), 0.0) == {}
    assert align(boxes, found_of([[9, 9, 30, 30]]), 0.0) == {0: 0}


sides = st.integers(1, 12)
corners = st.integers(0, 12)
some_boxes = st.lists(
    st.tuples(corners, corners, sides, sides).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])),
    min_size=1,
    max_size=5,
)


@settings(max_examples=50, deadline=None)
@given(some_boxes, some_boxes, st.floats(0, 1))
def test_no_left_over_pair_is_better_than_what_was_taken(
    mine: list[Any], theirs: list[Any], limit: float
) -> None:
    boxes, objects = np.array(mine, float), np.array(theirs, float)
    pairs = align(boxes, found_of(objects), limit)
    assert len(set(pairs.values())) == len(pairs)
    overlaps = torchvision.ops.box_iou(torch.tensor(boxes), torch.tensor(objects)).numpy()
    owner = {column: number for number, column in pairs.items()}
    for (number, column), overlap in np.ndenumerate(overlaps):
        if overlap < limit or overlap == 0:
            assert pairs.get(number) != column
            continue
        held = [overlaps[number, pairs[number]]] if number in pairs else []
        held += [overlaps[owner[column], column]] if column in owner else []
        assert max(held) >= overlap


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "holds a dict; expected a list of results"),
        (["a"], "entry 0 is a str; expected an object"),
        ([{"image_id": 1, "score": 1}], "entry 0 has no segmentation"),
        ([row(block(1, 1, 5, 5)), row(block(1, 1, 5, 5), image="a")], "entry 1 has image_id 'a'"),
        ([row(block(1, 1, 5, 5), image=True)], "entry 0 has image_id True"),
        ([row(block(1, 1, 5, 5), segmentation="x")], "entry 0 has segmentation 'x'"),
        ([row(block(1, 1, 5, 5), float("nan"))], "entry 0 has score nan"),
        ([row(block(1, 1, 5, 5), bbox=[1, 2, 3])], r"entry 0 has bbox \[1, 2, 3\]"),
        ([row(block(1, 1, 5, 5), bbox=[1, 2, -3, 4])], "entry 0 has bbox"),
    ],
)
def test_lists_that_are_not_sound(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(FaimError, match=message) as caught:
        read_results(write(tmp_path / "results.json", content))
    assert str(tmp_path / "results.json") in str(caught.value)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [10, 10], "counts": [100]}, r"entry 0: damaged mask \(its size is \[10, 10\]"),
        ({"size": list(SIZE), "counts": "zz~"}, "entry 0: damaged mask"),
        ({"size": list(SIZE), "counts": [3, 4]}, "entry 0: damaged mask .*do not fill"),
        ([[1, 2, 3]], "entry 0: damaged mask .*three points"),
        ([], "entry 0: no mask"),
    ],
)
def test_damaged_masks(tmp_path: Path, segmentation: Any, message: str) -> None:
    bad = row(block(1, 1, 5, 5), segmentation=segmentation)
    method = AlignedMasks(write(tmp_path / "results.json", [bad]))
    with pytest.raises(FaimError, match=message):
        masks_of(method, noise(1), [np.array([[1.0, 1, 5, 5]])])


def test_files_that_are_no_json(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("[{")
    for name, message in (("nowhere.json", "no such file"), ("broken.json", "is not JSON")):
        with pytest.raises(FaimError, match=message):
            masks_of(AlignedMasks(tmp_path / name), noise(1), [BOXES])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "neither of results and checkpoint given; expected results=FILE"),
        ({"results": "a", "checkpoint": "b"}, "both of results and checkpoint given"),
        ({"results": "a", "min_iou": 1.5}, "min_iou is 1.5; expected 0 to 1"),
        ({"results": "a", "min_score": -1}, "min_score is -1; expected 0 to 1"),
        ({"checkpoint": "a", "model": "yolo"}, "model is 'yolo'; expected one of maskrcnn"),
    ],
)
def test_values_out_of_range(values: dict[str, Any], message: str) -> None:
    with pytest.raises(FaimError, match=message):
        AlignedMasks(**values)


def test_its_parameters(tmp_path: Path) -> None:
    results = write(tmp_path / "results.json", [])
    method = AlignedMasks(results)
    assert not method.parallel
    found = method.parameters
    assert len(found.pop("sha256")) == 64
    assert found == {"results": "results.json", "min_iou": 0.5, "min_score": 0.05}
    assert pickle.loads(pickle.dumps(method)) == method
    named = AlignedMasks(checkpoint=MODELS[1])
    assert named.parameters == {
        "checkpoint": "maskrcnn_resnet50_fpn", "model": "maskrcnn_resnet50_fpn_v2",
        "min_iou": 0.5, "min_score": 0.05,
    }  # fmt: skip


def small_mask_rcnn(
    weights: None = None, weights_backbone: None = None, num_classes: int = 91
) -> MaskRCNN:
    backbone = torch.nn.Conv2d(3, 8, 8, 8)
    pool = {"featmap_names": ["0"], "sampling_ratio": 1}
    return MaskRCNN(
        backbone,
        min_size=48,
        max_size=96,
        rpn_anchor_generator=AnchorGenerator(((8, 16, 32),), ((0.5, 1.0),)),
        box_roi_pool=MultiScaleRoIAlign(output_size=4, **pool),
        box_head=faster_rcnn.TwoMLPHead(8 * 4 * 4, 16),
        box_predictor=faster_rcnn.FastRCNNPredictor(16, num_classes),
        mask_roi_pool=MultiScaleRoIAlign(output_size=8, **pool),
        mask_head=mask_rcnn.MaskRCNNHeads(8, (8,), 1),
        mask_predictor=mask_rcnn.MaskRCNNPredictor(8, 8, num_classes),
    )


@pytest.fixture
def rcnn_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from torchvision.models import _api

    monkeypatch.setitem(_api.BUILTIN_MODELS, "small_mask_rcnn", small_mask_rcnn)
    for module in (aligned, segmenters):
        monkeypatch.setattr(module, "MODELS", (*MODELS, "small_mask_rcnn"))
    network = small_mask_rcnn(num_classes=4)
    path = tmp_path / "small.pth"
    torch.save({"model": network.state_dict()}, path)
    return path


def test_mask_rcnn_looks_at_every_frame_with_boxes(rcnn_checkpoint: Path) -> None:
    method = AlignedMasks(checkpoint=rcnn_checkpoint, model="small_mask_rcnn")
    network, seen = method.network, []
    frames = ArrayFrames([*noise(2).images, blue_frame()])
    with torch.inference_mode():
        pixels = torch.tensor(np.ascontiguousarray(frames[1][..., ::-1])).permute(2, 0, 1)
        [expected] = network([pixels.float() / 255])
    assert len(expected["boxes"]) > 3
    network.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    boxes = expected["boxes"][[2, 0]].double().numpy()
    found = masks_of(method, frames, [BOXES[:0], boxes, BOXES[:1]])
    for number, index in enumerate((2, 0)):
        mask = expected["masks"][index, 0].numpy() >= 0.5
        np.testing.assert_array_equal(found[1, number], mask)
        assert mask.any()
    assert len(seen) == 2
    np.testing.assert_allclose(seen[1][0][:, 5, 5], [0, 0, 200 / 255], rtol=1e-6)


def test_mask_rcnn_weights_that_cannot_be_had(
    rcnn_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def network(checkpoint: Any, model: str = MODELS[1]) -> None:
        _ = AlignedMasks(checkpoint=checkpoint, model=model).network

    with pytest.raises(FaimError, match=r"small.pth: weight .*; expected weights of .*maskrcnn"):
        network(rcnn_checkpoint)
    with pytest.raises(FaimError, match=r"nowhere.pth: no such file; expected weights of torchvi"):
        network("nowhere.pth")
    torch.save({"a": torch.zeros(1)}, rcnn_checkpoint)
    with pytest.raises(FaimError, match="no weights of Mask R-CNN"):
        network(rcnn_checkpoint)

    def fail(name: str, weights: str) -> None:
        raise OSError(f"no route to {name} {weights}")

    monkeypatch.setattr(torchvision.models, "get_model", fail)
    with pytest.raises(FaimError, match=r"maskrcnn_resnet50_fpn: its weights cannot be downloaded"):
        network("maskrcnn_resnet50_fpn")
