from dataclasses import replace

import pytest
import torch

from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import FAIM
from faim.structures import FrameTargets, VideoSample

# A fresh detector finds nothing: with an IoU of 0 every proposal still belongs to the truth.
CONFIG = FaimConfig(
    variant="nano", class_names=("a", "b", "c"), match_iou=0.0, max_mask_rois=6, mask_roi_size=8
)


def make_sample(frames=3, size=128, masks=True):
    """One bright square on noise, moving."""
    g = torch.Generator().manual_seed(1)
    images = torch.rand(frames, 3, size, size, generator=g) * 60
    targets = []
    for t in range(frames):
        box = torch.tensor([20.0 + 4 * t, 30, 84 + 4 * t, 94])
        x1, y1, x2, y2 = box.int().tolist()
        images[t, :, y1:y2, x1:x2] += 150
        mask = torch.zeros(1, size, size, dtype=torch.bool)
        mask[0, y1:y2, x1 : (x1 + x2) // 2] = True
        targets.append(
            FrameTargets(box[None], torch.tensor([1]), torch.tensor([0]), mask if masks else None)
        )
    return VideoSample(images, targets)


def test_losses_and_what_they_train():
    model = FAIM(CONFIG).train()
    losses = model.training_losses(make_sample())
    assert losses["matched"] > 0
    total = losses["detection"] + losses["refined"] + losses["mask"]
    torch.testing.assert_close(losses["total"], total)
    losses["total"].backward()
    for name, parameter in model.named_parameters():
        if name.startswith("detector."):
            assert parameter.grad is None, name
    for part in ("video_branch", "ifem", "ticam", "mask_head"):
        gradients = [p.grad.abs().sum() for p in model.parts[part].parameters() if p.requires_grad]
        assert sum(g > 0 for g in gradients) > len(gradients) / 3, part


def test_frozen_base_is_bit_identical_after_training():
    model = FAIM(CONFIG).train()
    before = {k: v.clone() for k, v in model.detector.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model.training_losses(make_sample())["total"].backward()
        optimizer.step()
    for name, tensor in model.detector.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert not model.detector.training
    assert model.video_branch.training


def test_base_can_train_too():
    model = FAIM(CONFIG)
    model.set_trainable(("base",))
    model.train()
    model.training_losses(make_sample())["total"].backward()
    assert model.detector.backbone.backbone.stem.conv.conv.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.ticam.parameters())
    assert not model.ticam.training


def test_masks_are_optional_without_lambda():
    model = FAIM(replace(CONFIG, mask_weight=0.0)).train()
    losses = model.training_losses(make_sample(masks=False))
    assert losses["mask"] == 0


def test_proposals_of_a_frame_do_not_depend_on_the_batch():
    model = FAIM(CONFIG).eval()
    images = make_sample().images
    with torch.inference_mode():
        together = model.propose(images)
        alone = model.propose(images[1:2])
    assert torch.equal(together.valid[1], alone.valid[0])
    torch.testing.assert_close(together.boxes[1], alone.boxes[0], atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(
        together.ins_features[1], alone.ins_features[0], atol=1e-4, rtol=0.01
    )


@pytest.mark.parametrize("kind", ["bce", "dice"])
def test_mask_of_the_class_that_ticam_predicts(kind):
    """Eq. 5: only the predicted class's channel of the mask head is trained."""
    model = FAIM(replace(CONFIG, mask_loss=kind)).train()
    with torch.no_grad():
        model.ticam.classifier.bias.copy_(torch.tensor([-50.0, -50.0, 50.0]))
    model.training_losses(make_sample())["mask"].backward()
    gradient = model.mask_head.predict.bias.grad
    assert gradient[:2].tolist() == [0, 0]
    assert gradient[2] != 0


def test_every_batch_norm_is_yoloxs():
    norms = [m for m in FAIM(CONFIG).modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.03)}


def test_one_mask_a_proposal():
    model = FAIM(replace(CONFIG, class_agnostic_masks=True)).train()
    assert model.mask_head.predict.out_channels == 1
    losses = model.training_losses(make_sample())
    losses["mask"].backward()
    assert model.ifem.conv.dconv.conv.weight.grad.abs().sum() > 0
