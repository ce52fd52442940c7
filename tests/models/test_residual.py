"""TICAM as a correction of the base detector's class scores (`FaimConfig.residual`)."""

from dataclasses import replace

import pytest
import torch
from yolov_models import pictures

from faim.config import FaimConfig
from faim.errors import FaimError
from faim.models.aggregation import class_probabilities
from faim.models.checkpoint import load_model, save_checkpoint
from faim.models.faim import FAIM, build_model
from faim.runtime.backends.graph_detector import GraphDetector
from faim.runtime.backends.torch import TorchRunner
from faim.structures import FrameTargets, VideoSample
from faim.weights import default_weights


@pytest.fixture(scope="module")
def untrained():
    """The embedded base detector with a TICAM that has learnt nothing."""
    known = load_model(default_weights())
    torch.manual_seed(0)
    model = build_model(replace(known.config, residual=True))
    model.detector.load_state_dict(known.detector.state_dict())
    return model.eval()


def test_by_hand():
    """Odds of 1 : 3 corrected by log 9 are 3 : 1; a certain score stays finite."""
    scores = torch.tensor([[0.25, 0.25, 0.0, 1.0]])
    corrections = torch.tensor([[0.0, 9.0, 0.0, 0.0]]).clamp(min=1).log()
    found = class_probabilities(corrections, scores, None, residual=True)
    torch.testing.assert_close(found, torch.tensor([[0.25, 0.75, 1e-4, 1 - 1e-4]]))
    marks = torch.tensor([True, False, True, False])
    kept = class_probabilities(corrections + 1, scores, marks, residual=True)
    assert torch.equal(kept[:, ~marks], scores[:, ~marks])


@torch.inference_mode()
def test_untrained_it_is_the_base_detector(untrained):
    proposals = untrained.propose(pictures(3))
    assert proposals.valid.any()
    for aggregator in (untrained.aggregator, GraphDetector(TorchRunner(untrained)).aggregator):
        torch.testing.assert_close(
            aggregator.refine(proposals), proposals.class_scores, atol=2e-4, rtol=0
        )
        found, _ = aggregator.step(proposals[0], None)
        torch.testing.assert_close(found, proposals.class_scores[0], atol=2e-4, rtol=0)


def test_graphs_correct_as_the_model_does(untrained):
    trained = build_model(untrained.config).eval()
    trained.load_state_dict(untrained.state_dict())
    torch.nn.init.normal_(trained.ticam.classifier.weight, std=0.3)
    with torch.inference_mode():
        proposals = trained.propose(pictures(3))
        expected = trained.aggregator.refine(proposals)
        found = GraphDetector(TorchRunner(trained)).aggregator.refine(proposals)
    assert (expected - proposals.class_scores).abs().max() > 0.05
    torch.testing.assert_close(found, expected)
    with torch.inference_mode():
        logits = trained(pictures(3))
    torch.testing.assert_close(logits.sigmoid(), expected)


def test_a_training_step_corrects():
    config = FaimConfig(
        variant="nano", class_names=("a", "b"), residual=True, match_iou=0.0, mask_weight=0.0
    )
    torch.manual_seed(0)
    model = FAIM(config).train()
    truth = FrameTargets(torch.tensor([[20.0, 30, 84, 94]]), torch.tensor([1]), torch.tensor([0]))
    sample = VideoSample(torch.rand(2, 3, 128, 128) * 255, [truth, truth])
    before = model.training_losses(sample)["refined"]
    before.backward()
    assert model.ticam.classifier.bias.grad.abs().min() > 0
    with torch.no_grad():
        model.ticam.classifier.bias -= 0.1 * model.ticam.classifier.bias.grad.sign()
    assert model.training_losses(sample)["refined"] < before


def test_checkpoint_and_config(tmp_path):
    config = FaimConfig(variant="nano", class_names=("a", "b"), residual=True)
    save_checkpoint(tmp_path / "w.safetensors", FAIM(config))
    assert load_model(tmp_path / "w.safetensors").ticam.residual
    with pytest.raises(FaimError, match="config: residual is 1; expected true or false"):
        replace(config, residual=1)
