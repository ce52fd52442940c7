"""Regions of interest: polygons and masks, from whatever a person may give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from live_helpers import recorded_warnings

from faim.errors import FaimError
from faim.runtime.region import _warn_once, make_region

#: The left half of a frame of 100x50 pixels.
HALF = [[0, 0], [50, 0], [50, 50], [0, 50]]
SHARES = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]
MASK = np.arange(100)[None].repeat(50, 0) < 50


def held(
    region: Any, *points: tuple[float, float], size: tuple[int, int] = (50, 100)
) -> list[bool]:
    return make_region(region).holds(np.array(points, float).reshape(-1, 2), size).tolist()


def as_file(tmp_path: Path, name: str, content: Any) -> Path:
    path = tmp_path / name
    if path.suffix == ".json":
        path.write_text(json.dumps(content))
    else:
        cv2.imwrite(str(path), content)
    return path


@pytest.mark.parametrize(
    "given",
    [
        HALF,
        np.array(HALF),
        np.array([HALF], float),
        [tuple(map(tuple, HALF))],
        [np.array(HALF)],
        [0, 0, 50, 0, 50, 50, 0, 50],
        "0,0,50,0,50,50,0,50",
        " 0, 0, 5e1,0 ,50,50, 0,50.0",
        SHARES,
        "0,0,.5,0,.5,1,0,1",
        "0,0,.5,0,.5,.5,0,.5;0,.5,.5,.5,.5,1,0,1",
        {"polygons": [HALF]},
        {"polygons": SHARES, "exclude": []},
        {"polygons": np.array(HALF), "exclude": np.array([[[90, 40], [95, 40], [95, 45]]])},
        {"exclude": [[[0.501, 0], [1, 0], [1, 1], [0.501, 1]]]},
        MASK,
        MASK.astype(np.uint8) * 255,
        np.dstack([MASK.astype(np.uint8) * 200] * 3),
        MASK[:10, ::5],
        ("a.json", [HALF]),
        ("a.json", HALF),
        ("a.json", {"polygons": [SHARES]}),
        ("a.PNG", MASK * 255),
        ("a.bmp", np.dstack([MASK * 255] * 3)),
    ],
)
def test_one_region_said_in_many_ways(tmp_path: Path, given: Any) -> None:
    ways = [given]
    if isinstance(given, tuple):
        path = as_file(tmp_path, *given)
        ways = [path, str(path)]
    points = [(0, 0), (25, 25), (49.4, 49.9), (51, 25), (99.9, 1), (100, 50)]
    for way in ways:
        assert held(way, *points) == [True] * 3 + [False] * 3
        assert held(way) == []


def test_shares_and_masks_fit_frames_of_any_size_and_pixels_do_not() -> None:
    points = [(90, 40), (110, 40)]
    assert held(SHARES, *points, size=(100, 200)) == [True, False]
    assert held(MASK, *points, size=(100, 200)) == [True, False]
    assert held(HALF, *points, size=(100, 200)) == [False, False]


def test_several_polygons_with_holes_and_edges() -> None:
    region = {
        "polygons": [[[0, 0], [40, 0], [40, 40], [0, 40]], [[60, 0], [100, 0], [80, 40]]],
        "exclude": [[[10, 10], [20, 10], [20, 20], [10, 20]]],
    }
    expected = {(5, 5): True, (15, 15): False, (50, 5): False, (80, 30): True, (62, 30): False}
    assert held(region, *expected) == list(expected.values())
    assert held(region, (40, 20), (40.01, 20), (20, 15)) == [True, False, False]
    concave = [[0, 0], [100, 0], [100, 50], [50, 10], [0, 50]]
    assert held(concave, (50, 5), (50, 20), (5, 40)) == [True, False, True]


def test_what_looks_like_a_mistake_is_told_once() -> None:
    _warn_once.cache_clear()
    with recorded_warnings() as warnings:
        region = make_region([[500, 0], [900, 0], [900, 40]])
        for _ in range(3):
            assert region.holds(np.array([[50.0, 20.0]]), (50, 100)).tolist() == [False]
        square = make_region(MASK[:, :50])
        for _ in range(3):
            assert square.holds(np.array([[50.0, 20.0]]), (50, 100)).tolist() == [True]
    assert warnings == [
        "roi: lies wholly outside frames of 100x50 pixels; nothing is detected in them",
        "roi: the mask is 50x50 pixels and is stretched over frames of 100x50",
    ]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("gone.json", "roi: gone.json: no such file; expected x1,y1,x2,y2,x3,y3"),
        ("1,2,3,4", "is no polygon; expected three points or more, x and y each"),
        ("1,2,3,4,5", "is no polygon; expected x1,y1"),
        ("1,2,,4,5,6", "roi: '1,2,,4,5,6' given; expected x1,y1"),
        ("1,1,2,2,3,3", "lies on a line; expected a polygon with an area"),
        ("1,1,2,2,1e99,3", "expected three points or more"),
        ("1,1,2,2,nan,3", "no such file"),
        ([], "roi: holds no polygon; expected x1,y1"),
        ([[]], "roi: [[]] is no polygon"),
        (5, "roi: 5 given; expected x1,y1"),
        ([["a", "b"], ["c", "d"], ["e", "f"]], "is no polygon"),
        ([[1, 2], [3], [4, 5]], "is no polygon"),
        ([[1, 2, 3], [3, 4, 5], [5, 6, 8]], "is no polygon"),
        ([[[[1, 2], [3, 4], [5, 7]]]], "given; expected x1,y1"),
        ({}, "roi: holds no polygon; expected x1,y1"),
        ({"polygon": HALF}, "roi: has the keys ['polygon']; expected"),
        (np.zeros((5, 6), bool), "roi: nothing in the mask is white"),
        (("a.json", "text"), "a.json: 'text' given; expected x1,y1"),
        (("a.json", {"shapes": []}), "a.json: has the keys ['shapes']; expected"),
        (("a.json", {"polygons": []}), "a.json: holds no polygon"),
        (("a.png", MASK * 1), "a.png: nothing in the mask is white; expected white where"),
    ],
)
def test_one_sentence(tmp_path: Path, given: Any, sentence: str) -> None:
    if isinstance(given, tuple):
        given = as_file(tmp_path, *given)
    with pytest.raises(FaimError) as error:
        make_region(given)
    assert sentence in str(error.value)


def test_files_that_are_no_regions(tmp_path: Path) -> None:
    for name, content, words in [
        ("a.json", b"{", "a.json: is not JSON"),
        ("a.json", b"", "a.json: is empty; expected polygons"),
        ("a.png", b"no", "a.png: cannot be decoded; expected an image"),
        ("a.txt", b"1,2,3,4,5,7", "a.txt: neither .json nor an image"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FaimError, match=words):
            make_region(tmp_path / name)
    with pytest.raises(FaimError, match="no such file"):
        make_region(str(tmp_path))
