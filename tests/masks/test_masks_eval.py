from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from faim.data.mask_encoding import encode
from faim.data.records import Annotation
from faim.errors import FaimError
from faim.masks.evaluation.evaluate import evaluate_masks
from faim.masks.evaluation.matching import match_annotations
from faim.masks.evaluation.options import add_arguments
from faim.masks.evaluation.overlay import file_names
from faim.masks.evaluation.run import MasksEvalOptions, run_masks_eval

WIDTH, HEIGHT = 64, 48
#: x, y, width, height of a mask and its box; None: annotated without mask.
Rectangle = tuple[int, int, int, int]
#: Of one frame: instance id, box, and mask.
Objects = Sequence[tuple[int, Rectangle, Rectangle | None]]


def _write(path: Path, videos: dict[str, Sequence[Objects]]) -> Path:
    content: dict[str, list[dict[str, Any]]] = {
        "videos": [],
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "object"}],
    }
    for video_id, (name, frames) in enumerate(videos.items(), 1):
        content["videos"].append({"id": video_id, "name": name})
        for frame_id, objects in enumerate(frames):
            image = len(content["images"]) + 1
            content["images"].append(
                {
                    "id": image,
                    "video_id": video_id,
                    "frame_id": frame_id,
                    "file_name": f"{name}/{frame_id:05}.jpg",
                    "width": WIDTH,
                    "height": HEIGHT,
                }
            )
            for each in objects:
                content["annotations"].append(_entry(*each, image, len(content["annotations"])))
    path.write_text(json.dumps(content))
    return path


def _entry(
    instance: int, box: Rectangle, mask: Rectangle | None, image: int, number: int
) -> dict[str, Any]:
    entry = {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": list(box),
        "area": box[2] * box[3],
        "iscrowd": 0,
    }
    if instance >= 0:
        entry["instance_id"] = instance
    if mask:
        encoded = encode(_mask(mask))
        entry["segmentation"] = (
            encoded[0] if encoded else {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}
        )
    return entry


def _mask(rectangle: Rectangle) -> np.ndarray:
    x, y, w, h = rectangle
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + h, x : x + w] = True
    return mask


A, B = (4, 4, 20, 20), (40, 10, 10, 30)
HALF_OF_A = (4, 4, 10, 20)
TRUTH: dict[str, Sequence[Objects]] = {
    "walk": [[(1, A, A), (2, B, B)], [(1, A, A)], [(1, A, A), (2, B, B)], []],
    "run": [[(3, B, B)]],
    "nothing": [[]],
}


def test_means_of_frames_then_of_objects(tmp_path: Path) -> None:
    truth = _write(tmp_path / "truth.json", TRUTH)
    predicted = _write(
        tmp_path / "predicted.json",
        {
            "walk": [[(2, B, B), (1, A, A)], [(1, A, HALF_OF_A)], [(1, A, A), (2, B, A)], []],
            "run": [[(3, B, B)]],
            "nothing": [[]],
        },
    )
    scores = evaluate_masks(predicted, truth)
    walk, run = scores.sequences
    assert (walk.name, run.name) == ("walk", "run")
    first, second = walk.objects
    assert [mask.jaccard for mask in first.masks] == [1, 0.5, 1]
    assert [mask.frame_id for mask in first.masks] == [0, 1, 2]
    assert first.means.jaccard == pytest.approx(2.5 / 3)
    assert first.means.recall == pytest.approx(2 / 3)  # 0.5 is not above 0.5
    assert (second.means.jaccard, second.means.boundary, second.means.recall) == (0.5, 0.5, 0.5)
    assert walk.means.jaccard == pytest.approx((2.5 / 3 + 0.5) / 2)
    assert scores.means.jaccard == pytest.approx((2.5 / 3 + 0.5 + 1) / 3)
    assert scores.means.recall == pytest.approx((2 / 3 + 0.5 + 1) / 3)
    # F of the half: of its 60 pixels of boundary 17 (its right edge), and of the truth's 80 as many
    # as 37 (what lies beyond), have no other boundary within ceil(0.008 * 80) = 1 pixel.
    precision, recall = 43 / 60, 43 / 80
    assert first.masks[1].boundary == pytest.approx(2 * precision * recall / (precision + recall))
    assert scores.counts == {"matched": 6, "missing": 0, "without mask": 0, "extra": 0}
    assert scores.notes == {}


def test_the_truth_against_itself(tmp_path: Path) -> None:
    truth = _write(tmp_path / "truth.json", TRUTH)
    means = evaluate_masks(truth, truth).means
    assert (means.jaccard, means.boundary, means.recall) == (1, 1, 1)


def test_what_has_no_counterpart_scores_zero(tmp_path: Path) -> None:
    truth = _write(
        tmp_path / "truth.json",
        {"walk": [[(1, A, A), (2, B, B)], [(1, A, A), (2, B, None)], [(1, A, A)]]},
    )
    predicted = _write(
        tmp_path / "predicted.json",
        {
            "walk": [[(1, A, A)], [(1, A, None), (2, B, B)], [(1, A, A), (2, B, B), (7, B, None)]],
            "other": [[(1, A, A)], []],
        },
    )
    scores = evaluate_masks(predicted, truth)
    assert scores.counts == {"matched": 2, "missing": 1, "without mask": 1, "extra": 1}
    assert scores.notes == {
        "predicted image that the truth does not have": 2,
        "annotation without a true mask": 1,
        "predicted annotation without mask, beside the true ones": 1,
    }
    first, second = scores.objects
    assert [mask.jaccard for mask in first.masks] == [1, 0, 1]
    assert [(mask.status, mask.jaccard) for mask in second.masks] == [("missing", 0), ("extra", 0)]


def test_frames_that_were_not_predicted_are_missing(tmp_path: Path) -> None:
    truth = _write(tmp_path / "truth.json", TRUTH)
    predicted = _write(tmp_path / "predicted.json", {"walk": TRUTH["walk"]})
    scores = evaluate_masks(predicted, truth)
    assert scores.counts["missing"] == 1
    assert scores.means.jaccard == pytest.approx(2 / 3)


def test_an_empty_mask_of_an_empty_one(tmp_path: Path) -> None:
    nothing = (0, 0, 0, 0)
    truth = _write(tmp_path / "truth.json", {"a": [[(1, A, nothing)], [(1, A, A)]]})
    predicted = _write(tmp_path / "predicted.json", {"a": [[(1, A, nothing)], [(1, A, nothing)]]})
    masks = evaluate_masks(predicted, truth).objects[0].masks
    assert [(mask.jaccard, mask.boundary) for mask in masks] == [(1, 1), (0, 0)]


def _left(annotation: Annotation | None) -> float | None:
    return annotation.box[0] if annotation else None


def _annotation(instance: int, x: float) -> Annotation:
    return Annotation((x, 0, x + 10, 10), 0, instance)


@pytest.mark.parametrize(
    ("predicted", "truth", "expected"),
    [
        # ids go before boxes
        ([(1, 0), (2, 20)], [(2, 0), (1, 20)], [(20, 0), (0, 20)]),
        # no ids: the nearest boxes, IoU 8/12 and 1, not 6/14
        ([(-1, 2), (-1, 0)], [(-1, 0), (-1, 4)], [(0, 0), (2, 4)]),
        ([(-1, 4)], [(-1, 0)], [(None, 0), (4, None)]),
        # an id on one side alone
        ([(-1, 0)], [(5, 0)], [(0, 0)]),
        ([(5, 1)], [(-1, 0)], [(1, 0)]),
        # two ids are two objects
        ([(6, 0)], [(5, 0)], [(None, 0), (0, None)]),
        # an id twice says nothing
        ([(1, 20), (1, 0)], [(1, 0), (1, 20)], [(0, 0), (20, 20)]),
        ([], [(1, 0)], [(None, 0)]),
        ([(1, 0)], [], [(0, None)]),
    ],
)
def test_matching(
    predicted: list[tuple[int, int]],
    truth: list[tuple[int, int]],
    expected: list[tuple[int | None, int | None]],
) -> None:
    pairs = match_annotations(
        [_annotation(*each) for each in predicted], [_annotation(*each) for each in truth]
    )
    lefts = [
        (
            pair.predicted.box[0] if pair.predicted else None,
            pair.truth.box[0] if pair.truth else None,
        )
        for pair in pairs
    ]
    assert lefts == expected


def test_wrong_files_are_one_sentence(tmp_path: Path) -> None:
    truth = _write(tmp_path / "truth.json", {"a": [[(1, A, A)]]})
    boxes = _write(tmp_path / "boxes.json", {"a": [[(1, A, None)]]})
    with pytest.raises(FaimError, match=r"boxes\.json: no annotation has a mask; expected the tru"):
        evaluate_masks(truth, boxes)
    content = json.loads(truth.read_text())
    content["images"][0]["file_name"] = "a/00001.jpg"
    (tmp_path / "other.json").write_text(json.dumps(content))
    expected = r"other\.json: image 1 is 00001\.jpg, 64x48; expected 00000\.jpg, 64x48, as in .*tru"
    with pytest.raises(FaimError, match=expected):
        evaluate_masks(tmp_path / "other.json", truth)
    content = json.loads(truth.read_text())
    content["annotations"][0]["segmentation"]["size"] = [10, 10]
    (tmp_path / "size.json").write_text(json.dumps(content))
    with pytest.raises(FaimError, match=r"image 1 \(00000\.jpg\): .*\(its size is \[10, 10\]"):
        evaluate_masks(tmp_path / "size.json", truth)
    with pytest.raises(FaimError, match=r"gone\.json: no such file"):
        evaluate_masks(tmp_path / "gone.json", truth)


@pytest.fixture
def two_files(tmp_path: Path) -> tuple[Path, Path]:
    """Predicted (the halves of object 1) and true masks, with grey images of all frames."""
    for name, frames in TRUTH.items():
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(len(frames)):
            image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            cv2.imwrite(str(tmp_path / f"images/{name}/{number:05}.jpg"), image)
    halves = {
        name: [
            [(i, box, HALF_OF_A if i == 1 else mask) for i, box, mask in frame] for frame in every
        ]
        for name, every in TRUTH.items()
    }
    return _write(tmp_path / "masks [1].json", halves), _write(tmp_path / "truth.json", TRUTH)


def test_the_command(
    two_files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    figures = tmp_path / "out/figures.json"
    parsed = parser.parse_args([*map(str, two_files), "--json", str(figures)])
    assert parsed.run(parsed) == 0
    printed = capsys.readouterr().out
    lines = {line.split()[1]: line.split() for line in printed.splitlines() if line[:1] == "│"}
    assert lines["walk"][3:8:2] == ["2", "5", "75.0"]
    assert lines["run"][3:8:2] == ["1", "1", "100.0"]
    assert lines["all"][4:9:2] == ["3", "6", "83.3"]
    content = json.loads(figures.read_text())
    assert content["jaccard"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert content["recall"] == pytest.approx(2 / 3)
    assert content["masks"] == {"matched": 6, "missing": 0, "without mask": 0, "extra": 0}
    objects = content["sequences"]["walk"]["objects"]
    assert objects["1"]["jaccard"] == 0.5
    assert objects["2"] == {"jaccard": 1, "boundary": 1, "recall": 1, "masks": 2}
    assert content["machine"]["cores"] >= 1


def _frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]


def test_videos(two_files: tuple[Path, Path], tmp_path: Path) -> None:
    images = tmp_path / "images"
    run_masks_eval(MasksEvalOptions(*two_files, images, video=tmp_path / "all.mp4"))
    frames = _frames(tmp_path / "all.mp4")
    assert [frame.shape for frame in frames] == [(HEIGHT, WIDTH, 3)] * 6
    empty, full = frames[3].astype(int), frames[0].astype(int)
    assert abs(empty[30:, 30:] - 90).max() < 12  # nothing in this frame
    assert abs(full[30:35, 8:11] - 90).max() < 12
    assert np.ptp(full[22, 8]) > 20  # coloured: predicted
    assert np.ptp(full[22, 19]) < 25  # the half that was not
    assert full[21:23, 23].mean() > 150  # white: the truth's right edge
    assert full[1, 1].mean() < 40  # the text's background
    run_masks_eval(MasksEvalOptions(*two_files, images, video=tmp_path / "each"))
    names = sorted(path.name for path in (tmp_path / "each").iterdir())
    assert names == ["nothing.mp4", "run.mp4", "walk.mp4"]
    assert [len(_frames(tmp_path / "each" / name)) for name in names] == [1, 1, 4]


def test_videos_need_images_and_a_name(two_files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(FaimError, match=r"all\.gif: cannot tell the kind of video"):
        run_masks_eval(MasksEvalOptions(*two_files, video=tmp_path / "all.gif"))
    with pytest.raises(FaimError, match=r"00000\.jpg: no such image"):
        run_masks_eval(MasksEvalOptions(*two_files, video=tmp_path / "all.mp4"))


def test_an_older_video_outlives_missing_images(
    two_files: tuple[Path, Path], tmp_path: Path
) -> None:
    old = tmp_path / "old.mp4"
    old.write_bytes(b"older work")
    with pytest.raises(FaimError, match="no such image"):
        run_masks_eval(MasksEvalOptions(*two_files, tmp_path / "nope", video=old))
    assert old.read_bytes() == b"older work"


def test_inputs_are_not_written(two_files: tuple[Path, Path], tmp_path: Path) -> None:
    before = [file.read_bytes() for file in two_files]
    link = tmp_path / "link.json"
    link.symlink_to(two_files[1])
    for place in (*two_files, link):
        with pytest.raises(FaimError, match="is what the run reads; expected another"):
            run_masks_eval(MasksEvalOptions(*two_files, json=place))
    assert [file.read_bytes() for file in two_files] == before


def test_files_without_a_common_image(tmp_path: Path) -> None:
    truth = _write(tmp_path / "truth.json", {"a": [[(1, A, A)]]})
    content = json.loads(truth.read_text())
    content["images"][0]["id"] = content["annotations"][0]["image_id"] = 7
    (tmp_path / "other.json").write_text(json.dumps(content))
    with pytest.raises(FaimError, match=r"other\.json: has no image of .*truth\.json; expected"):
        evaluate_masks(tmp_path / "other.json", truth)


def test_videos_of_one_name_get_files_of_their_own() -> None:
    names = file_names(["a/b", "c", "a_b", "A_B", "a_b-2"])
    assert names == ["a_b.mp4", "c.mp4", "a_b-2.mp4", "A_B-3.mp4", "a_b-2-2.mp4"]
