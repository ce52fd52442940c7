import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from faim.data.mask_encoding import encode, encode_mask, tight_box


def test_the_tight_box_of_a_mask():
    mask = np.zeros((7, 9), bool)
    mask[2, 3] = mask[4, 6] = True
    assert tight_box(mask) == (3.0, 2.0, 7.0, 5.0)
    assert tight_box(np.ones((7, 9), np.uint8) * 200) == (0.0, 0.0, 9.0, 7.0)
    assert tight_box(np.zeros((7, 9), bool)) == (0.0,) * 4
    assert encode(np.zeros((7, 9), bool)) is None


@pytest.mark.parametrize("order", ["C", "F"])
@given(st.binary(min_size=30, max_size=30).filter(any))
def test_the_rle_and_its_box(order, data):
    values = np.frombuffer(data, np.uint8).reshape(5, 6).copy(order=order)
    segmentation, (x1, y1, x2, y2) = encode(values)
    assert segmentation == encode_mask(values) == encode_mask(values > 0)
    assert (coco_mask.decode(segmentation) == (values > 0)).all()
    assert coco_mask.toBbox(segmentation).tolist() == [x1, y1, x2 - x1, y2 - y1]
