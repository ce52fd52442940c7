import json
from functools import partial

import cv2
import numpy as np
import pytest
from masks_helpers import (
    HEIGHT,
    WIDTH,
    ToldMasks,
    content,
    decoded,
    masks_of,
    run,
    truth,
    write,
)

from faim.data.coco_vid import CocoVid, read_frame
from faim.errors import FaimError
from faim.masks.box import BoxMasks
from faim.masks.frames import VideoFrames
from faim.masks.grabcut import GrabCutMasks
from faim.masks.methods import METHODS, make_method
from faim.masks.run import MaskRequest, run_masks

WITHOUT = ("segmentation", "area")


def written(path, out="out.json"):
    return json.loads((path.parent / out).read_text())


def ids_with_masks(path):
    return sorted(masks_of(path.parent / "out.json"))


def test_the_file_is_the_same_but_for_the_masks(tmp_path):
    before = content()
    path = write(tmp_path, before)
    summary = run(path)
    after = written(path)
    info = after.pop("info")
    assert list(after) == list(before)
    bare = [{k: v for k, v in e.items() if k not in WITHOUT} for e in after["annotations"]]
    assert bare == before["annotations"]
    assert list(after["annotations"][0])[:3] == ["bbox", "id", "image_id"]
    assert {k: v for k, v in after.items() if k != "annotations"} == {
        k: v for k, v in before.items() if k != "annotations"
    }
    masks = masks_of(tmp_path / "out.json")
    for entry in after["annotations"]:
        true = truth(entry["image_id"])
        assert (masks[entry["id"]] == true).all()
        assert entry["area"] == true.sum()
    assert info["masks"]["method"] == "told"
    assert info["masks"]["version"] == 3
    assert info["masks"]["parameters"] == {"says": "object"}
    assert info["masks"]["finishing"] == {"margin": 0.05, "holes": 1.0, "least": 0.05}
    assert info["masks"]["counts"]["masks"] == 5 == summary.counts["masks"]
    CocoVid(tmp_path / "out.json").check(num_classes=1, masks_required=True)


def test_grabcut_finds_the_objects(tmp_path):
    path = write(tmp_path, content())
    run(path, GrabCutMasks())
    for number, mask in masks_of(tmp_path / "out.json").items():
        true = truth(number // 10)
        assert (mask & true).sum() / (mask | true).sum() > 0.95


@pytest.mark.parametrize("says", ["none", "empty", "skip"])
def test_where_the_method_fails_grabcut_stands_in(tmp_path, says):
    path = write(tmp_path, content())
    summary = run(path, ToldMasks(says))
    assert dict(summary.sources) == {"grabcut": 5}
    counts = written(path)["info"]["masks"]["counts"]
    assert (counts["fallback_grabcut"], counts["fallback_box"]) == (5, 0)
    run(path, GrabCutMasks(), "grabcut.json")
    made, direct = masks_of(tmp_path / "out.json"), masks_of(tmp_path / "grabcut.json")
    assert all((made[number] == direct[number]).all() for number in direct)


def test_box_does_not_need_the_images(tmp_path):
    entries = content()
    first = entries["annotations"][0]
    inner = dict(first, id=7, bbox=[first["bbox"][0], first["bbox"][1], 5, 5], instance_id=-1)
    entries["annotations"] += [inner, dict(inner, id=8)]
    path = tmp_path / "ann.json"
    path.write_text(json.dumps(entries))
    summary = run(path, BoxMasks())
    masks = masks_of(tmp_path / "out.json")
    w, h = first["bbox"][2:]
    assert masks[7].sum() == 25
    assert masks[10].sum() == w * h - 25
    assert masks[8].sum() == 25  # hidden by the first of the two: its box
    assert dict(summary.sources) == {"method": 6, "box": 1}


def test_box_in_a_box(tmp_path):
    """A hole that a smaller box left is not filled, and what is left of a box is its mask."""
    rows = {1: [10, 10, 80, 80], 2: [40, 40, 20, 20], 3: [40, 40, 10, 20], 4: [50, 40, 10, 19]}
    entries = content((1, 1))
    for image in entries["images"]:
        image.update(width=100, height=100)
    common = {"category_id": 4, "iscrowd": 0, "instance_id": -1}
    entries["annotations"] = [
        {**common, "id": image * 10 + number, "image_id": image, "bbox": rows[number]}
        for image, numbers in ((1, (1, 2)), (2, (4, 2, 3, 1)))
        for number in numbers
    ]
    path = tmp_path / "ann.json"
    path.write_text(json.dumps(entries))
    summary = run(path, BoxMasks())
    made = written(path)["annotations"]
    areas = {entry["id"]: entry["area"] for entry in made}
    assert areas == {11: 6000, 12: 400, 24: 190, 23: 200, 22: 10, 21: 6000}
    whole = [decoded(entry["segmentation"], (100, 100)) for entry in made]
    assert {each["id"]: mask.sum() for each, mask in zip(made, whole, strict=True)} == areas
    assert not (whole[0] & whole[1]).any()
    assert dict(summary.sources) == {"method": 6}
    assert written(path)["info"]["masks"]["finishing"] == {
        "margin": 0.05,
        "holes": 0.0,
        "least": 0.0,
    }


def bad_content():
    """Ids of annotations that can get a mask: 10, 20 (clipped), 50, 99."""
    entries = content()
    first, second, third, fourth, _ = entries["annotations"]
    second["bbox"] = [10, 20, WIDTH, 10]
    third["bbox"] = [5, 5, 0, 3]
    fourth["bbox"] = [WIDTH + 3, 5, 9, 9]
    more = [dict(first, id=91, bbox=[1, 2, float("nan"), 3]), dict(first, id=92, bbox=[1, 2]),
            dict(first, id=93, image_id=77), dict(first, id=94, category_id=5),
            dict(first, id=95, iscrowd=1, segmentation="a group's"), dict(first, id=10), 17,
            dict(first, id=99, bbox=[0, 0, 9, 9])]  # fmt: skip
    entries["annotations"] += more
    return entries


def test_bad_boxes_are_counted_and_left_out(tmp_path, capsys):
    path = write(tmp_path, bad_content())
    summary = run(path)
    assert summary.problems.counts == {
        "box partly outside the image": 1,
        "box without area": 1,
        "box outside the image": 1,
        "bbox is not four finite numbers": 2,
        "annotation of an unknown image": 1,
        "annotation of an unknown category": 1,
        "id twice in `annotations`": 1,
        "entry of `annotations` is no object": 1,
        "track twice in a frame": 1,
    }
    assert summary.problems.notes == {"track of one frame": 1}
    assert (summary.sources.total(), summary.crowds, summary.without) == (4, 1, 8)
    entries = written(path)["annotations"]
    sound = [entry for entry in entries if isinstance(entry, dict)]
    assert [entry["id"] for entry in sound if "area" in entry] == [10, 20, 50, 99]
    assert [e["segmentation"] for e in sound if e["id"] == 95] == ["a group's"]
    shown = capsys.readouterr().out
    assert "box without area: 1, first annotation 30 has bbox [5, 5, 0, 3]" in shown
    assert "other boxes without a mask" in shown


def test_a_box_that_sticks_out_is_clipped(tmp_path):
    path = write(tmp_path, bad_content())
    method = ToldMasks("none")
    run(path, method)
    (ids, boxes, tracks), (second_ids, *_) = method.seen
    assert ids == [1, 2]
    assert boxes[1] == [[10, 20, WIDTH, 30]]
    assert tracks == [[1, -1], [1]]
    assert second_ids == [5]


@pytest.mark.parametrize("kind", ["missing", "broken", "size"])
def test_images_that_cannot_be_used(tmp_path, kind):
    path = write(tmp_path, content())
    image = tmp_path / "v1/1.png"
    if kind == "missing":
        image.unlink()
    elif kind == "broken":
        image.write_bytes(image.read_bytes()[:20])
    else:
        image.write_bytes(_png(HEIGHT, WIDTH + 1))
    method = ToldMasks()
    summary = run(path, method)
    assert summary.problems.counts == {"image missing, broken or of another size": 1}
    assert "v1/1.png" in summary.problems.examples["image missing, broken or of another size"]
    assert summary.without == 1
    assert ids_with_masks(path) == [10, 30, 40, 50]
    assert method.seen[0][0] == [1, 3]
    with pytest.raises(FaimError, match=r"v1/1.png.*expected none with --strict"):
        run(path, out="strict.json", strict=True)
    assert not (tmp_path / "strict.json").exists()


def _png(height, width):
    return cv2.imencode(".png", np.zeros((height, width, 3), np.uint8))[1].tobytes()


def test_strict_stops_at_a_bad_box(tmp_path):
    path = write(tmp_path, bad_content())
    with pytest.raises(FaimError, match=r"box partly outside the image; expected none with"):
        run(path, strict=True)


def test_no_mask_at_all(tmp_path):
    path = write(tmp_path, content())
    with pytest.raises(FaimError, match=r"no mask could be made \(image missing.*nowhere"):
        run(path, images=tmp_path / "nowhere")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["ann.json", "v1", "v2"]


def test_masks_that_are_there(tmp_path):
    entries = content()
    entries["annotations"][0]["segmentation"] = {"true": "mask"}
    entries["info"] = {"masks": {"method": "earlier"}, "year": 1}
    path = write(tmp_path, entries)
    with pytest.raises(FaimError, match="annotation 10 has a mask; expected none, --replace or --"):
        run(path)
    method = ToldMasks()
    summary = run(path, method, existing="keep")
    kept = written(path)
    assert kept["annotations"][0] == entries["annotations"][0]
    assert (summary.kept, summary.sources.total()) == (1, 4)
    assert kept["info"]["year"] == 1
    assert kept["info"]["masks"]["before"] == {"method": "earlier"}
    assert method.seen[0][0] == [1, 2, 3]  # the method sees the whole track
    assert run(path, existing="replace").sources.total() == 5
    assert "before" not in written(path)["info"]["masks"]
    assert len(ids_with_masks(path)) == 5


def test_replace_leaves_no_old_mask(tmp_path):
    entries = content()
    for entry in entries["annotations"]:
        entry["segmentation"] = {"old": "mask"}
    path = write(tmp_path, entries)
    (tmp_path / "v1/0.png").unlink()
    run(path, existing="replace")
    assert "segmentation" not in written(path)["annotations"][0]


def test_all_masks_kept(tmp_path):
    entries = content()
    for entry in entries["annotations"]:
        entry["segmentation"] = {"true": "mask"}
    path = write(tmp_path, entries)
    assert run(path, existing="keep").kept == 5
    assert written(path)["annotations"] == entries["annotations"]


def test_a_method_that_is_not_parallel_runs_in_one_process(tmp_path):
    class Network(ToldMasks):
        parallel = False

    path = write(tmp_path, content())
    with pytest.raises(FaimError, match="--workers 2: method told runs in one process"):
        run_masks(MaskRequest(path, tmp_path / "out.json", Network(), workers=2))
    run_masks(MaskRequest(path, tmp_path / "out.json", Network()))
    assert len(ids_with_masks(path)) == 5


def test_which_methods_run_in_several_processes_and_make_exact_masks():
    values = {"aligned": ["results=found.json"], "sam": [], "video": ["checkpoint=w"]}
    methods = [make_method(name, values.get(name, ())) for name in METHODS]
    assert [each.name for each in methods] == list(METHODS)
    assert [each.name for each in methods if each.parallel] == ["box", "grabcut"]
    exact = [each.name for each in methods if getattr(each, "exact", False)]
    assert exact == ["box"]


def test_files_that_cannot_be_used(tmp_path):
    path = write(tmp_path, content())
    cases = (
        ({"out": "ann.json"}, "is what the run reads"),
        ({"out": "out.txt"}, "ends in .json"),
        ({"out": "ann.json/out.json"}, "cannot make its folder"),
    )
    for options, message in cases:
        with pytest.raises(FaimError, match=message):
            run(path, **options)
    for text, message in (
        ("", "is empty"),
        ("{}", "no `annotations`"),
        ('{"annotations": [], "images": [], "categories": []}', "no images"),
        (json.dumps({**content(), "annotations": []}), "no box can get a mask"),
        (json.dumps({**content(), "info": [1]}), "`info` is a list"),
    ):
        path.write_text(text)
        with pytest.raises(FaimError, match=message):
            run(path)


def test_no_space_left(tmp_path, monkeypatch):
    path = write(tmp_path, content())

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("faim.masks.run._annotations", full)
        with pytest.raises(FaimError, match="No space left"):
            run(path)
    log = tmp_path / "log"
    run(path, ToldMasks(log=str(log)))
    assert not log.exists()  # nothing was to be done again


def test_frames_are_kept_as_far_as_there_is_room(tmp_path, monkeypatch):
    path = write(tmp_path, content((4,)))
    reads = []

    def read(frame):
        reads.append(frame.image_id)
        return read_frame(frame)

    monkeypatch.setattr("faim.masks.frames.read_frame", read)
    frames = VideoFrames(CocoVid(path).videos[0].frames, kept_bytes=2 * HEIGHT * WIDTH * 3)
    for index in (0, 1, 0, 2, 0, 1):
        frames[index]
    assert reads == [1, 2, 3, 2]
    assert frames.sizes == [(HEIGHT, WIDTH)] * 4
    assert list(frames.image_ids) == [1, 2, 3, 4]
    with pytest.raises(IndexError):
        frames[4]
    with pytest.raises(ValueError, match="read-only"):
        frames[0][0, 0] = 1


def test_of_a_long_video_the_first_frames_are_decoded_once(tmp_path, monkeypatch):
    path = write(tmp_path, content((4,)))
    reads = []

    def read(frame):
        reads.append(frame.image_id)
        return read_frame(frame)

    monkeypatch.setattr("faim.masks.frames.read_frame", read)
    kept = partial(VideoFrames, kept_bytes=2 * HEIGHT * WIDTH * 3)
    monkeypatch.setattr("faim.masks.work.VideoFrames", kept)
    run(path, GrabCutMasks())
    assert reads == [4, 3, 2, 1, 3, 4]
