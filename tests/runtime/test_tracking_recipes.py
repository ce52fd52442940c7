"""The recipes of docs/tracking.md and docs/predict.md, as they stand there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import supervision as sv
from pycocotools.coco import COCO
from runtime_helpers import flat_frames, write_video
from writer_helpers import Row, result

from faim.runtime.sinks import Result

DOCS = Path(__file__).parents[2] / "docs"


class Walking:
    """A detector whose one object, of 40 pixels, goes down 16 pixels a frame from y = 140."""

    score = 0.9
    class_names = ("dog", "cat")

    def __init__(self, track: int) -> None:
        self._track = track

    def stream(self, source: object) -> Iterator[Result]:
        image = np.zeros((480, 854, 3), np.uint8)
        for index in range(12):
            top = 140 + 16 * index
            rows: list[Row] = [(self._track, 0, self.score, (400, top, 440, top + 40))]
            yield result(index, rows, image=image, tracks=self._track >= 0)


def run(page: str, what: str, monkeypatch: pytest.MonkeyPatch, detector: object) -> dict[str, Any]:
    """Run the page's block of Python that has `what` in it."""
    monkeypatch.setattr("faim.load", lambda weights, **options: detector)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    [block] = [each for each in blocks if what in each]
    names: dict[str, Any] = {}
    exec(block, names)
    return names


def test_lines_and_zones_count_our_tracks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = run("tracking.md", "LineZone", monkeypatch, Walking(3))
    # All corners are below the line from frame 7 on; the zone goes by the middle of the lower side.
    assert (names["line"].in_count, names["line"].out_count) in {(1, 0), (0, 1)}
    inside = [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert inside == [int(140 + 16 * n + 40 >= 240) for n in range(12)]


def test_a_tracker_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("trackers")
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "walk.mp4", flat_frames(*[9] * 12))
    run("tracking.md", "ByteTrack", monkeypatch, Walking(-1))
    root = ElementTree.parse("walk.xml").getroot()
    shown = [
        [int(box.attrib["frame"]) for box in track if box.attrib["outside"] == "0"]
        for track in root.iterfind("track")
    ]
    # ByteTrack confirms with the second frame; the first box has no track.
    assert sorted(shown) == [[0], list(range(1, 12))]


def test_results_go_into_a_writer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "walk.mp4", flat_frames(*[9] * 12))
    run("predict.md", "CocoSink", monkeypatch, Walking(3))
    coco = COCO("walk.json")
    boxes = [each["bbox"] for each in coco.loadAnns(coco.getAnnIds(catIds=[1]))]
    assert boxes == [[400, 140 + 16 * n, 40, 40] for n in range(12)]


def test_what_a_tracker_gives_for_nothing_is_taken() -> None:
    """An empty `sv.Detections` has no class names."""
    from faim.runtime.sinks import Drawing, LineSink
    from faim.runtime.writers.boxes import boxes_of

    nothing = result(0, [])
    nothing = type(nothing)(nothing.frame, sv.Detections.empty())
    assert boxes_of(nothing) == []
    assert nothing.to_dict()["detections"] == []
    assert (Drawing().of(nothing) == 90).all()
    lines: list[str] = []
    LineSink(lines.append).write(nothing)
    assert lines == ["frame     0      0.00 s  -"]
