"""Selection and aggregation against a recorded run of the public YOLOV implementation."""

import numpy as np
import pytest
import torch

from faim.config import YOLOX_SCALES
from faim.models.base_detector import BaseDetector, gather_features
from faim.models.fspm import FSPM
from faim.models.postprocess import postprocess
from faim.models.ticam import TICAM
from faim.structures import Proposals


@pytest.fixture(scope="module")
def reference(request):
    shared = request.getfixturevalue("shared")
    return np.load(shared / "parity/yolov_w025.npz")


@pytest.fixture(scope="module")
def weights(request):
    shared = request.getfixturevalue("shared")
    content = torch.load(shared / "parity/yolov_w025.pth", weights_only=True)["model"]
    return {k: v.float() if v.is_floating_point() else v for k, v in content.items()}


@pytest.fixture(scope="module")
def run(reference, weights):
    """Base detector and FSPM on the recorded frames."""
    YOLOX_SCALES["test width 0.25"] = (0.33, 0.25, False)
    detector = BaseDetector("test width 0.25", 30).eval()
    del YOLOX_SCALES["test width 0.25"]
    new = ("trans", "linear", "cls_convs2")
    detector.load_state_dict({k: v for k, v in weights.items() if not any(n in k for n in new)})
    with torch.inference_mode():
        output = detector(torch.from_numpy(reference["frames_bgr_u8"]).float())
        # That implementation selects at 0.75 in testing too.
        picks = FSPM(nms_test=0.75).eval()(output.raw)
    return output, picks


@pytest.fixture(scope="module")
def proposals(reference, run):
    output, picks = run
    return Proposals(
        boxes=picks.boxes,
        objectness=picks.objectness,
        class_scores=picks.class_scores,
        cls_features=torch.from_numpy(reference["f_cls"]).view(8, 30, 64),
        ins_features=gather_features(output.reg_features, picks.index),
        valid=picks.valid,
    )


@pytest.fixture(scope="module")
def logits(weights, proposals):
    """TICAM with the regression features in the place of F_ins."""
    ticam = TICAM(64, 31).eval()
    names = {
        "qkv_cls.weight": weights["head.trans.msa.qkv_cls.weight"],
        "qk_ins.weight": weights["head.trans.msa.qkv_reg.weight"][:128],
    }
    for own, theirs in (
        ("linear1", "trans.linear1"),
        ("linear2", "trans.linear2"),
        ("classifier", "linear_pred"),
    ):
        for kind in ("weight", "bias"):
            names[f"{own}.{kind}"] = weights[f"head.{theirs}.{kind}"]
    ticam.load_state_dict(names)
    with torch.inference_mode():
        return ticam(proposals)


def test_selection(reference, run):
    picks = run[1]
    assert picks.valid.all()
    np.testing.assert_array_equal(picks.index.numpy(), reference["anchor_index"])
    np.testing.assert_allclose(picks.boxes.view(-1, 4), reference["boxes_xyxy"], atol=1e-3)
    np.testing.assert_allclose(picks.objectness.flatten(), reference["obj_scores"], atol=1e-6)
    best = picks.class_scores.amax(-1).flatten()
    np.testing.assert_allclose(best, reference["cls_scores"], atol=1e-6)


def test_features(reference, proposals):
    features = proposals.ins_features.reshape(-1, 64)
    np.testing.assert_allclose(features, reference["f_reg"], atol=1e-5)


def test_aggregation(reference, logits):
    np.testing.assert_allclose(logits.view(240, 31), reference["refined_logits"], atol=1e-4)


def test_final_step(reference, proposals, logits):
    for frame in range(8):
        found = postprocess(proposals[frame], logits[frame, :, :-1].sigmoid())
        expected = reference[f"detections_{frame}"]
        assert len(found.scores) == len(expected)
        scores = expected[:, 4] * expected[:, 5]
        order = np.argsort(-scores, kind="stable")
        np.testing.assert_allclose(found.scores, scores[order], atol=1e-5)
