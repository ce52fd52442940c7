from __future__ import annotations

from pathlib import Path

import pytest
from evaluation_cases import MakeData, data_maker


@pytest.fixture
def make_data(tmp_path: Path) -> MakeData:
    return data_maker(tmp_path)
