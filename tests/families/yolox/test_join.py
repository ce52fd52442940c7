"""How TICAM's decision and the base detector's class scores become one (`FaimConfig.join`)."""

import json
from dataclasses import replace

import pytest
import torch
from graph_helpers import TorchRunner
from yolov_models import pictures

from faim.errors import FaimError
from faim.families.yolox.checkpoint import load_model, save_checkpoint
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import FAIM, build_model
from faim.families.yolox.graph_detector import GraphDetector
from faim.families.yolox.join import Join
from faim.structures import FrameTargets, VideoSample
from faim.weights import default_weights


@pytest.fixture(scope="module")
def untrained():
    """The embedded base detector with a TICAM that has learnt nothing."""
    known = load_model(default_weights())
    torch.manual_seed(0)
    model = build_model(replace(known.config, join="correction"))
    model.detector.load_state_dict(known.detector.state_dict())
    return model.eval()


def test_correction_by_hand():
    """Odds of 1 : 3 corrected by log 9 are 3 : 1; a certain score stays finite."""
    scores = torch.tensor([[0.25, 0.25, 0.0, 1.0]])
    corrections = torch.tensor([[0.0, 9.0, 0.0, 0.0]]).clamp(min=1).log()
    rule = Join("correction")
    found = rule.probabilities(corrections, scores, None)
    torch.testing.assert_close(found, torch.tensor([[0.25, 0.75, 1e-4, 1 - 1e-4]]))
    marks = torch.tensor([True, False, True, False])
    kept = rule.probabilities(corrections + 1, scores, marks)
    assert torch.equal(kept[:, ~marks], scores[:, ~marks])


def test_a_correction_by_hand_where_it_raises_and_where_it_lowers():
    """Odds of 1 : 1 times 3 squared, and over 3 to the power of a half; with 0 they stay."""
    scores, log3 = torch.full((1, 2), 0.5), 1.0986123
    corrections = torch.tensor([[log3, -log3]])
    found = Join("correction", up=2, down=0.5).probabilities(corrections, scores, None)
    torch.testing.assert_close(found, torch.tensor([[0.9, 1 / (1 + 3**0.5)]]))
    found = Join("correction", up=2, down=0).probabilities(corrections, scores, None)
    torch.testing.assert_close(found, torch.tensor([[0.9, 0.5]]))
    plain = Join("correction")
    assert (plain.up, plain.down) == (1, 1)
    expected = plain.logits(corrections, scores).sigmoid()
    assert torch.equal(plain.probabilities(corrections, scores, None), expected)
    assert (
        "lower one 0 times (model.correction_down), as partial labels"
        in Join("correction", up=2, down=0).describe()
    )
    assert "lower one 1 times (model.correction_down); training" in plain.describe()
    assert Join().describe() == ""
    # Training judges the whole of it.
    assert torch.equal(Join("correction", up=2, down=0).logits(corrections, scores), corrections)


def test_mean_by_hand():
    """The root of 0.25 · 0.81; with no share TICAM decides alone, with all the base detector."""
    logits, scores = torch.tensor([[-1.0986123, 2.0]]), torch.tensor([[0.81, 0.0]])
    found = Join("mean", 0.5).probabilities(logits, scores, None)
    torch.testing.assert_close(found, torch.tensor([[0.45, 0.0]]))
    for share, expected in ((0.0, logits.sigmoid()), (1.0, scores)):
        found = Join("mean", share).probabilities(logits, scores, None)
        torch.testing.assert_close(found, expected)
    assert torch.equal(Join("mean").logits(logits, scores), logits)


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
        refined = trained.aggregator.refine(proposals)
        graphs = GraphDetector(TorchRunner(trained)).aggregator.refine(proposals)
        corrections = trained.ticam(proposals)
        logits = trained(pictures(3))
    base = proposals.class_scores.logit(eps=1e-4)
    torch.testing.assert_close(logits, base + corrections)
    up, down = trained.config.correction_up, trained.config.correction_down
    expected = (base + torch.where(corrections > 0, up * corrections, down * corrections)).sigmoid()
    assert (expected - proposals.class_scores).abs().max() > 0.05
    for found in (refined, graphs):
        torch.testing.assert_close(found, expected)


def test_a_training_step_corrects():
    config = FaimConfig(
        variant="nano", class_names=("a", "b"), join="correction", match_iou=0.0, mask_weight=0.0
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


@torch.inference_mode()
def test_a_mean_of_the_embedded_weights():
    """Model and graphs alike: the geometric mean of what TICAM and the base detector say."""
    alone = load_model(default_weights())
    joined = build_model(replace(alone.config, join="mean", base_share=0.25)).eval()
    joined.load_state_dict(alone.state_dict())
    proposals = alone.propose(pictures(3))
    expected = alone.aggregator.refine(proposals) ** 0.75 * proposals.class_scores**0.25
    torch.testing.assert_close(joined.aggregator.refine(proposals), expected)
    found = GraphDetector(TorchRunner(joined)).aggregator.refine(proposals)
    torch.testing.assert_close(found, expected)


def test_checkpoint_and_config(tmp_path):
    config = FaimConfig(variant="nano", class_names=("a", "b"), join="mean", base_share=0.7)
    save_checkpoint(tmp_path / "w.safetensors", FAIM(config))
    assert load_model(tmp_path / "w.safetensors").join == Join.of(config)
    with pytest.raises(FaimError, match="config: join is 'sum'; expected one of replace, correct"):
        replace(config, join="sum")
    with pytest.raises(FaimError, match="config: base_share is 2; expected a number from 0 to 1"):
        replace(config, base_share=2)
    corrects = replace(config, join="correction", correction_up=3, correction_down=0.25)
    save_checkpoint(tmp_path / "w.safetensors", FAIM(corrects))
    assert load_model(tmp_path / "w.safetensors").join == Join("correction", 0.7, 3, 0.25)
    with pytest.raises(FaimError, match="correction_down is -1; expected a number from 0 to 100"):
        replace(config, correction_down=-1)


@pytest.mark.parametrize(("residual", "kind"), [(True, "correction"), (False, "replace")])
def test_files_from_when_there_were_two_rules(residual, kind):
    values = json.loads(FaimConfig(class_names=("a",)).to_json())
    for name in ("join", "base_share", "guide_ins", "correction_up", "correction_down"):
        del values[name]
    config = FaimConfig.from_json(json.dumps(values | {"residual": residual}))
    assert config.join == kind
    assert config.guide_ins is False
    assert (config.correction_up, config.correction_down) == (1, 1)  # all of it, as then
