"""A video of one moving object, and how to make others."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from evaluation_cases import BOXES, MakeData, data_maker

from faim.data.coco_vid import CocoVid


@pytest.fixture
def make_data(tmp_path: Path) -> MakeData:
    return data_maker(tmp_path)


@pytest.fixture
def data(make_data: MakeData, tmp_path: Path) -> CocoVid:
    for number in range(6):
        cv2.imwrite(str(tmp_path / f"{number + 1}.png"), np.full((100, 200, 3), 10 * number, "u1"))
    return make_data([[(1, box, 7)] for box in BOXES], classes=("cat", "dog"))
