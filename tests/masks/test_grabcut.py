import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masks_helpers import box_around, disc, picture

from faim.errors import FaimError
from faim.masks.box import each_mask
from faim.masks.grabcut import GrabCutMasks, cut, ellipse, enlarge, seeds, shrink
from faim.masks.protocol import ArrayFrames

SIZE = (90, 120)
BGD, FGD, PR_BGD, PR_FGD = range(4)


def xyxy(mask):
    x, y, w, h = box_around(mask)
    return np.array([x, y, x + w, y + h], float)


def jaccard(a, b):
    return (a & b).sum() / (a | b).sum()


def test_a_disc_is_found():
    true = disc((60, 45), 25, SIZE)
    found = GrabCutMasks().mask(picture(true), xyxy(true))
    assert jaccard(found, true) > 0.98
    assert jaccard(next(each_mask(xyxy(true)[None], SIZE)), true) < 0.8


def test_a_large_crop_is_made_smaller_and_the_mask_larger():
    true = disc((300, 240), 150, (480, 600))
    found = GrabCutMasks(longest=64).mask(picture(true), xyxy(true))
    assert found.shape == (480, 600)
    assert jaccard(found, true) > 0.95
    center = [axis.mean() for axis in np.nonzero(found)]
    assert center == pytest.approx([240, 300], abs=1)


def test_nothing_outside_the_box():
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    found = GrabCutMasks().mask(image, np.array([20.0, 30.0, 60.0, 70.0]))
    assert found is not None
    found[30:70, 20:60] = False
    assert not found.any()


def test_labels_before_grabcut():
    labels = seeds(np.array([2.0, 1.0, 8.0, 7.0]), (8, 10), 0.5)
    expected = np.full((8, 10), BGD)
    expected[1:7, 2:8] = PR_FGD
    expected[3:5, 4:6] = FGD  # pixel centres within 1.5 of (5, 4)
    assert (labels == expected).all()


def test_a_box_that_is_the_whole_crop_has_background_in_its_corners():
    labels = seeds(np.array([0.0, 0.0, 12.0, 8.0]), (8, 12), 0.0)
    assert set(np.unique(labels)) == {PR_BGD, PR_FGD}
    assert (labels[[0, 0, -1, -1], [0, -1, 0, -1]] == PR_BGD).all()
    assert labels[4, 6] == PR_FGD


def test_an_object_as_large_as_the_image():
    true = disc((60, 45), 44, SIZE)
    box = np.array([0.0, 0.0, 120.0, 90.0])
    assert jaccard(GrabCutMasks().mask(picture(true), box), true) > 0.97


def test_each_box_of_each_frame():
    masks = [disc((30, 30), 15, SIZE), disc((85, 50), 25, SIZE)]
    frames = ArrayFrames([picture(masks[0]), picture(masks[0] | masks[1])])
    boxes = [xyxy(masks[0])[None], np.stack([xyxy(masks[1]), xyxy(masks[0])])]
    tracks = [np.array([1]), np.array([2, 1])]
    made = {(m.frame, m.index): m.mask for m in GrabCutMasks().generate(frames, boxes, tracks)}
    expected = {(0, 0): masks[0], (1, 0): masks[1], (1, 1): masks[0]}
    assert made.keys() == expected.keys()
    assert all(jaccard(made[place], true) > 0.98 for place, true in expected.items())


def test_ellipse_of_a_box():
    assert ellipse(np.array([0.0, 0.0, 2.0, 2.0]), (2, 2), 1.0).all()  # corners at 0.71 of it
    area = ellipse(np.array([0.0, 0.0, 200.0, 100.0]), (100, 200), 1.0).sum()
    assert area == pytest.approx(np.pi / 4 * 20_000, rel=0.01)
    assert not ellipse(np.array([0.0, 0.0, 9.0, 9.0]), (9, 9), 0.0).any()


def test_the_same_masks_every_time_whatever_came_before():
    image = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    box = np.array([10.0, 10.0, 100.0, 80.0])
    first = GrabCutMasks().mask(image, box)
    cv2.setRNGSeed(123)
    cv2.randu(np.zeros(10), 0, 1)
    assert (GrabCutMasks().mask(image, box) == first).all()


def test_sizes():
    image = np.zeros((100, 50, 3), np.uint8)
    assert shrink(image, 20).shape == (20, 10, 3)
    assert shrink(image, 100).shape == image.shape
    assert shrink(np.zeros((1000, 1, 3), np.uint8), 10).shape == (10, 1, 3)
    assert enlarge(np.array([[True, False]]), (4, 2)).tolist() == [[True, True, False, False]] * 2


def test_without_background_all_is_object():
    assert cut(np.zeros((4, 4, 3), np.uint8), np.full((4, 4), PR_FGD, np.uint8), 1).all()
    assert not cut(np.zeros((4, 4, 3), np.uint8), np.full((4, 4), PR_BGD, np.uint8), 1).any()


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    st.lists(st.floats(0, 1), min_size=4, max_size=4),
    st.booleans(),
    st.sampled_from([0.0, 0.25, 1.0]),
)
def test_any_small_box_in_any_small_image(size, corners, flat, context):
    height, width = size
    (x1, x2), (y1, y2) = sorted(corners[:2]), sorted(corners[2:])
    box = np.array([x1 * width, y1 * height, x2 * width, y2 * height])
    if box[2] - box[0] < 1e-3 or box[3] - box[1] < 1e-3:
        return
    rng = np.random.default_rng(0)
    image = rng.integers(0, 1 if flat else 256, (*size, 3), dtype=np.uint8)
    found = GrabCutMasks(context=context).mask(image, box)
    assert found is None or found.shape == size


def test_values_out_of_range():
    for name, value in (("context", -1), ("core", 2.0), ("iterations", 0), ("longest", 4)):
        with pytest.raises(FaimError, match=f"{name} is {value}; expected"):
            GrabCutMasks(**{name: value})
