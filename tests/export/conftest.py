from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from export_helpers import SIZE, Export, Exported, export_into

from faim.export.parity import generated_frames
from faim.families.yolox.checkpoint import load_model
from faim.families.yolox.faim import FAIM, YoloxVideo
from faim.weights import default_weights


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Export the embedded weights into a new folder."""

    def run(format: str, **values: Any) -> Exported:
        return export_into(tmp_path_factory.mktemp("export") / "out", format, **values)

    return run


@pytest.fixture(scope="session")
def onnx_export(export: Export) -> Exported:
    """All four graphs in float32 for one image."""
    for package in ("onnx", "onnxsim", "onnxruntime"):
        pytest.importorskip(package)
    return export("onnx")


@pytest.fixture(scope="session")
def faim_nano() -> FAIM:
    model = load_model(default_weights())
    assert isinstance(model, FAIM)
    return model


@pytest.fixture(scope="session")
def base_nano() -> YoloxVideo:
    model = load_model(default_weights(), aggregate="affinity")
    assert isinstance(model, YoloxVideo)
    return model


@pytest.fixture(scope="session")
def clip() -> list[np.ndarray]:
    """Twelve neighbouring frames in which the embedded weights find objects."""
    return generated_frames(SIZE, 12)


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory, clip: list[np.ndarray]) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    for index, frame in enumerate(clip):
        cv2.imwrite(str(folder / f"{index:02}.png"), frame)
    return folder
