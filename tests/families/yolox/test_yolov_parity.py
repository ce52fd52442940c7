"""A public YOLOV checkpoint, loaded as users do, against a recorded run of its implementation."""

import numpy as np
import pytest
import torch
from graph_helpers import TorchRunner

from faim.class_names import IMAGENET_VID_CLASSES
from faim.cli import main
from faim.families.yolox.checkpoint import load_model
from faim.families.yolox.graph_detector import GraphDetector
from faim.families.yolox.yolov import YOLOV
from faim.nn.nms import postprocess

#: Of scores; without AVX-512 the same code comes to within 3e-6 of the recorded run.
SCORES = 1e-6 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 1e-5


@pytest.fixture(scope="module")
def reference(request):
    shared = request.getfixturevalue("shared")
    return np.load(shared / "parity/yolov_w025.npz")


@pytest.fixture(scope="module", params=["loaded", "converted"])
def model(request, tmp_path_factory):
    source = request.getfixturevalue("shared") / "parity/yolov_w025.pth"
    if request.param == "converted":
        out = tmp_path_factory.mktemp("converted") / "yolov.safetensors"
        assert main(["convert", str(source), "--out", str(out)]) == 0
        source = out
    return load_model(source)


@pytest.fixture(scope="module")
def frames(reference):
    return torch.from_numpy(reference["frames_bgr_u8"])


@pytest.fixture(scope="module")
def proposals(model, frames):
    with torch.inference_mode():
        return model.propose(frames)


@pytest.fixture(scope="module")
def probabilities(model, proposals):
    with torch.inference_mode():
        return model.aggregator.refine(proposals)


def test_what_is_read_off_the_weights(model):
    config = model.config
    assert isinstance(model, YOLOV)
    assert config.architecture == "yolov"
    assert config.scales == (pytest.approx(0.333, abs=0.001), 0.25, False)
    assert config.title == "YOLOV (depth 0.333, width 0.25)"
    assert config.class_names == IMAGENET_VID_CLASSES
    assert (config.num_proposals, config.nms_test, config.test_size) == (30, 0.75, (576, 576))
    assert model.ticam.classifier.weight.shape == (30, 256)  # without the background


def test_the_same_anchors(model, frames, reference):
    with torch.inference_mode():
        picks = model.fspm(model.detector(frames).raw)
    assert picks.valid.all()
    np.testing.assert_array_equal(picks.index, reference["anchor_index"])


def test_proposals(reference, proposals):
    assert proposals.valid.all()
    flat = proposals.map(lambda tensor: tensor.flatten(0, 1))
    for name, expected, tolerance in (
        ("boxes", "boxes_xyxy", 1e-2),
        ("objectness", "obj_scores", SCORES),
        ("cls_features", "f_cls", 1e-4),
        ("ins_features", "f_reg", 1e-4),
    ):
        np.testing.assert_allclose(
            getattr(flat, name), reference[expected], rtol=0, atol=tolerance, err_msg=name
        )
    best = flat.class_scores.amax(-1)
    np.testing.assert_allclose(best, reference["cls_scores"], rtol=0, atol=SCORES)


def test_refined_logits(model, reference, proposals):
    with torch.inference_mode():
        logits = model.ticam(proposals)
    expected = reference["refined_logits"][:, :30]
    np.testing.assert_allclose(logits.reshape(240, 30), expected, rtol=0, atol=1e-3)


def test_detections(model, reference, proposals, probabilities):
    for frame in range(8):
        found = postprocess(
            proposals[frame],
            probabilities[frame],
            score_threshold=model.config.score_threshold,
            nms_threshold=model.config.nms_final,
        )
        assert_same_detections(found, reference[f"detections_{frame}"])


def test_the_runtime_computes_the_same(model, frames, proposals, probabilities):
    detector = GraphDetector(TorchRunner(model))
    with torch.inference_mode():
        found = detector.propose(frames)
        refined = detector.aggregator.refine(found)
    for name in ("boxes", "cls_features", "ins_features"):
        expected = getattr(proposals, name)
        torch.testing.assert_close(getattr(found, name), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(refined, probabilities, atol=1e-5, rtol=0)


def assert_same_detections(found, expected):
    """Every recorded detection has one of its class, score and box, and there are no others."""
    assert len(found.scores) == len(expected)
    scores = expected[:, 4] * expected[:, 5]
    order = np.argsort(-scores, kind="stable")
    np.testing.assert_allclose(found.scores, scores[order], rtol=0, atol=1e-5)
    rows = np.column_stack([found.boxes, found.scores, found.class_ids])
    for x1, y1, x2, y2, objectness, probability, label in expected:
        row = np.array([x1, y1, x2, y2, objectness * probability, label])
        distance = np.abs(rows - row)
        assert (distance <= [0.01, 0.01, 0.01, 0.01, 1e-5, 0]).all(axis=1).sum() == 1
