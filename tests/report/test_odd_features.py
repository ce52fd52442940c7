"""Feature tables that hold nothing, or what no map can be drawn of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report_cases import perfect, write_data, write_run

from faim.errors import FaimError
from faim.report.run_folder import read_run
from faim.report.sections import map_section


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    data = write_data(tmp_path / "data", images=False)
    return write_run(tmp_path / "mine", data, {"frame": perfect()})


def test_no_rows_are_too_few(run_folder: Path) -> None:
    for table in (np.zeros((0, 0)), np.zeros((0, 8))):
        np.savez(run_folder / "features.npz", labels=np.zeros(0, np.int64), before=table)
        said = map_section(read_run(run_folder), "mine")
        assert said == "mine: 0 proposals, too few for a map of features."


@pytest.mark.parametrize("before", [np.zeros((12, 0)), np.full((12, 3), 1e200), np.zeros(())])
def test_what_no_map_can_be_drawn_of(run_folder: Path, before: np.ndarray) -> None:
    np.savez(run_folder / "features.npz", labels=np.zeros(12, np.int64), before=before)
    with pytest.raises(FaimError, match=r"features\.npz: has arrays that do not fit"):
        map_section(read_run(run_folder), "mine")
