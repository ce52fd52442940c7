from __future__ import annotations

from pathlib import Path

import pytest
from report_cases import write_data


@pytest.fixture(scope="session")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("report_data"))
