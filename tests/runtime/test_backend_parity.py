"""The same detections from every backend that runs on a CPU, on 50 frames."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

import faim
from faim.choices import BackendName, Precision
from faim.data.coco_vid import CocoVid, read_frame
from faim.data.synth import generate
from faim.pictures.image import Image
from faim.runtime.pipeline import Mode
from faim.runtime.results import FrameResult
from faim.runtime.sources import open_source
from faim.weights import default_weights

FRAMES = 50
SHOWN = 0.3
#: Pixels of the network input, score, and the share of detections that may be further off.
FLOAT32 = (1.0, 0.01, 0.0)
#: Half precision decides a tie between two boxes of one object now and then otherwise.
HALF = (2.0, 0.03, 0.02)
CASES = [
    (case, mode, backend, precision, bounds)
    for backend, precision, bounds in (
        ("onnxruntime", "auto", FLOAT32),
        ("openvino", "fp32", FLOAT32),
        ("torch", "fp16", HALF),
    )
    for case, mode in (
        ("faim", "stream"),
        ("faim", "global"),
        ("yolox", "stream"),
        ("yolox", "frame"),
    )
    if bounds == FLOAT32 or mode != "global"
]


@pytest.fixture(scope="module", autouse=True)
def _graphs_are_exported_once(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAIM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def real_frames(shared: Path) -> list[Image]:
    """The first frames of ten DAVIS sequences."""
    root = shared / "data/davis/JPEGImages/480p"
    if not root.is_dir():
        pytest.skip("the DAVIS sequences are not beside this repository")
    frames: list[Image] = []
    for folder in sorted(root.iterdir())[:10]:
        frames += [frame.image for frame, _ in zip(open_source(folder), range(5), strict=False)]
    assert len(frames) == FRAMES
    return frames


@pytest.fixture(scope="module")
def synthetic_frames(tmp_path_factory: pytest.TempPathFactory) -> list[Image]:
    """Two clips of the classes that the embedded weights know."""
    path = generate(
        tmp_path_factory.mktemp("synth"),
        videos=2,
        frames=FRAMES // 2,
        size=256,
        classes=8,
        severity="hard",
        seed=20_000,
        progress=False,
    )
    return [read_frame(record) for record in CocoVid(path).frames]


def differences(reference: FrameResult, found: FrameResult) -> list[tuple[float, float]]:
    """Of every reference detection, how far its counterpart's sides and score are off."""
    pairs = []
    for box, score, label in zip(
        reference.xyxy, reference.confidence, reference.class_id, strict=True
    ):
        if score < SHOWN:
            continue
        same = np.flatnonzero(found.class_id == label)
        if not len(same):
            pairs.append((np.inf, np.inf))
            continue
        overlaps = box_iou(torch.from_numpy(box[None]), torch.from_numpy(found.xyxy[same]))[0]
        match = same[int(overlaps.argmax())]
        side = float(np.abs(found.xyxy[match] - box).max())
        pairs.append((side, abs(float(found.confidence[match] - score))))
    return pairs


@pytest.mark.parametrize(("case", "mode", "backend", "precision", "bounds"), CASES)
def test_same_detections_as_torch(
    case: str,
    mode: Mode,
    backend: BackendName,
    precision: Precision,
    bounds: tuple[float, float, float],
    request: pytest.FixtureRequest,
    of_torch: dict,
) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    real = case == "yolox"
    frames = request.getfixturevalue("real_frames" if real else "synthetic_frames")
    weights = default_weights()
    if real:
        weights = request.getfixturevalue("shared") / "weights/yolox_nano_coco.pth"
    pixels, score, excepted = bounds
    # What is just above the threshold in one may be just below it in the other.
    low = SHOWN - score

    def detect(backend: BackendName, precision: Precision) -> list[FrameResult]:
        # Tubelets would carry one frame's rounding on to the next ones.
        detector = faim.load(weights, backend=backend, precision=precision, conf=low, post="none")
        return detector.predict(frames, mode)

    if (case, mode, low) not in of_torch:
        of_torch[case, mode, low] = detect("torch", "fp32")
    expected, found = of_torch[case, mode, low], detect(backend, precision)
    # Boxes are in pixels of the frame.
    scale = max(frames[0].shape[:2]) / 416 if real else 1.0
    pairs = []
    for one, other in zip(expected, found, strict=True):
        pairs += differences(one, other) + differences(other, one)
    assert len(pairs) > FRAMES
    off = [pair for pair in pairs if pair[0] > pixels * scale or pair[1] > score]
    assert len(off) <= excepted * len(pairs), off


@pytest.fixture(scope="module")
def of_torch() -> dict:
    """Detections of torch in float32, by case and mode."""
    return {}
