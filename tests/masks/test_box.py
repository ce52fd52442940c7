import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from faim.masks.box import BoxMasks, each_mask, pixels_of
from faim.masks.protocol import ArrayFrames


def boxes(*rows):
    return np.array(rows, dtype=float).reshape(-1, 4)


def test_a_smaller_box_is_in_front():
    large, small = each_mask(boxes([0, 0, 6, 4], [2, 1, 5, 3]), (5, 8))
    assert large.sum() == 24 - 6
    assert small.sum() == 6
    assert small[1:3, 2:5].all()
    assert not (large & small).any()


def test_of_boxes_of_one_size_the_first_is_in_front():
    first, second = each_mask(boxes([0, 0, 4, 4], [2, 0, 6, 4]), (4, 6))
    assert first.sum() == 16
    assert second.sum() == 8
    assert second[:, 4:].all()


def test_a_hidden_box_gets_no_pixel():
    hidden, *_ = each_mask(boxes([0, 0, 4, 2], [0, 0, 2, 2], [2, 0, 4, 2]), (4, 4))
    assert not hidden.any()


def test_as_many_boxes_as_a_byte_can_count_and_more():
    for count in (254, 255, 256, 300):
        in_a_row = boxes(*[[x, 0, x + 1, 1] for x in range(count)])
        for number, mask in enumerate(each_mask(in_a_row, (1, count + 1))):
            assert np.flatnonzero(mask).tolist() == [number]


def test_the_memory_does_not_grow_with_the_boxes():
    height, width, count = 300, 400, 300
    many = boxes(*[[x, x, x + 20, x + 20] for x in range(count - 20)])
    tracemalloc.start()
    pixels = sum(int(mask.sum()) for mask in each_mask(many, (height, width)))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert pixels == 20 * 20 + (count - 21) * 39
    assert most < 6 * height * width


def test_each_pixel_that_a_box_touches():
    assert pixels_of(np.array([1.2, 0.9, 2.1, 3.0]), (5, 5)) == (1, 0, 3, 3)
    assert pixels_of(np.array([4.0, 4.2, 4.5, 9.0]), (5, 5)) == (4, 4, 5, 5)
    assert pixels_of(np.array([-3.0, -2.0, 0.0, 0.5]), (5, 5)) == (0, 0, 1, 1)


coordinates = st.floats(-5, 30)


@given(st.tuples(coordinates, coordinates, coordinates, coordinates))
def test_at_least_a_pixel_and_inside(box):
    x1, y1, x2, y2 = pixels_of(np.array(box), (20, 25))
    assert 0 <= x1 < x2 <= 25
    assert 0 <= y1 < y2 <= 20


@given(
    st.lists(
        st.tuples(st.integers(0, 19), st.integers(0, 19), st.integers(1, 9), st.integers(1, 9)),
        min_size=1,
        max_size=5,
    )
)
def test_the_masks_share_out_what_the_boxes_cover(rows):
    given_boxes = boxes(*[(x, y, x + w, y + h) for x, y, w, h in rows])
    covered = np.zeros((20, 20), int)
    for x, y, w, h in rows:
        covered[y : y + h, x : x + w] = 1
    assert (sum(mask.astype(int) for mask in each_mask(given_boxes, (20, 20))) == covered).all()


def test_video_without_looking_at_it():
    frames = ArrayFrames([np.zeros((4, 6, 3), np.uint8)] * 2)
    given_boxes = [boxes([0, 0, 2, 2]), boxes([1, 1, 3, 4], [0, 0, 6, 4])]
    tracks = [np.array([1]), np.array([1, -1])]
    masks = BoxMasks().generate(frames, given_boxes, tracks)
    made = {(each.frame, each.index): each.mask.sum() for each in masks}
    assert made == {(0, 0): 4, (1, 0): 6, (1, 1): 18}
    assert not BoxMasks.needs_frames
