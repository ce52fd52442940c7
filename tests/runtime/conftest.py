from __future__ import annotations

import pytest
from runtime_helpers import FakeModel

from faim.runtime.pipeline import Detector


@pytest.fixture
def model() -> FakeModel:
    return FakeModel()


@pytest.fixture
def detector(model: FakeModel) -> Detector:
    return Detector(model, score_threshold=0.0)
