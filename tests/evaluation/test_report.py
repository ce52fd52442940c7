from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from faim.errors import FaimError
from faim.evaluation.average_precision import ApResult, Levels
from faim.evaluation.error_split import KINDS
from faim.evaluation.motion import SpeedResult
from faim.evaluation.report import ModeFigures, as_dictionary, missing_parts, print_modes
from faim.evaluation.stability import Stability
from faim.files import check_writable, write_json

FIGURES = {
    "frame": ModeFigures(
        ApResult(50.04, 40.0, 30.0, {"cat": Levels(50.04, math.nan, 30.0)}),
        Stability(80.0, math.nan),
        12.34,
    ),
    "stream": ModeFigures(
        ApResult(61.0, 41.0, 31.0, {"cat": Levels(61.0, 55.0, 31.0)}),
        Stability(90.0, 5.0),
        math.nan,
    ),
}


def test_tables_show_the_modes_side_by_side() -> None:
    console = Console(file=io.StringIO(), width=100)
    print_modes(FIGURES, "weights", "caption", console)
    text = console.file.getvalue()
    cells = {
        row.split("│")[1].strip(): row.split("│")[2:4] for row in text.splitlines() if "│" in row
    }
    assert [cell.strip() for cell in cells["AP50"]] == ["50.0", "61.0"]
    assert [cell.strip() for cell in cells["flips / 100"]] == ["-", "5.0"]
    assert [cell.strip() for cell in cells["ms a frame"]] == ["12.3", "-"]
    assert [cell.strip() for cell in cells["cat"]] == ["50.0 / - / 30.0", "61.0 / 55.0 / 31.0"]


def test_json_has_numbers_or_null(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    write_json(file, as_dictionary(FIGURES))
    content = json.loads(file.read_text())
    assert content["frame"]["flips_per_100"] is None
    assert content["frame"]["per_class"] == {"cat": {"ap50": 50.04, "ap75": None, "ap50_95": 30.0}}
    assert content["stream"]["ms_per_frame"] is None
    assert content["stream"]["found_share"] == 90.0
    assert list(tmp_path.iterdir()) == [file]


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FaimError, match="cannot make its folder"):
        check_writable(tmp_path / "file" / "figures.json")
    with pytest.raises(FaimError, match="expected a file name"):
        check_writable(tmp_path)
    with pytest.raises(FaimError, match="expected a file name"):
        check_writable(tmp_path / ("a" * 5000))
    check_writable(tmp_path / "new" / "figures.json")
    assert (tmp_path / "new").is_dir()


def test_parts_have_rows_and_missing_parts_a_sentence() -> None:
    nan = math.nan
    figures = ModeFigures(
        ApResult(
            50.0,
            40.0,
            30.0,
            {"cat": Levels(50.0, 40.0, 30.0)},
            {"small": Levels(nan, nan, nan), "large": Levels(60.0, 50.0, 45.0)},
        ),
        Stability(80.0, 1.0, 80.0, 2.0, 3.0, 4.0),
        nan,
        SpeedResult(
            {"slow": 70.0, "medium": nan, "fast": 20.0}, {"slow": 9, "medium": 0, "fast": 1}, 2
        ),
        {"S1": ApResult(51.0, 41.0, 31.0, {})},
        {"motion_blur": ApResult(33.0, 22.0, 11.0, {})},
        dict.fromkeys(KINDS, 7.0),
    )
    console = Console(file=io.StringIO(), width=100)
    print_modes({"stream": figures}, "weights", "caption", console)
    text = console.file.getvalue()
    rows = {
        row.split("│")[1].strip(): row.split("│")[2].strip()
        for row in text.splitlines()
        if "│" in row
    }
    for name, cell in {
        "AP50:95 large": "45.0",
        "AP50 slow motion": "70.0",
        "AP50 fast motion": "20.0",
        "AP75 of S1": "41.0",
        "AP50 motion blur": "33.0",
        "class switches / object": "2.0",
        "localisation": "7.0",
    }.items():
        assert rows[name] == cell
    assert not {"AP50:95 small", "AP50 medium motion"} & set(rows)
    assert missing_parts({"stream": figures}) == []
    assert "no instance_id" in missing_parts(FIGURES)[0]
    assert as_dictionary({"stream": figures})["stream"]["by_size"]["small"]["ap50"] is None


def test_names_are_printed_as_they_are() -> None:
    part = Levels(50.0, 40.0, 30.0)
    figures = ModeFigures(
        ApResult(50.0, 40.0, 30.0, {"[red]cat[/]": part, "[/dog]": part, ":cow:": part}),
        Stability(80.0, math.nan),
        math.nan,
        splits={"[/S1]": ApResult(51.0, 41.0, 31.0)},
    )
    console = Console(file=io.StringIO(), width=100)
    print_modes({"frame": figures}, "a[/b].safetensors", "/[bold]data[/x].json", console)
    text = console.file.getvalue()
    for name in ("[red]cat[/]", "[/dog]", ":cow:", "a[/b].saf", "/[bold]data[/x].json", "[/S1]"):
        assert name in text
