"""Classes that TICAM does not decide keep the base detector's scores."""

import json
import math
from dataclasses import asdict, replace

import pytest
import torch
from graph_helpers import TorchRunner
from safetensors.torch import load_file, save_file
from yolov_models import pictures

from faim.errors import FaimError
from faim.families.yolox.aggregation import NoAggregation
from faim.families.yolox.checkpoint import load_model, save_checkpoint
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import FAIM, build_model
from faim.families.yolox.graph_detector import GraphDetector
from faim.families.yolox.join import Join
from faim.families.yolox.mask_learning import Decisions, learn_masks
from faim.nn.losses import Matches, refined_classification_loss, retention_loss
from faim.nn.nms import postprocess
from faim.stream.memory import MemoryBank
from faim.structures import FrameTargets, Picks, VideoSample
from faim.weights import default_weights

NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def models():
    """The embedded weights, and the same with two of their classes refined."""
    whole = load_model(default_weights())
    refined = whole.config.class_names[3:0:-2]
    part = build_model(replace(whole.config, refined_classes=refined))
    part.load_state_dict(whole.state_dict())
    return whole, part.eval()


def test_by_hand():
    logits = torch.tensor([[0.0, math.log(3), 2.0]])
    scores = torch.tensor([[0.1, 0.2, 0.3]])
    found = Join().probabilities(logits, scores, torch.tensor([False, True, False]))
    torch.testing.assert_close(found, torch.tensor([[0.1, 0.75, 0.3]]))
    assert torch.equal(Join().probabilities(logits, scores, None), logits.sigmoid())


@torch.inference_mode()
def test_other_classes_keep_the_base_detectors_scores(models):
    whole, part = models
    proposals = whole.propose(pictures(4))
    marks = torch.tensor(part.config.refined)
    assert marks.nonzero()[:, 0].tolist() == [1, 3]
    detector = GraphDetector(TorchRunner(part))
    for aggregator in (part.aggregator, detector.aggregator):
        expected, found = whole.aggregator.refine(proposals), aggregator.refine(proposals)
        torch.testing.assert_close(found[..., marks], expected[..., marks])
        assert not torch.equal(found[..., ~marks], expected[..., ~marks])
        assert torch.equal(found[..., ~marks], proposals.class_scores[..., ~marks])
        banks = [MemoryBank(3), MemoryBank(3)]
        for frame in range(4):
            key = proposals[frame]
            expected, own = whole.aggregator.step(key, banks[0].stacked())
            found, entry = aggregator.step(key, banks[1].stacked())
            torch.testing.assert_close(found[:, marks], expected[:, marks], rtol=1e-5, atol=1e-5)
            assert torch.equal(found[:, ~marks], key.class_scores[:, ~marks])
            banks[0].append(own)
            banks[1].append(entry)


@torch.inference_mode()
def test_their_detections_are_those_of_the_base_detector_alone(models):
    _, part = models
    proposals = part.propose(pictures(1))
    refined = part.aggregator.refine(proposals)[0]
    alone = NoAggregation().refine(proposals)[0]
    marks = torch.tensor(part.config.refined)
    expected, found = postprocess(proposals[0], alone), postprocess(proposals[0], refined)
    expected = expected[~marks[expected.class_ids]]
    found = found[~marks[found.class_ids]]
    assert len(expected.scores) > 0
    assert torch.equal(found.boxes, expected.boxes)
    assert torch.equal(found.scores, expected.scores)
    assert torch.equal(found.class_ids, expected.class_ids)


# -- the losses


def matches(label, iou):
    return Matches(torch.tensor(label), torch.tensor(label), torch.tensor(iou))


def test_only_refined_classes_count_in_the_loss():
    """IoU 0.8 with class 1 of the refined 1 and 2: class 0 has no part in it."""
    logits = torch.tensor([[[7.0, 2.0, -1.0]]], requires_grad=True)
    marks = torch.tensor([False, True, True])
    loss = refined_classification_loss(logits, matches([[1]], [[0.8]]), marks)
    p, q = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(1))
    assert loss.item() == pytest.approx(-0.8 * math.log(p) - 0.2 * math.log(1 - p) - math.log1p(-q))
    loss.backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[[0.0, p - 0.8, q]]]))


def test_an_object_of_a_class_that_is_not_refined_is_none_of_the_refined():
    logits = torch.tensor([[[7.0, 2.0]]])
    loss = refined_classification_loss(logits, matches([[0]], [[0.8]]), torch.tensor([False, True]))
    assert loss.item() == pytest.approx(math.log1p(math.exp(2)))


def test_what_no_label_covers_does_not_count():
    """A proposal on an unlabelled object is no background: no loss, no gradient."""
    logits = torch.tensor([[[0.0, 0.0], [5.0, -5.0]]], requires_grad=True)
    loss = refined_classification_loss(logits, matches([[1, -1]], [[1.0, 0.0]]))
    assert loss.item() == pytest.approx(2 * math.log(2))
    loss.backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[[0.5, -0.5], [0.0, 0.0]]]))


def test_the_base_detector_is_kept_where_no_label_is():
    """Objectness 0.3 and 0.1 of two without a label, towards 0.25 and 0.5 of class 1 alone."""
    logits = torch.tensor([[[9.0, 5.0], [7.0, 0.0], [7.0, 0.0], [1.0, 1.0]]], requires_grad=True)
    scores = torch.tensor([[[0.9, 0.1], [0.5, 0.25], [0.5, 0.5], [0.0, 0.0]]])
    valid = torch.tensor([[True, True, True, False]])
    picks = Picks(
        torch.zeros(1, 4).long(), torch.zeros(1, 4, 4), torch.tensor([[0.9, 0.3, 0.1, 0.0]]),
        scores, valid,
    )  # fmt: skip
    made = matches([[1, -1, -1, -1]], [[0.8, 0, 0, 0]])
    loss = retention_loss(logits, picks, made, torch.tensor([False, True]))
    assert loss.item() == pytest.approx(math.log(2))
    loss.backward()
    expected = torch.zeros(1, 4, 2)
    expected[0, 1, 1] = 0.75 * (0.5 - 0.25)
    torch.testing.assert_close(logits.grad, expected)
    nothing = retention_loss(logits, picks, matches([[1] * 4], [[0.8] * 4]))
    assert nothing.item() == 0


def test_its_weight_is_that_of_the_config():
    totals = []
    for weight in (0.0, 1.0, 3.0):
        config = FaimConfig(
            variant="nano", class_names=NAMES, mask_weight=0.0, retention_weight=weight
        )
        torch.manual_seed(0)
        model = FAIM(config).eval()
        nothing = FrameTargets(torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).long())
        with torch.no_grad():
            generator = torch.Generator().manual_seed(0)
            images = torch.rand(2, 3, 128, 128, generator=generator) * 255
            totals.append(model.training_losses(VideoSample(images, [nothing] * 2))["total"])
    assert totals[1] > totals[0]
    torch.testing.assert_close(totals[2] - totals[0], 3 * (totals[1] - totals[0]))


class ConstantMasks(torch.nn.Module):
    """Mask c of every proposal is `logits[c]` throughout, (C,)."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, features, boxes, frames, anchors):
        return self.logits[None, :, None, None].expand(len(boxes), -1, 4, 4)

    def level_of(self, features, boxes, anchors):
        return torch.zeros_like(anchors)


@pytest.mark.parametrize(("refined", "chosen"), [((), 0), (("b", "c"), 2)])
def test_the_mask_is_that_of_the_best_refined_class(refined, chosen):
    config = FaimConfig(variant="nano", class_names=NAMES, refined_classes=refined)
    box = torch.tensor([[0.0, 0, 16, 16]])
    truth = FrameTargets(
        box, torch.tensor([1]), torch.tensor([0]), torch.ones(1, 16, 16, dtype=torch.bool)
    )
    one = torch.ones(1, 1)
    picks = Picks(one.long(), box[None], one, torch.ones(1, 1, 3), one.bool())
    made = Decisions(picks, torch.tensor([[[9.0, 1.0, 2.0]]]), matches([[0]], [[1.0]]), [truth])
    masks = torch.tensor([0.0, 1.0, -2.0])
    levels = [torch.zeros(1, 1, 8 >> level, 8 >> level) for level in range(3)]
    learnt = learn_masks(ConstantMasks(masks), levels, made, config)
    assert learnt.loss.item() == pytest.approx(math.log1p(math.exp(-masks[chosen])))


def test_a_training_step_leaves_the_other_classes_alone():
    config = FaimConfig(
        variant="nano", class_names=NAMES, refined_classes=("b",), match_iou=0.0, mask_weight=0.0
    )
    model = FAIM(config).train()
    truth = FrameTargets(torch.tensor([[20.0, 30, 84, 94]]), torch.tensor([1]), torch.tensor([0]))
    losses = model.training_losses(VideoSample(torch.rand(2, 3, 128, 128) * 255, [truth, truth]))
    losses["refined"].backward()
    gradient = model.ticam.classifier.bias.grad
    assert gradient[1] != 0
    assert gradient[[0, 2]].tolist() == [0, 0]


# -- config and checkpoints


def test_the_config_keeps_them():
    config = FaimConfig(class_names=NAMES, refined_classes=("c", "a"))
    assert config.refined == (True, False, True)
    assert FaimConfig.from_json(config.to_json()) == config
    assert FaimConfig(class_names=NAMES).refined is None


@pytest.mark.parametrize("refined", [("d",), ("a", "a"), "a", (1,)])
def test_wrong_names(refined):
    with pytest.raises(FaimError, match=r"config: refined_classes is .*; expected"):
        FaimConfig(class_names=NAMES, refined_classes=refined)


def test_a_checkpoint_carries_them_through_new_names(tmp_path):
    config = FaimConfig(variant="nano", class_names=NAMES, refined_classes=("a", "c"))
    save_checkpoint(tmp_path / "w.safetensors", FAIM(config))
    assert load_model(tmp_path / "w.safetensors").config == config
    renamed = load_model(tmp_path / "w.safetensors", class_names=("x", "y", "z"))
    assert renamed.config.refined_classes == ("x", "z")
    assert renamed.ticam.refined.tolist() == [True, False, True]


def test_a_checkpoint_from_before_refines_all(tmp_path):
    model = FAIM(FaimConfig(variant="nano", class_names=NAMES))
    file = tmp_path / "w.safetensors"
    save_checkpoint(file, model)
    old = asdict(model.config)
    del old["refined_classes"]
    save_file(load_file(file), file, {"format": "faim", "config": json.dumps(old)})
    loaded = load_model(file)
    assert loaded.config == model.config
    assert loaded.ticam.refined is None
    assert loaded.state_dict().keys() == model.state_dict().keys()
