"""What a viewer sees, in the files and tables of `faim eval`."""

from __future__ import annotations

import io
from dataclasses import fields
from pathlib import Path

import pytest
from evaluation_cases import BOXES, MakeData, detections
from rich.console import Console

from faim.data.coco_vid import CocoVid
from faim.evaluation.classes import OtherClasses
from faim.evaluation.figures import as_dictionary, measure
from faim.evaluation.report import print_modes
from faim.evaluation.results_file import write_detections
from faim.evaluation.run import EvalOptions, run_eval
from faim.evaluation.run_folder import prepare_run_folder, write_run_folder
from faim.evaluation.viewer import ViewerFigures


def test_a_file_of_a_run_shows_a_viewer_the_same(data: CocoVid, tmp_path: Path) -> None:
    own = {t: detections((1, 0.9, BOXES[t - 1]), (0, 0.4, BOXES[0])) for t in (1, 2, 3, 5)}
    others = OtherClasses(("cow", "horse"), {2: detections((3, 0.6, BOXES[1]))})
    figures = {"stream": measure(data, own, others=others)}
    report = {"classes": list(data.classes), "modes": as_dictionary(figures)}
    prepare_run_folder(tmp_path / "run")
    write_run_folder(tmp_path / "run", data, report, {"stream": (own, others)})
    options = EvalOptions(
        detections=tmp_path / "run" / "detections_stream.json", data=data.annotation_file
    )
    console = Console(file=io.StringIO(), width=200)
    again = run_eval(options, console)["modes"]["file"]
    expected = report["modes"]["stream"]
    names = [field.name for field in fields(ViewerFigures)]
    assert {name: again[name] for name in names} == {name: expected[name] for name in names}
    # In frame 1 the cat lies on the dog, in 2 and 3 it still covers it by 36 / 44 and 32 / 48; the
    # horse is in frame 2.
    assert again["wrong_labels"] == pytest.approx(100 * 3 / 6)
    assert again["boxes_per_frame"] == 9 / 6
    # cat and dog in frames 1 and 2, cat and horse and dog and horse in 2
    assert again["double_names"] == pytest.approx(100 * 4 / 6)
    assert again["ghost_median"] is None
    text = console.file.getvalue()
    assert "unlabelled or false boxes / frame" in text
    assert "of other classes" not in text


def test_a_file_without_other_classes_says_so(data: CocoVid, tmp_path: Path) -> None:
    write_detections(tmp_path / "found.json", data, {1: detections((0, 0.9, BOXES[0]))})
    options = EvalOptions(detections=tmp_path / "found.json", data=data.annotation_file)
    report = run_eval(options, Console(file=io.StringIO()))
    assert report["modes"]["file"]["wrong_labels"] == pytest.approx(100 / 6)
    assert report["notes"] == [
        "the file has no detections of other classes than the data's: wrong labels and boxes are "
        "those of the data's classes"
    ]


def test_the_table_of_complete_labels(make_data: MakeData) -> None:
    data = make_data([[(1, BOXES[0], 7)], [], [], []])
    data.exhaustive = True
    dog = detections((1, 0.9, BOXES[0]))
    figures = {
        "frame": measure(data, {1: dog}),
        "stream": measure(data, dict.fromkeys((1, 2, 3, 4), dog)),
    }
    console = Console(file=io.StringIO(), width=100)
    print_modes(figures, "weights", "caption", console)
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:4]]
        for line in console.file.getvalue().splitlines()
        if len(cells := line.split("│")) > 3
    }
    assert rows["wrong labels %"] == ["0.0", "0.0"]
    assert rows["boxes / frame"] == ["0.25", "1.00"]
    assert rows["false boxes / frame"] == ["0.00", "0.75"]
    assert rows["ghost frames, median"] == ["0.00", "3.00"]
    assert rows["ghosts of over 2 frames %"] == ["0.0", "100.0"]
