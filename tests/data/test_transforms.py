from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from yolox.data.data_augment import preproc

from faim.data.coco_vid import Annotation, FrameRecord
from faim.data.transforms import LetterboxGeometry, frame_targets, letterbox, to_tensor
from faim.errors import FaimError
from faim.families.yolox.augmentation import BaseStageAugment, jitter_hsv, seeded


def _noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 300), st.integers(2, 300), st.sampled_from([64, 96, 160]), st.integers(2, 6))
def test_letterbox_is_yolox_preproc_bit_for_bit(
    height: int, width: int, input_height: int, input_width: int
) -> None:
    size = (input_height, 32 * input_width)
    image = _noise(height, width)
    scale = min(size[0] / height, size[1] / width)
    if int(height * scale) < 1 or int(width * scale) < 1:
        return
    expected, expected_scale = preproc(image.copy(), size)
    boxed, geometry = letterbox(image, size)
    assert np.array_equal(to_tensor(boxed).numpy(), expected)
    assert geometry.scale == expected_scale


def test_a_frame_of_the_input_size_passes_untouched() -> None:
    image = _noise(64, 96)
    boxed, geometry = letterbox(image, (64, 96))
    assert boxed is image
    assert geometry == LetterboxGeometry(1.0, (64, 96), (64, 96))


@pytest.mark.parametrize(
    ("shape", "content"), [((1, 1), (96, 96)), ((3, 7681), (1, 96)), ((7681, 3), (96, 1))]
)
def test_odd_sizes_keep_a_pixel(shape: tuple[int, int], content: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 200, np.uint8)
    boxed, geometry = letterbox(image, (96, 96))
    expected = np.full((96, 96, 3), 114, np.uint8)
    expected[: content[0], : content[1]] = 200
    assert np.array_equal(boxed, expected)
    assert geometry.content_size == content


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_letterbox_refuses_what_is_no_frame(image: np.ndarray) -> None:
    with pytest.raises(FaimError, match="expected height x width x 3"):
        letterbox(image, (96, 96))


def test_boxes_there_and_back() -> None:
    geometry = LetterboxGeometry.fit((480, 854), (416, 416))
    boxes = torch.tensor([[0.0, 0.0, 854.0, 480.0], [10.0, 20.0, 30.5, 40.0]])
    scale = 416 / 854
    assert torch.allclose(geometry.to_input(boxes)[1], torch.tensor([10, 20, 30.5, 40]) * scale)
    assert torch.allclose(geometry.to_source(geometry.to_input(boxes)), boxes, atol=1e-3)
    outside = torch.tensor([[-5.0, -1.0, 500.0, 400.0]])
    assert geometry.to_source(outside).tolist() == [[0.0, 0.0, 854.0, 480.0]]
    assert geometry.to_source(torch.zeros(0, 4)).shape == (0, 4)


def test_to_tensor_keeps_values_and_channel_order() -> None:
    image = np.array([[[1, 2, 3], [4, 5, 255]]], np.uint8)
    image.flags.writeable = False
    tensor = to_tensor(image)
    assert tensor.dtype == torch.float32
    assert tensor.tolist() == [[[1, 4]], [[2, 5]], [[3, 255]]]


def _frame(height: int, width: int, box: tuple[int, int, int, int]) -> FrameRecord:
    """One object whose mask fills its box; runs go down the columns."""
    mask = np.zeros((height, width), int)
    mask[box[1] : box[3], box[0] : box[2]] = 1
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=0)).tolist()
    counts = np.diff([0, *edges, flat.size]).tolist()
    x1, y1, x2, y2 = map(float, box)
    annotation = Annotation((x1, y1, x2, y2), 2, 5, {"size": [height, width], "counts": counts})
    return FrameRecord(1, Path("none.png"), width, height, 0, (annotation,))


def test_targets_at_twice_the_size() -> None:
    frame = _frame(20, 32, (4, 6, 12, 16))
    geometry = LetterboxGeometry.fit((20, 32), (64, 64))
    targets = frame_targets(frame, geometry, with_masks=True)
    assert targets.boxes.tolist() == [[8.0, 12.0, 24.0, 32.0]]
    assert targets.labels.tolist() == [2]
    assert targets.instance_ids.tolist() == [5]
    expected = torch.zeros(1, 64, 64, dtype=torch.bool)
    expected[0, 12:32, 8:24] = True
    assert torch.equal(targets.masks, expected)
    flipped = frame_targets(frame, geometry, with_masks=True, flip=True)
    assert flipped.boxes.tolist() == [[40.0, 12.0, 56.0, 32.0]]
    assert torch.equal(flipped.masks, expected.flip(2))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_masks_stay_on_their_boxes_and_off_the_padding(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(8, 90)), data.draw(st.integers(8, 90))
    x1, y1 = data.draw(st.integers(0, width - 5)), data.draw(st.integers(0, height - 5))
    x2, y2 = data.draw(st.integers(x1 + 4, width)), data.draw(st.integers(y1 + 4, height))
    geometry = LetterboxGeometry.fit((height, width), (96, 64))
    flip = data.draw(st.booleans())
    targets = frame_targets(
        _frame(height, width, (x1, y1, x2, y2)), geometry, with_masks=True, flip=flip
    )
    assert targets.masks is not None
    rows, columns = torch.nonzero(targets.masks[0], as_tuple=True)
    extent = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    # Half a pixel of rounding, and up to one that YOLOX's int() takes off the content.
    assert torch.allclose(targets.boxes[0], torch.stack(extent).float(), atol=1.51)
    content_height, content_width = geometry.content_size
    assert not targets.masks[0, content_height:].any()
    assert not targets.masks[0, :, content_width:].any()


def test_frames_without_objects_or_masks() -> None:
    geometry = LetterboxGeometry.fit((20, 32), (64, 64))
    empty = FrameRecord(1, Path("none.png"), 32, 20, 0)
    targets = frame_targets(empty, geometry, with_masks=True)
    assert targets.boxes.shape == (0, 4)
    assert targets.masks is not None
    assert targets.masks.shape == (0, 64, 64)
    assert frame_targets(empty, geometry, with_masks=False).masks is None
    bare = FrameRecord(1, Path("none.png"), 32, 20, 0, (Annotation((0.0, 0.0, 4.0, 4.0), 0),))
    with pytest.raises(FaimError, match="no mask"):
        frame_targets(bare, geometry, with_masks=True)


def test_seeded_restores_the_global_generators() -> None:
    random.seed(3)
    np.random.seed(3)
    expected = random.random(), np.random.rand()
    random.seed(3)
    np.random.seed(3)
    with seeded(99):
        inside = random.random(), np.random.rand()
    assert (random.random(), np.random.rand()) == expected
    with seeded(99):
        assert (random.random(), np.random.rand()) == inside


def test_jitter_leaves_its_input_and_repeats() -> None:
    image = _noise(8, 8)
    before = image.copy()
    changed = [jitter_hsv(image, seed) for seed in range(6)]
    assert np.array_equal(image, before)
    assert any(not np.array_equal(image, other) for other in changed)
    assert np.array_equal(changed[4], jitter_hsv(image, 4))


class _Coloured:
    """Images of one colour with a bright rectangle that is the object."""

    def __init__(self, sizes: list[tuple[int, int]], labelled: bool = True) -> None:
        self.sizes = sizes
        self.labelled = labelled

    def __len__(self) -> int:
        return len(self.sizes)

    def image(self, index: int) -> np.ndarray:
        height, width = self.sizes[index]
        image = np.zeros((height, width, 3), np.uint8)
        x1, y1, x2, y2 = self._box(index)
        image[y1:y2, x1:x2] = 255
        image.flags.writeable = False
        return image

    def labels(self, index: int) -> np.ndarray:
        rows = [[*self._box(index), index]] if self.labelled else []
        return np.array(rows, np.float64).reshape(-1, 5)

    def _box(self, index: int) -> tuple[int, int, int, int]:
        height, width = self.sizes[index]
        return width // 4, height // 4, width - width // 4, height - height // 4


def test_mosaic_boxes_lie_on_their_objects() -> None:
    source = _Coloured([(60, 100), (80, 80), (100, 60), (64, 64)])
    augment = BaseStageAugment(degrees=0.0, shear=0.0, hsv_prob=0.0)
    seen = 0
    for seed in range(12):
        image, targets = augment(source, seed % 4, (96, 96), seed)
        assert image.shape == (3, 96, 96)
        assert targets.masks is None
        assert (targets.boxes >= 0).all()
        assert (targets.boxes <= 96).all()
        assert set(targets.labels.tolist()) <= {0, 1, 2, 3}
        assert set(targets.instance_ids.tolist()) <= {-1}
        white = image[0] > 200
        covered = torch.zeros(96, 96, dtype=torch.bool)
        for x1, y1, x2, y2 in targets.boxes.round().int().tolist():
            if min(x2 - x1, y2 - y1) >= 8:
                seen += 1
                assert white[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].float().mean() > 0.95
            covered[max(y1 - 2, 0) : y2 + 2, max(x1 - 2, 0) : x2 + 2] = True
        # What no box covers is at most the slivers that were dropped.
        assert (white & ~covered).float().mean() < 0.03
    assert seen > 10


def test_augmentation_repeats_by_seed_and_leaves_the_global_state() -> None:
    source = _Coloured([(60, 100), (80, 80)])
    augment = BaseStageAugment.for_variant("s")
    random.seed(1)
    before = random.getstate()
    first, again, other = (augment(source, 0, (96, 96), seed) for seed in (5, 5, 6))
    assert random.getstate() == before
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1].boxes, again[1].boxes)
    assert not torch.equal(first[0], other[0])


def test_closed_mosaic_leaves_flip_alone() -> None:
    source = _Coloured([(48, 96)])
    augment = BaseStageAugment(hsv_prob=0.0, flip_prob=0.0)
    augment.enabled = False
    image, targets = augment(source, 0, (96, 96), 0)
    assert targets.boxes.tolist() == [[24.0, 12.0, 72.0, 36.0]]
    assert np.array_equal(image.numpy(), preproc(source.image(0), (96, 96))[0])
    augment.flip_prob = 1.0
    flipped, _ = augment(source, 0, (96, 96), 0)
    assert torch.equal(flipped[:, :48], image[:, :48].flip(2))


def test_extreme_and_unlabelled_images_go_through_mosaic() -> None:
    extreme = _Coloured([(1, 1), (7681, 3), (3, 7681)])
    augment = BaseStageAugment(mixup_prob=1.0)
    for seed in range(6):
        image, targets = augment(extreme, seed % 3, (96, 96), seed)
        assert torch.isfinite(image).all()
        assert torch.isfinite(targets.boxes).all()
    _, targets = augment(_Coloured([(60, 60)], labelled=False), 0, (96, 96), 0)
    assert targets.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("variant", "mosaic", "mixup", "scale"),
    [("nano", 0.5, 0.0, (0.5, 1.5)), ("tiny", 1.0, 0.0, (0.5, 1.5)), ("m", 1.0, 1.0, (0.1, 2))],
)
def test_published_settings(
    variant: str, mosaic: float, mixup: float, scale: tuple[float, float]
) -> None:
    augment = BaseStageAugment.for_variant(variant)
    assert (augment.mosaic_prob, augment.mixup_prob, augment.mosaic_scale) == (mosaic, mixup, scale)


def test_unknown_variant_is_named() -> None:
    with pytest.raises(FaimError, match="'huge'; expected one of nano"):
        BaseStageAugment.for_variant("huge")
