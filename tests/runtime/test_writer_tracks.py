"""CVAT and Label Studio files: tracks as tracks."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from writer_helpers import NAMES, fill, image_source, result, results, source

from faim.runtime.writers.cvat import CvatSink
from faim.runtime.writers.label_studio import LabelStudioSink


def tracks_of(path: Path) -> list[tuple[str, list[tuple[int, bool]]]]:
    """Label, and frames with `outside`, as CVAT's own importer takes them."""
    root = ElementTree.parse(path).getroot()
    assert root.tag == "annotations"
    assert root.findtext("version") == "1.1"
    found = []
    for track in root.iterfind("track"):
        shapes = []
        for box in track.iterfind("box"):
            assert box.attrib["keyframe"] == "1"
            assert float(box.attrib["xtl"]) < float(box.attrib["xbr"])
            assert float(box.attrib["ytl"]) < float(box.attrib["ybr"])
            shapes.append((int(box.attrib["frame"]), box.attrib["outside"] == "1"))
        assert shapes == sorted(set(shapes))
        found.append((track.attrib["label"], shapes))
    return found


def test_cvat_tracks_end_outside(tmp_path: Path) -> None:
    path = tmp_path / "out.xml"
    fill(CvatSink(path, source()), results())
    assert tracks_of(path) == [
        # One class although one frame says cat; the last frame of the video needs no end.
        ("dog", [(0, False), (1, False), (2, True), (3, False), (4, False)]),
        ("cat", [(0, False), (1, False), (2, True)]),
        ("cat", [(2, False), (3, True)]),
    ]
    root = ElementTree.parse(path).getroot()
    task = root.find("meta/task")
    assert task is not None
    assert [task.findtext(name) for name in ("name", "size", "mode", "stop_frame")] == [
        "walk",
        "5",
        "interpolation",
        "4",
    ]
    assert [each.text for each in task.iterfind("labels/label/name")] == ["cat", "dog"]
    assert [task.findtext(f"original_size/{side}") for side in ("width", "height")] == ["64", "48"]
    box = root.find("track/box")
    assert box is not None
    assert [box.attrib[side] for side in ("xtl", "ytl", "xbr", "ybr")] == [
        "10.00",
        "8.00",
        "30.00",
        "40.00",
    ]


def test_cvat_of_a_part_of_a_video(tmp_path: Path) -> None:
    """Every second frame of 20: what lies between is interpolated, and 9 is not known any more."""
    path = tmp_path / "out.xml"
    begun = source(frame_count=20)
    begun.goes_on = True  # type: ignore[attr-defined]
    fill(CvatSink(path, begun), results(frames=range(0, 10, 2)))
    assert [shapes for _, shapes in tracks_of(path)] == [
        [(0, False), (2, False), (4, True), (6, False), (8, False), (9, True)],
        [(0, False), (2, False), (4, True)],
        [(4, False), (6, True)],
    ]


def test_cvat_never_goes_beyond_the_video(tmp_path: Path) -> None:
    """CVAT refuses the whole file then; a header may promise frames that are not there."""
    for goes_on, frame_count in ((False, 9), (True, 5), (False, None)):
        read = source(frame_count=frame_count)
        read.goes_on = goes_on  # type: ignore[attr-defined]
        fill(CvatSink(tmp_path / "out.xml", read), results())
        assert (
            max(frame for _, shapes in tracks_of(tmp_path / "out.xml") for frame, _ in shapes) == 4
        )


def test_cvat_without_tracks_and_of_no_frame(tmp_path: Path) -> None:
    fill(CvatSink(tmp_path / "a.xml", source()), results(tracks=False))
    assert len(tracks_of(tmp_path / "a.xml")) == 7
    fill(CvatSink(tmp_path / "b.xml", source()), [])
    assert not (tmp_path / "b.xml").exists()
    fill(CvatSink(tmp_path / "c.xml", source("\x1b<&.mp4")), [result(0, [])])
    assert tracks_of(tmp_path / "c.xml") == []


def alive(sequence: list[dict[str, object]]) -> list[int]:
    """Frames in which Label Studio shows a region: each keyframe, and up to the next if enabled."""
    frames: set[int] = set()
    for keyframe, following in zip(sequence, [*sequence[1:], None], strict=True):
        frames.add(keyframe["frame"])  # type: ignore[arg-type]
        if keyframe["enabled"]:
            assert following is not None
            frames |= set(range(keyframe["frame"], following["frame"]))  # type: ignore[call-overload]
    return sorted(frames)


def test_label_studio_has_a_region_a_track(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    fill(LabelStudioSink(path, source("/films/my walk.mp4"), NAMES), results())
    [task] = json.loads(path.read_text())
    assert task["data"] == {"video": "/data/local-files/?d=films/my%20walk.mp4"}
    [prediction] = task["predictions"]
    regions = prediction["result"]
    assert len({region["id"] for region in regions}) == 3
    assert {(r["type"], r["from_name"], r["to_name"]) for r in regions} == {
        ("videorectangle", "box", "video")
    }
    assert [region["value"]["labels"] for region in regions] == [["dog"], ["cat"], ["cat"]]
    assert {(r["value"]["framesCount"], r["value"]["duration"]) for r in regions} == {(5, 0.2)}
    assert [alive(region["value"]["sequence"]) for region in regions] == [[1, 2, 4, 5], [1, 2], [3]]
    assert regions[0]["value"]["sequence"][1] == {
        "frame": 2,
        "time": 0.08,
        "enabled": False,
        "rotation": 0,
        "x": 18.75,
        "y": pytest.approx(16.6667),
        "width": 31.25,
        "height": pytest.approx(66.6667),
    }
    assert regions[0]["score"] == pytest.approx((0.9 + 0.8 + 0.7 + 0.95) / 4, abs=1e-4)
    config = ElementTree.parse(tmp_path / "tasks.label_config.xml").getroot()
    names = {each.attrib["name"]: each.tag for each in config if "name" in each.attrib}
    assert names == {"video": "Video", "box": "VideoRectangle", "videoLabels": "Labels"}
    assert [each.attrib["value"] for each in config.iter("Label")] == list(NAMES)


def test_label_studio_keyframes_of_a_part_are_interpolated(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    fill(LabelStudioSink(path, source(frame_count=20), NAMES), results(frames=range(0, 10, 2)))
    [task] = json.loads(path.read_text())
    first, *_ = task["predictions"][0]["result"]
    assert alive(first["value"]["sequence"]) == [1, 2, 3, 7, 8, 9]
    assert (first["value"]["framesCount"], first["value"]["duration"]) == (20, 0.8)


def test_label_studio_of_images_has_a_task_each(tmp_path: Path) -> None:
    path = tmp_path / "tasks.json"
    given = [
        result(0, [(1, 0, 0.9, (16, 12, 48, 36))], file="a 1.jpg"),
        result(1, [], file="b/2.jpg"),
    ]
    fill(LabelStudioSink(path, image_source(Path("/data/clip")), NAMES), given)
    first, second = json.loads(path.read_text())
    assert first["data"] == {"image": "/data/local-files/?d=data/clip/a%201.jpg"}
    assert second["data"] == {"image": "/data/local-files/?d=data/clip/b/2.jpg"}
    assert second["predictions"][0]["result"] == []
    [region] = first["predictions"][0]["result"]
    assert (region["type"], region["from_name"], region["to_name"]) == (
        "rectanglelabels",
        "label",
        "image",
    )
    assert (region["original_width"], region["original_height"]) == (64, 48)
    assert region["value"] == {
        "rotation": 0,
        "x": 25,
        "y": 25,
        "width": 50,
        "height": 50,
        "rectanglelabels": ["dog"],
    }
    config = ElementTree.parse(tmp_path / "tasks.label_config.xml").getroot()
    assert [each.tag for each in config] == ["Image", "RectangleLabels"]


def test_a_url_stays(tmp_path: Path) -> None:
    url = "https://films.example/walk.mp4?part=1"
    fill(LabelStudioSink(tmp_path / "a.json", source(url), NAMES), results())
    [task] = json.loads((tmp_path / "a.json").read_text())
    assert task["data"] == {"video": url}
