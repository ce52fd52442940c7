"""Which runs and modes are compared, and whether they belong together."""

from __future__ import annotations

from pathlib import Path

import pytest
from report_cases import perfect, write_data, write_run

from faim.errors import FaimError
from faim.report.columns import check_same_file, make_columns, pick, read_runs


@pytest.fixture
def runs(tmp_path: Path, annotations: Path) -> list[Path]:
    both = {"frame": perfect(), "stream": perfect()}
    return [
        write_run(tmp_path / "a", annotations, both),
        write_run(tmp_path / "b", annotations, {"stream": perfect(), "global": perfect()}),
    ]


def test_every_run_in_every_mode(runs: list[Path]) -> None:
    columns = make_columns(read_runs(runs))
    assert [(c.number, c.label) for c in columns] == [
        (1, "a · frame"),
        (2, "a · stream"),
        (3, "b · stream"),
        (4, "b · global"),
    ]
    chosen = make_columns(read_runs(runs), ["stream"])
    assert [(c.number, c.label) for c in chosen] == [(1, "a · stream"), (2, "b · stream")]
    with pytest.raises(FaimError, match="--mode: 'file' given; expected one of frame, stream, glo"):
        make_columns(read_runs(runs), ["file"])


def test_runs_of_one_name_are_told_apart(tmp_path: Path, annotations: Path) -> None:
    folders = [
        write_run(tmp_path / where, annotations, {"frame": []}, name="faim_s")
        for where in ("x/eval", "y/eval", "z")
    ]
    titles = [column.title for column in make_columns(read_runs(folders))]
    assert titles == ["faim_s (x/eval)", "faim_s (y/eval)", "faim_s (z)"]


def test_picks_by_name_folder_or_number(runs: list[Path]) -> None:
    columns = make_columns(read_runs(runs))
    assert pick(columns, "b:global").number == 4
    assert pick(columns, f"{runs[0]}:stream").number == 2
    assert pick(columns, "3").number == 3
    assert pick(make_columns(read_runs(runs), ["frame"]), "a").number == 1
    with pytest.raises(FaimError, match=r"'a' fits several \(frame, stream\); expected RUN:MODE"):
        pick(columns, "a")
    with pytest.raises(FaimError, match="no 'c:frame' among the runs; expected two of a:frame"):
        pick(columns, "c:frame")


def test_refuses_the_same_run_twice(runs: list[Path]) -> None:
    with pytest.raises(FaimError, match="given twice"):
        read_runs([runs[0], runs[0] / ".." / "a"])


def test_refuses_other_classes_and_counts(runs: list[Path], tmp_path: Path) -> None:
    other = write_run(tmp_path / "o", tmp_path / "d.json", {"frame": []}, classes=["cat", "cow"])
    with pytest.raises(FaimError, match="evaluated on other classes than"):
        read_runs([runs[0], other])
    one = write_run(tmp_path / "p", tmp_path / "d.json", {"frame": []}, images=3)
    two = write_run(tmp_path / "q", tmp_path / "d.json", {"frame": []}, images=4)
    with pytest.raises(FaimError, match="evaluated on other images than"):
        read_runs([one, two])


def test_equal_copies_are_the_same_data(runs: list[Path], tmp_path: Path) -> None:
    copy = write_data(tmp_path / "copy", images=False)
    same = write_run(tmp_path / "c", copy, {"frame": []})
    check_same_file(read_runs([*runs, same]))
    copy.write_text(copy.read_text() + " ")
    with pytest.raises(FaimError, match="expected runs on the same data"):
        check_same_file(read_runs([*runs, same]))


def test_of_absent_files_the_names_decide(runs: list[Path], tmp_path: Path) -> None:
    away = write_run(tmp_path / "c", Path("/elsewhere/annotations.json"), {"frame": []})
    check_same_file(read_runs([runs[0], away]))
    other = write_run(tmp_path / "d", Path("/elsewhere/val.json"), {"frame": []})
    with pytest.raises(FaimError, match=r"on /elsewhere/val\.json"):
        check_same_file(read_runs([runs[0], other]))
