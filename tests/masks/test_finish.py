import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from masks_helpers import decoded, disc, picture

from faim.errors import FaimError
from faim.masks.finish import Finishing, cut_out, fill_holes, finish

SIZE = (20, 30)
BOX = np.array([5.0, 4.0, 15.0, 14.0])


def picture_of(text):
    return np.array([[c == "#" for c in line] for line in text.split()])


def whole(finished):
    return decoded(finished.segmentation, SIZE)


def test_holes_up_to_a_share_of_the_object():
    mask = picture_of(
        """
        ........
        .######.
        .#.##..#
        .######.
        ........
        """
    )
    small = fill_holes(mask, 1 / 16)  # 16 pixels: the hole of one; that of two is open at a corner
    assert small.sum() == 17
    assert small[2, 2]
    both = fill_holes(mask, 2 / 16)
    assert both.sum() == 19
    assert both[2, 5]
    assert (fill_holes(mask, 0) == mask).all()


def test_background_at_the_border_is_no_hole():
    mask = picture_of("##.# #..# ####")
    assert (fill_holes(mask, 1) == mask).all()
    assert not fill_holes(np.zeros((3, 3), bool), 1).any()
    assert fill_holes(np.ones((3, 3), bool), 1).all()


@given(st.binary(min_size=30, max_size=30), st.floats(0, 1))
def test_filling_only_adds_and_ends(data, share):
    mask = (np.frombuffer(data, np.uint8) > 100).reshape(5, 6)
    filled = fill_holes(mask, share)
    assert (filled >= mask).all()
    assert (fill_holes(filled, 0) == filled).all()


def test_clipped_to_the_box_with_its_margin():
    everywhere = np.ones(SIZE, bool)
    for margin, pixels in ((0, 10 * 10), (0.1, 12 * 12), (0.25, 16 * 16), (1, 25 * 20)):
        made = finish(everywhere, BOX, SIZE, Finishing(margin=margin))
        assert made.area == pixels == whole(made).sum()
        assert made.source == "method"
    assert whole(finish(everywhere, BOX, SIZE, Finishing(margin=0.1)))[3:15, 4:16].all()


def test_too_little_is_a_failure():
    mask = np.zeros(SIZE, bool)
    mask[5, 6:10] = True  # 4% of the box
    assert finish(mask, BOX, SIZE, Finishing(least=0.04)).area == 4
    made = finish(mask, BOX, SIZE, Finishing(least=0.05))
    assert (made.source, made.area) == ("box", 100)
    assert whole(made)[4:14, 5:15].all()


@pytest.mark.parametrize("mask", [None, np.zeros(SIZE, bool)])
def test_nothing_becomes_grabcuts_then_the_box(mask):
    small = disc((10, 9), 5, SIZE)
    image = picture(small)
    box = np.array([5.0, 4.0, 16.0, 15.0])
    made = finish(mask, box, SIZE, Finishing(), lambda: image)
    assert made.source == "grabcut"
    assert (whole(made) == small).mean() > 0.99
    assert finish(mask, box, SIZE, Finishing(least=0), None).source == "box"


def test_the_frame_is_not_looked_at_without_need():
    finish(np.ones(SIZE, bool), BOX, SIZE, Finishing(), lambda: pytest.fail("looked"))


def test_a_mask_outside_its_box_is_nothing():
    mask = np.zeros(SIZE, bool)
    mask[16:, 20:] = True
    assert cut_out(mask, BOX, Finishing(least=0)) is None


def test_values_out_of_range():
    for values in ({"margin": -0.1}, {"margin": float("nan")}, {"holes": 1.1}, {"least": -1}):
        with pytest.raises(FaimError, match=f"{next(iter(values))} is .*; expected a share"):
            Finishing(**values)


def test_a_mask_that_is_no_picture():
    with pytest.raises(ValueError, match="shape"):
        cut_out(np.ones((3, 3, 1), bool), BOX, Finishing())
