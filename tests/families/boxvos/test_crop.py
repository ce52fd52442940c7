from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faim.errors import FaimError
from faim.families.boxvos.crop import CONTEXT, PAD_VALUE, Box, Crop, to_tensor

SIZE = (96, 160)


def rectangle(box: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


@st.composite
def placed_boxes(draw: st.DrawFn) -> tuple[Box, tuple[int, int]]:
    rows, columns = draw(st.integers(2, 300)), draw(st.integers(2, 300))
    x = sorted(draw(st.tuples(*[st.floats(0, columns)] * 2)))
    y = sorted(draw(st.tuples(*[st.floats(0, rows)] * 2)))
    if x[1] - x[0] < 0.01 or y[1] - y[0] < 0.01:
        x, y = [0.0, 1.0], [0.0, 1.0]
    return (x[0], y[0], x[1], y[1]), (rows, columns)


@given(placed_boxes(), st.floats(1, 8))
def test_a_crop_has_its_box_its_shape_and_its_place(
    placed: tuple[Box, tuple[int, int]], factor: float
) -> None:
    (x1, y1, x2, y2), (rows, columns) = placed
    crop = Crop.around((x1, y1, x2, y2), (rows, columns), SIZE, factor)
    assert crop.x <= x1 < x2 <= crop.x + crop.width
    assert crop.y <= y1 < y2 <= crop.y + crop.height
    assert abs(crop.width - crop.height * 160 / 96) < 3
    for start, length, limit in ((crop.x, crop.width, columns), (crop.y, crop.height, rows)):
        if length <= limit:
            assert 0 <= start <= limit - length
        else:
            assert (-start) - (length - limit + start) in (-1, 0)  # as much before as after
    # Never more than the whole image needs.
    assert crop.height <= math.ceil(max(rows, columns * 96 / 160))
    u1, v1, u2, v2 = crop.box((x1, y1, x2, y2))
    assert -1e-9 <= u1 < u2 <= 160 + 1e-9
    assert -1e-9 <= v1 < v2 <= 96 + 1e-9


def test_a_crop_in_the_middle_by_hand() -> None:
    # Area 4² x 20 x 12 at 5:3: 80 x 48 pixels, around (210, 106).
    crop = Crop.around((200, 100, 220, 112), (400, 600), SIZE, 4.0)
    assert (crop.x, crop.y, crop.width, crop.height) == (170, 82, 80, 48)
    assert crop.scale == (2.0, 2.0)
    assert crop.box((200, 100, 220, 112)) == (60, 36, 100, 60)


def test_a_crop_at_the_border_is_moved_inside() -> None:
    crop = Crop.around((0, 388, 20, 400), (400, 600), SIZE, 4.0)
    assert (crop.x, crop.y, crop.width, crop.height) == (0, 352, 80, 48)


def test_a_long_box_keeps_its_context() -> None:
    crop = Crop.around((300, 50, 302, 350), (400, 600), SIZE, 2.0)
    assert crop.height == math.ceil(CONTEXT * 300 + 1)


def test_a_crop_larger_than_the_image_is_padded() -> None:
    image = np.full((100, 100, 3), 200, np.uint8)
    crop = Crop.around((10, 10, 90, 90), image.shape[:2], SIZE, 5.0)
    # 100 rows, and 5/3 of them wide: 33 grey columns on either side.
    assert (crop.x, crop.y, crop.width, crop.height) == (-33, 0, 167, 100)
    seen = crop.image(image)
    assert seen.shape == (96, 160, 3)
    assert (seen[:, :31] == PAD_VALUE).all()
    assert (seen[:, 33:127] == 200).all()
    assert (seen[:, -31:] == PAD_VALUE).all()
    mask = crop.mask(np.ones((100, 100), bool))
    assert not mask[:, :31].any()
    assert mask[:, 33:127].all()
    assert crop.full_mask(np.where(mask, 1.0, -1.0)).all()


@given(st.integers(0, 170), st.integers(0, 110), st.integers(1, 30), st.integers(1, 16), st.data())
@settings(max_examples=60)
def test_there_and_back_is_exact_for_masks_that_are_enlarged_twice_or_more(
    x: int, y: int, width: int, height: int, data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 99))
    box = (float(x), float(y), float(x + width), float(y + height))
    mask = np.zeros((126, 200), bool)
    shape = (height, width)
    mask[y : y + height, x : x + width] = np.random.default_rng(seed).random(shape) < 0.6
    crop = Crop.around(box, mask.shape, (480, 832), 2.0)
    if min(crop.scale) < 2:
        return
    logits = np.where(crop.mask(mask), 3.0, -3.0)
    assert np.array_equal(crop.full_mask(logits), mask)


def test_signed_distances_of_a_shrunk_rectangle_come_back_to_the_pixel() -> None:
    truth = rectangle((100, 60, 300, 180), (400, 600))
    crop = Crop.around((100, 60, 300, 180), truth.shape, SIZE, 3.0)
    assert max(crop.scale) < 0.5
    u1, v1, u2, v2 = crop.box((100, 60, 300, 180))
    x, y = np.arange(160) + 0.5, np.arange(96)[:, None] + 0.5
    logits = np.minimum(np.minimum(x - u1, u2 - x), np.minimum(y - v1, v2 - y))
    wrong = crop.full_mask(logits.astype(np.float32)) ^ truth
    # The corners, where the distance is not linear, may lose a pixel or two.
    wrong[58:63, 98:103] = wrong[58:63, 297:302] = False
    wrong[177:182, 98:103] = wrong[177:182, 297:302] = False
    assert not wrong.any()
    shrunk = crop.mask(truth)
    share = shrunk.sum() / (crop.scale[0] * crop.scale[1])
    assert share == pytest.approx(truth.sum(), rel=0.02)


def test_the_image_and_its_mask_lie_on_each_other() -> None:
    mask = rectangle((31, 12, 57, 30), (60, 100))
    image = np.where(mask[..., None], np.uint8(255), np.uint8(0)).repeat(3, 2)
    for factor in (1.5, 3.0):
        crop = Crop.around((31, 12, 57, 30), mask.shape, (480, 832), factor)
        assert (((crop.image(image)[..., 0] > 127) ^ crop.mask(mask)).mean()) < 0.002
        assert np.array_equal(crop.full_mask(crop.image(image)[..., 0] - 127.0), mask)


@pytest.mark.parametrize("box", [(3, 3, 3, 9), (3, 9, 9, 3), (0, 0, math.nan, 4)])
def test_a_box_without_an_area(box: Box) -> None:
    with pytest.raises(FaimError, match="expected finite x1 y1 x2 y2 with an area"):
        Crop.around(box, (60, 100), SIZE, 4.0)


def test_tensors_are_rgb_from_0_to_1() -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 1] = (255, 51, 0)
    tensor = to_tensor(image)
    assert tensor.shape == (3, 2, 3)
    assert tensor[:, 0, 1].tolist() == pytest.approx([0.0, 0.2, 1.0])
