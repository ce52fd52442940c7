"""YOLOV and YOLOV with IFEM: their numbers, their gradients, and their public checkpoints."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_faim import CONFIG, make_sample
from yolov_models import embedded_yolov, pictures, public_names

from faim.errors import FaimError
from faim.families.yolox.checkpoint import load_checkpoint, load_model, save_checkpoint
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import FAIM, YoloxVideo, build_model
from faim.families.yolox.patches import locate
from faim.families.yolox.yolov import YOLOV, YolovIfem
from faim.nn.pyramid import gather_features
from faim.training.experiment import YolovExperiment

KINDS = {"yolov": YOLOV, "yolov_ifem": YolovIfem}


@pytest.fixture(scope="module")
def yolov():
    return embedded_yolov()


def learner(architecture, **changes):
    torch.manual_seed(0)
    return build_model(replace(CONFIG, architecture=architecture, **changes)).train()


@pytest.mark.parametrize(("height", "width", "count"), [(64, 64, 1), (96, 160, 3)])
def test_features_are_those_of_the_dense_branch_and_of_the_regression_branch(
    yolov, height, width, count
):
    images = pictures(count, (height, width))
    with torch.inference_mode():
        output = yolov.detector(images)
        picks = yolov.fspm(output.raw)
        branch, regression = yolov.dense_features(output)
        found = yolov.propose(images)
    torch.testing.assert_close(
        found.cls_features, gather_features(branch, picks.index), atol=1e-4, rtol=0
    )
    assert torch.equal(found.ins_features, gather_features(regression, picks.index))
    assert regression is output.reg_features
    assert found.cls_features.std() > 0.01


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 6), width=st.integers(1, 6), seed=st.integers(0, 2**16))
def test_patches_of_five_are_enough_at_any_position(height, width, seed):
    model = learner("yolov").eval()
    generator = torch.Generator().manual_seed(seed)
    sizes = [(4 * height, 4 * width), (2 * height, 2 * width), (height, width)]
    stems = [torch.randn(2, 64, *size, generator=generator) for size in sizes]
    index = torch.randint(21 * height * width, (2, 5), generator=generator)
    with torch.inference_mode():
        expected = gather_features(model.video_branch(stems), index)
        cells, order = locate(index, sizes)
        (found,) = model.patch_features([s.permute(0, 2, 3, 1) for s in stems], cells, order)
    torch.testing.assert_close(found.unflatten(0, (2, 5)), expected, atol=1e-4, rtol=0)


def test_ticam_is_the_same_as_faims():
    """With FAIM's F_ins in the place of the regression features the two decide alike."""
    model = embedded_yolov()
    faim = load_faim()
    with torch.inference_mode():
        proposals = faim.propose(pictures(3))
        assert torch.equal(model.ticam(proposals), faim.ticam(proposals))
        ours = model.propose(pictures(3))
        assert torch.equal(ours.boxes, faim.propose(pictures(3)).boxes)
        assert not torch.equal(ours.ins_features, proposals.ins_features)


def load_faim():
    from faim.weights import default_weights

    model = load_model(default_weights())
    assert isinstance(model, FAIM)
    return model


@pytest.mark.parametrize(
    ("architecture", "trained"),
    [
        ("yolov", ("video_branch", "ticam")),
        ("yolov_ifem", ("video_branch", "ifem", "ticam", "mask_head")),
    ],
)
def test_losses_and_what_they_train(architecture, trained):
    model = learner(architecture)
    assert type(model) is KINDS[architecture]
    assert model.config.train_parts == trained
    losses = model.training_losses(make_sample(masks=architecture == "yolov_ifem"))
    assert losses["matched"] > 0
    assert losses["refined"] > 0
    assert (losses["mask"] > 0) == (architecture == "yolov_ifem")
    total = losses["detection"] + losses["refined"] + losses["mask"]
    torch.testing.assert_close(losses["total"], total)
    losses["total"].backward()
    for name, part in model.parts.items():
        gradients = [p.grad for p in part.parameters()]
        moved = sum(g is not None and bool(g.abs().sum() > 0) for g in gradients)
        # Features are gathered at proposals, and these may all be of one level.
        assert moved >= len(gradients) / 3 if name in trained else moved == 0, name


def test_masks_shape_the_branch_but_not_the_attention():
    """L_mask of YOLOV with IFEM reaches IFEM and the video object branch, and TICAM nowhere."""
    model = learner("yolov_ifem")
    model.training_losses(make_sample())["mask"].backward()
    for name, reached in (("video_branch", True), ("ifem", True), ("ticam", False)):
        total = sum(
            float(p.grad.abs().sum()) for p in model.parts[name].parameters() if p.grad is not None
        )
        assert (total > 0) == reached, name


@pytest.mark.parametrize("architecture", KINDS)
def test_a_few_steps_lower_the_loss(architecture):
    model = learner(architecture)
    before = {name: tensor.clone() for name, tensor in model.detector.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    history = []
    for _ in range(6):
        losses = model.training_losses(make_sample())
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        history.append(float(losses["refined"].detach() + losses["mask"].detach()))
    assert torch.tensor(history).isfinite().all()
    assert history[-1] < 0.8 * history[0]
    for name, tensor in model.detector.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_at_inference_ifem_makes_no_difference():
    plain, learnt = embedded_yolov(), embedded_yolov("yolov_ifem")
    learnt.load_state_dict(plain.state_dict(), strict=False)
    images = pictures(3)
    with torch.inference_mode():
        assert torch.equal(plain(images), learnt(images))
        one, other = plain.propose(images), learnt.propose(images)
    assert torch.equal(one.cls_features, other.cls_features)
    assert list(learnt.patch_modules) == ["video_branch"]


def test_a_frames_result_does_not_depend_on_the_order_of_the_others(yolov):
    with torch.inference_mode():
        proposals = yolov.propose(pictures(4))
        logits = yolov.ticam(proposals)
        shuffled = yolov.ticam(proposals[torch.tensor([2, 0, 3, 1])])
    valid = proposals.valid[2]
    torch.testing.assert_close(shuffled[0][valid], logits[2][valid], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("architecture", KINDS)
def test_round_trip_and_other_aggregations(architecture, tmp_path):
    model = embedded_yolov(architecture)
    path = tmp_path / "w.safetensors"
    save_checkpoint(path, model)
    loaded = load_model(path, aggregate="ticam")
    assert type(loaded) is KINDS[architecture]
    assert loaded.config == model.config
    images = pictures(2)
    with torch.inference_mode():
        assert torch.equal(loaded(images), model(images))
        alone = load_model(path, aggregate="none")
        assert isinstance(alone, YoloxVideo)
        assert torch.equal(alone.propose(images).boxes, model.propose(images).boxes)


def test_a_public_checkpoint_of_a_named_variant(yolov, tmp_path):
    torch.save({"model": public_names(yolov), "start_epoch": 7}, tmp_path / "yolov.pth")
    loaded = load_model(tmp_path / "yolov.pth", class_names=yolov.config.class_names)
    config = loaded.config
    assert (config.variant, config.scale, config.nms_test) == ("nano", None, 0.75)
    assert config.title == "YOLOV-nano"
    trained = YolovExperiment(variant="nano").config(config.class_names)
    for name in ("nms_train", "nms_test", "nms_final"):
        assert getattr(config, name) == getattr(trained, name), name
    for name, tensor in yolov.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"head.agg.msa.qkv_cls.weight": 1}, r"has head\.agg\.msa\.qkv_cls\.weight, .*YOLOV\+\+"),
        ({"head.LocalAggregation.0.weight": 1}, r"has head\.LocalAggregation\.0\.weight"),
        ({"head.trans.linear1_obj.weight": 1}, r"has head\.trans\.linear1_obj\.weight"),
        ({"head.trans.linear2.bias": None}, r"weight ticam\.linear2\.bias is missing"),
        ({"backbone.backbone.stem.conv.conv.weight": None}, "backbone is not YOLOX's CSPDarknet"),
        ({"head.cls_preds.0.bias": None}, "no YOLOX weights in it"),
    ],
)
def test_checkpoints_of_other_networks(yolov, tmp_path, change, words):
    state = public_names(yolov)
    for name, value in change.items():
        if value is None:
            del state[name]
        else:
            state[name] = torch.zeros(value)
    path = tmp_path / "other.pth"
    torch.save({"model": state}, path)
    with pytest.raises(FaimError, match=words) as caught:
        load_model(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_yolox_of_no_named_size(tmp_path):
    config = FaimConfig(
        variant="tiny", scale=(0.67, 0.375, True), class_names=("a",), architecture="yolox"
    )
    model = build_model(config)
    assert FaimConfig.from_json(config.to_json()) == config
    assert config.feature_dim == 96
    torch.save(model.detector.state_dict(), tmp_path / "yolox.pth")
    read, _ = load_checkpoint(tmp_path / "yolox.pth")
    assert read.scales == (pytest.approx(2 / 3), 0.375, True)
    assert (read.variant, read.title) == ("tiny", "YOLOX (depth 0.667, width 0.375, depthwise)")
    found = load_model(tmp_path / "yolox.pth").state_dict()
    for name, tensor in model.state_dict().items():
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize(
    "scale", [(0.33, 0.25), (0.33, 0.25, 1), (0, 0.25, True), (0.33, 5, False), "nano"]
)
def test_a_wrong_scale_is_named(scale):
    with pytest.raises(FaimError, match="config: scale is"):
        replace(CONFIG, scale=scale)


def test_parts_that_an_architecture_has_not_are_left_out():
    assert replace(CONFIG, architecture="yolov").train_parts == ("video_branch", "ticam")
    config = replace(CONFIG, architecture="yolov", train_parts=("base", "ifem"))
    assert config.train_parts == ("base",)
    assert not config.learns_masks
    assert replace(CONFIG, architecture="yolov_ifem").learns_masks
