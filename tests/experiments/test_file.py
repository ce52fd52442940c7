"""Experiment files are read as they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from faim.errors import FaimError
from faim.experiments.file import load_any_experiment

TEXT = "from faim.training.experiment import FaimExperiment\nexp = FaimExperiment(variant='nano')\n"


def test_a_change_of_the_same_length_within_a_second_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "exp.py"
    for variant in ("nano", "tiny"):
        file.write_text(TEXT.replace("nano", variant))
        os.utime(file, (1_000_000_000, 1_000_000_000))
        assert load_any_experiment(file).variant == variant  # type: ignore[attr-defined]
    assert [path.name for path in tmp_path.iterdir()] == ["exp.py"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("exp = (", r"exp.py: SyntaxError: .*; expected a Python file that defines `exp`"),
        ("", r"exp.py: AttributeError: .*; expected a Python file that defines `exp`"),
        ("exp = 1 / 0", "exp.py: ZeroDivisionError: division by zero; expected a Python file"),
    ],
)
def test_what_is_no_experiment(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "exp.py"
    file.write_text(text)
    with pytest.raises(FaimError, match=sentence):
        load_any_experiment(file)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "exp.txt").write_text(TEXT)
    with pytest.raises(FaimError, match=r"exp.txt: not a Python file; expected an experiment"):
        load_any_experiment(tmp_path / "exp.txt")
