from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from faim.data.coco_vid import CocoVid
from faim.data.mask_encoding import tight_box
from faim.errors import FaimError
from faim.families.boxvos.augment import ClipAugment
from faim.families.boxvos.clips import ClipDataset, apportion, choose_frames
from faim.families.boxvos.tracks import tracks_of

ROWS, COLUMNS = 72, 120
SIZE = (96, 160)
#: Colour of the object with each instance id, BGR; the background is black.
COLOURS = {1: (250, 40, 90), 2: (20, 240, 30)}


def encoded(mask: np.ndarray) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": rle["counts"].decode()}


def write_data(root: Path, lengths: dict[int, int]) -> CocoVid:
    """One video; object i is in its first `lengths[i]` frames, empty in the second of them."""
    images, annotations = [], []
    for frame in range(max(lengths.values())):
        picture = np.zeros((ROWS, COLUMNS, 3), np.uint8)
        for number, length in lengths.items():
            if frame >= length:
                continue
            mask = np.zeros((ROWS, COLUMNS), bool)
            x, y = 10 + frame, 6 + 30 * (number - 1)
            if frame != 1:
                mask[y : y + 16, x : x + 24] = True
            picture[mask] = COLOURS[number]
            annotations.append(
                {
                    **{"id": len(annotations) + 1, "image_id": frame + 1, "category_id": 1},
                    **{"bbox": [x, y, 24, 16], "area": 384, "iscrowd": 0, "instance_id": number},
                    "segmentation": encoded(mask),
                }
            )
        cv2.imwrite(str(root / f"{frame}.png"), picture)
        images.append(
            {
                **{"id": frame + 1, "video_id": 1, "frame_id": frame, "file_name": f"{frame}.png"},
                **{"width": COLUMNS, "height": ROWS},
            }
        )
    content = {
        "videos": [{"id": 1, "name": "v"}],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "object"}],
    }
    (root / "ann.json").write_text(json.dumps(content))
    return CocoVid(root / "ann.json")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> CocoVid:
    return write_data(tmp_path_factory.mktemp("clips"), {1: 9, 2: 3})


def clips(data: CocoVid, **options: Any) -> ClipDataset:
    augment = ClipAugment(**options.pop("augment", {}))
    tracks = options.pop("tracks", [tracks_of(data)])
    weights = options.pop("weights", [1.0] * len(tracks))
    return ClipDataset(tracks, weights, options.pop("length", 8), augment, SIZE, **options)


def test_tracks_leave_out_empty_masks(data: CocoVid) -> None:
    first, second = tracks_of(data)
    assert [frame.frame_id for frame in first.frames] == [0, 2, 3, 4, 5, 6, 7, 8]
    assert [frame.frame_id for frame in second.frames] == [0, 2]
    assert {annotation.instance_id for annotation in second.annotations} == {2}


def test_the_mask_the_box_and_the_image_of_a_clip_lie_on_each_other(data: CocoVid) -> None:
    dataset = clips(data, length=12)
    flips = []
    for index in range(len(dataset)):
        images, boxes, masks = dataset[index]
        assert images.shape == (3, 3, *SIZE)
        assert boxes.shape == (3, 4)
        blue = images[0, 2][masks[0]].median() * 255  # of RGB
        number = min(COLOURS, key=lambda n: abs(COLOURS[n][0] - float(blue)))
        # The other one has two frames: the first of them is seen twice.
        assert torch.equal(images[0], images[2]) == (number == 2)
        colour = torch.tensor(COLOURS[number][::-1]) / 255
        for image, box, mask in zip(images, boxes, masks, strict=True):
            near = torch.einsum("chw,c->hw", image, colour) > colour.square().sum() / 2
            assert float((near & mask).sum() / (near | mask).sum()) > 0.9
            assert torch.allclose(box, torch.tensor(tight_box(mask.numpy())), atol=0.51)
        # The object moves right, except in a mirrored clip, and so in the crop where that is at
        # the left border of the image.
        flips.append(bool(boxes[1, 0] < boxes[0, 0]))
    assert 0 < sum(flips) < 12


def test_the_crop_is_as_many_times_the_box_but_no_larger_than_the_image(tmp_path: Path) -> None:
    data = write_data(tmp_path, {1: 1})
    # 5² times 24 x 16 pixels are 126 x 76 at 5:3, more than the image; so it is seen as a whole.
    whole = clips(data, length=1, augment={"flip": 0})[0][1][0]
    assert whole.tolist() == pytest.approx([v * 96 / 72 for v in (10, 6, 34, 22)])
    x1, y1, x2, y2 = clips(data, length=1, augment={"crop": (2, 2), "flip": 0})[0][1][0].tolist()
    assert (x2 - x1) * (y2 - y1) == pytest.approx(96 * 160 / 4, rel=0.06)


def test_items_derive_from_seed_epoch_and_index(data: CocoVid) -> None:
    options = {"augment": {"crop": (3, 6), "hue": 0.1, "brightness": 0.3, "box_jitter": 0.1}}
    first, second = clips(data, **options), clips(data, **options, cache=True)
    for part, other in zip(first[5], second[5], strict=True):
        assert torch.equal(part, other)
    before = first[5][0]
    first.set_epoch(1)
    assert not torch.equal(first[5][0], before)
    first.set_epoch(0)
    assert torch.equal(first[5][0], before)
    assert not torch.equal(clips(data, **options, seed=1)[5][0], before)


def test_data_sets_have_their_shares_and_objects_their_turns(data: CocoVid) -> None:
    one, two = tracks_of(data)
    dataset = clips(data, tracks=[[one, two], [two]], weights=[6, 1], length=70)
    chosen = dataset._objects(0)
    counts = Counter(map(id, chosen))
    assert counts == {id(one): 30, id(two): 40}  # 60 of the first data set, 10 of the second
    assert all({id(chosen[i]), id(chosen[i + 1])} == {id(one), id(two)} for i in range(0, 60, 2))


@given(
    st.lists(st.integers(0, 400), min_size=1, unique=True).map(sorted),
    st.integers(1, 5),
    st.integers(1, 120),
    st.integers(0, 99),
)
def test_frames_of_a_clip(ids: list[int], count: int, window: int, seed: int) -> None:
    chosen = choose_frames(ids, count, window, np.random.default_rng(seed))
    assert chosen == sorted(set(chosen))
    assert 1 <= len(chosen) <= count
    assert ids[chosen[-1]] - ids[chosen[0]] < window
    if window > ids[-1] - ids[0]:
        assert len(chosen) == min(count, len(ids))


def test_every_frame_of_a_track_is_drawn() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(i for _ in range(300) for i in choose_frames(range(40), 3, 10, rng))
    assert set(drawn) == set(range(40))


@given(st.integers(0, 1000), st.lists(st.floats(0.1, 10), min_size=1, max_size=5))
def test_shares_add_up(total: int, weights: list[float]) -> None:
    counts = apportion(total, weights)
    assert sum(counts) == total
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count - total * weight / sum(weights)) <= 1


def test_colours_change_as_drawn() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[:] = (40, 80, 160)
    rng = np.random.default_rng(0)
    assert ClipAugment().draw(rng).colour(image) is image
    draw = ClipAugment(brightness=0.5).draw(rng)
    saturation, brightness = draw.gains
    assert saturation == 1.0
    expected = np.clip(image * brightness, 0, 255)
    assert np.abs(draw.colour(image).astype(float) - expected).max() <= 3
    assert draw.colour(image)[0, 0].tolist() == draw.colour(image)[1, 1].tolist()


def test_moved_boxes_stay_in_the_image_and_keep_their_middle() -> None:
    rng = np.random.default_rng(0)
    draw = ClipAugment(box_jitter=0.9).draw(rng)
    for _ in range(200):
        x1, y1, x2, y2 = draw.move((0, 10, 20, 40), (50, 100))
        assert 0 <= x1 < 10 < x2 <= 100
        assert 0 <= y1 < 25 < y2 <= 50
    assert ClipAugment().draw(rng).move((0, 10, 20, 40), (50, 100)) == (0, 10, 20, 40)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"crop": (0.5, 2)}, "crop is .0.5, 2.; expected two rising numbers from 1 on"),
        ({"crop": (3, 2)}, "two rising numbers"),
        ({"flip": 2}, "flip is 2; expected a number from 0 to 1"),
        ({"hue": -1}, "hue is -1; expected a number from 0 to below 1"),
    ],
)
def test_wrong_augmentation(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FaimError, match=sentence):
        ClipAugment(**fields)


def test_data_without_a_mask(tmp_path: Path) -> None:
    data = write_data(tmp_path, {1: 2})
    data.videos[0] = type(data.videos[0])(1, "v", data.videos[0].frames[1:])
    with pytest.raises(FaimError, match="no object with a mask"):
        clips(data)
