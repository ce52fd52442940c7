from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from evaluation_cases import Box, MakeData, detections
from torchvision.ops import box_iou

from faim.data.coco_vid import Annotation, CocoVid
from faim.evaluation.average_precision import evaluate_ap
from faim.evaluation.viewer import OtherClasses, ViewerFigures, viewer_figures
from faim.structures import Detections

CAT, DOG, COW = 0, 1, 2
BOX: Box = (0.0, 0.0, 10.0, 10.0)
FAR: Box = (100.0, 0.0, 110.0, 10.0)


def high(height: float) -> Box:
    """A box whose IoU with `BOX` is `height` / 10."""
    return (0.0, 0.0, 10.0, height)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(CAT, 0.9, BOX)], 0),
        ([(DOG, 0.9, BOX)], 100),
        ([(DOG, 0.29, BOX)], 0),
        ([(DOG, 0.3, BOX)], 100),
        ([(DOG, 0.9, high(5.1))], 100),
        ([(DOG, 0.9, high(4.9))], 0),
        # The right name beside it does not take the wrong one away; two wrong ones count once.
        ([(CAT, 0.9, BOX), (DOG, 0.4, BOX)], 100),
        ([(COW, 0.9, BOX), (DOG, 0.4, BOX)], 100),
        ([], 0),
    ],
)
def test_wrong_labels(
    make_data: MakeData, rows: Sequence[tuple[int, float, Box]], expected: float
) -> None:
    assert viewer_figures(make_data([[(CAT, BOX, 1)]]), {1: detections(*rows)}).wrong_labels == (
        expected
    )


def test_wrong_labels_are_a_share_of_the_annotated_objects(make_data: MakeData) -> None:
    data = make_data([[(CAT, BOX, 1)], [(CAT, BOX, 1), (DOG, FAR, 2)], []])
    wrong = detections((COW, 0.5, BOX), (COW, 0.5, FAR))
    assert viewer_figures(data, {1: wrong, 3: wrong}).wrong_labels == pytest.approx(100 / 3)
    assert math.isnan(viewer_figures(make_data([[]]), {1: wrong}).wrong_labels)


def test_the_name_of_another_object_at_the_same_place_is_not_wrong(make_data: MakeData) -> None:
    rider: Box = (0.0, 0.0, 10.0, 8.0)
    data = make_data([[(CAT, BOX, 1), (DOG, rider, 2)]])
    both = detections((CAT, 0.9, BOX), (DOG, 0.9, rider))
    assert viewer_figures(data, {1: both}).wrong_labels == 0
    assert viewer_figures(data, {1: detections((COW, 0.9, rider))}).wrong_labels == 100


def test_boxes_a_frame_and_doubles(make_data: MakeData) -> None:
    data = make_data([[(CAT, BOX, 1)], [], [], []])
    found = {
        1: detections(
            (CAT, 0.9, BOX), (DOG, 0.5, high(7.1)), (COW, 0.4, high(6.9)), (CAT, 0.1, BOX)
        ),
        2: detections((CAT, 0.9, BOX), (CAT, 0.5, high(5.1)), (CAT, 0.4, FAR)),
        9: detections((CAT, 0.9, BOX)),
    }
    figures = viewer_figures(data, found)
    assert figures.boxes_per_frame == 6 / 4
    # cat and dog 0.71, dog and cow 0.69 / 0.71 = 0.97, but cat and cow 0.69.
    assert figures.double_names == 100 * 2 / 4
    assert figures.double_boxes == 100 * 1 / 4
    # The cow covers the cat but is none, nor are the three boxes where nothing is annotated.
    assert figures.unmatched_boxes == (2 + 3) / 4


def test_a_box_in_a_crowd_of_its_class_is_not_false(make_data: MakeData) -> None:
    data = make_data([[(CAT, BOX, 1)]])
    (frame,) = data.videos[0].frames
    crowded = replace(frame, crowds=(Annotation(FAR, DOG),))
    data.videos = [replace(data.videos[0], frames=(crowded,))]
    found = {1: detections((DOG, 0.9, FAR), (COW, 0.9, FAR))}
    assert viewer_figures(data, found).unmatched_boxes == 1


def test_other_classes_count_for_the_viewer_alone(make_data: MakeData) -> None:
    data = make_data([[(CAT, BOX, 1)], []], classes=("cat",))
    found = {1: detections((CAT, 0.9, BOX))}
    bear = detections((1, 0.6, BOX), (2, 0.5, FAR), (1, 0.2, FAR))
    data.exhaustive = True
    others = OtherClasses(("bear", "boat"), {1: bear, 2: detections((2, 0.3, FAR))})
    figures = viewer_figures(data, found, others)
    assert figures.wrong_labels == 100
    assert figures.boxes_per_frame == 4 / 2
    assert figures.double_names == 100 / 2
    assert figures.unmatched_boxes == 3 / 2
    assert not figures.labels_complete
    assert viewer_figures(data, found).labels_complete
    assert viewer_figures(data, found).wrong_labels == 0
    assert evaluate_ap(data, found).ap50 == pytest.approx(100)


def test_against_every_pair_one_by_one(make_data: MakeData) -> None:
    generator = torch.Generator().manual_seed(3)
    found = {}
    for image_id in range(1, 9):
        corner = 5 * torch.rand(12, 2, generator=generator)
        side = 10 + 5 * torch.rand(12, 2, generator=generator)
        scores = torch.rand(12, generator=generator)
        labels = torch.randint(3, (12,), generator=generator)
        found[image_id] = Detections(torch.cat([corner, corner + side], 1), scores, labels)
    names = boxes = 0
    for one in found.values():
        shown = one[one.scores >= 0.3]
        overlap = box_iou(shown.boxes.double(), shown.boxes.double())
        for i in range(len(overlap)):
            for j in range(i):
                same = shown.class_ids[i] == shown.class_ids[j]
                names += bool(not same and overlap[i, j] > 0.7)
                boxes += bool(same and overlap[i, j] > 0.5)
    assert names > 5
    assert boxes > 5
    figures = viewer_figures(make_data([[] for _ in found]), found)
    assert figures.double_names == pytest.approx(100 * names / 8)
    assert figures.double_boxes == pytest.approx(100 * boxes / 8)


def _lasting(
    make_data: MakeData,
    there: str,
    shown: Sequence[tuple[int, Box] | None],
    others: Sequence[tuple[int, Box, int]] = (),
) -> ViewerFigures:
    """A cat at `BOX` is in the frames with an x in `there`, and every frame shows a box or none."""
    data = make_data([[*([(CAT, BOX, 1)] if sign == "x" else []), *others] for sign in there])
    data.exhaustive = True
    found = {
        number: detections((one[0], 0.9, one[1]))
        for number, one in enumerate(shown, start=1)
        if one is not None
    }
    return viewer_figures(data, found)


CAT_THERE = (CAT, BOX)


@pytest.mark.parametrize(
    ("there", "shown", "ends", "frames"),
    [
        ("xx...", [CAT_THERE] * 2 + [None] * 3, 1, 0),
        ("xx...", [CAT_THERE] * 3 + [None] * 2, 1, 1),
        ("xx...", [CAT_THERE] * 5, 1, 3),
        # A box that comes back later is not the same ghost.
        ("xx...", [CAT_THERE] * 3 + [None, CAT_THERE], 1, 1),
        ("xx...", [CAT_THERE, CAT_THERE, (DOG, BOX), None, None], 1, 0),
        ("xx...", [CAT_THERE, CAT_THERE, (CAT, FAR), None, None], 1, 0),
        ("xx...", [CAT_THERE, CAT_THERE, (CAT, high(5.1)), None, None], 1, 1),
        ("xx...", [CAT_THERE, CAT_THERE, (CAT, high(4.9)), None, None], 1, 0),
        # The object was not found in its last frame: nothing outlives it.
        ("xx...", [CAT_THERE, None, CAT_THERE, None, None], 0, math.nan),
        # The video ends with it.
        (".xx", [None, CAT_THERE, CAT_THERE], 0, math.nan),
        # A gap: one frame of a ghost, and after the second end two.
        ("x..x..", [CAT_THERE, CAT_THERE, None, *[CAT_THERE] * 3], 2, 1.5),
    ],
)
def test_frames_that_a_box_outlives_its_object(
    make_data: MakeData,
    there: str,
    shown: Sequence[tuple[int, Box] | None],
    ends: int,
    frames: float,
) -> None:
    figures = _lasting(make_data, there, shown)
    assert figures.ghost_ends == ends
    assert figures.ghost_mean == pytest.approx(frames, nan_ok=True)
    assert figures.ghost_median == pytest.approx(frames, nan_ok=True)


def test_a_ghost_may_drift(make_data: MakeData) -> None:
    # Each box overlaps the one before by 7 / 13, but the object's last box by less and less.
    drifting: list[tuple[int, Box]] = [(CAT, (3.0 * t, 0.0, 3.0 * t + 10, 10.0)) for t in range(5)]
    figures = _lasting(make_data, "x....", drifting)
    assert (figures.ghost_median, figures.ghosts_over_2) == (4, 100)


def test_a_box_on_another_object_is_no_ghost(make_data: MakeData) -> None:
    near: Box = (0.0, 0.0, 10.0, 8.0)
    assert _lasting(make_data, "x..", [CAT_THERE] * 3, [(DOG, near, 2)]).ghost_median == 0
    assert _lasting(make_data, "x..", [CAT_THERE] * 3, [(DOG, FAR, 2)]).ghost_median == 2


def test_median_mean_and_share_of_several_ends(make_data: MakeData) -> None:
    boxes: list[Box] = [(0.0, 20.0 * i, 10.0, 20.0 * i + 10) for i in range(4)]
    lasting = (0, 1, 3, 5)
    data = make_data([[(CAT, box, i) for i, box in enumerate(boxes)], *[[] for _ in range(6)]])
    data.exhaustive = True
    found = {
        1 + t: detections(*[(CAT, 0.9, b) for b, n in zip(boxes, lasting, strict=True) if n >= t])
        for t in range(7)
    }
    figures = viewer_figures(data, found)
    assert figures.ghost_ends == 4
    assert (figures.ghost_median, figures.ghost_mean, figures.ghosts_over_2) == (2, 2.25, 50)


@pytest.mark.parametrize("exhaustive", [None, False])
def test_without_complete_labels_no_box_is_a_ghost(
    make_data: MakeData, exhaustive: bool | None
) -> None:
    data: CocoVid = make_data([[(CAT, BOX, 1)], [], []])
    data.exhaustive = exhaustive
    figures = viewer_figures(data, {t: detections((CAT, 0.9, BOX)) for t in (1, 2, 3)})
    assert figures.ghost_ends == 0
    assert math.isnan(figures.ghost_median)
    assert math.isnan(figures.ghosts_over_2)
    assert not figures.labels_complete
    assert figures.unmatched_boxes == 2 / 3


def test_ghosts_stay_within_their_video(make_data: MakeData) -> None:
    data = make_data([[(CAT, BOX, 1)], [], [], []])
    video = data.videos[0]
    data.videos = [
        replace(video, frames=video.frames[:2]),
        replace(video, video_id=2, frames=video.frames[2:]),
    ]
    data.exhaustive = True
    everywhere = {t: detections((CAT, 0.9, BOX)) for t in (1, 2, 3, 4)}
    assert viewer_figures(data, everywhere).ghost_median == 1
