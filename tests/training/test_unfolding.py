from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from faim.data.converters.davis import convert_davis
from faim.experiments.stage import stage_of
from faim.families.yolox.checkpoint import load_checkpoint, save_checkpoint
from faim.families.yolox.ticam_detector import VideoModel
from faim.nn.unfolding import FILTER_NORMS, GAIN, unfold_norms
from faim.training.experiment import BaseExperiment, Experiment, FaimExperiment
from faim.training.module import TrainingModule, make_module

#: Scales of filters as an export leaves them.
SCALES = (0.08, 90.0)


def fold(model: nn.Module) -> None:
    """What an export does to every norm, with scales and biases as they come out of one."""
    generator = torch.Generator().manual_seed(5)
    for block in model.modules():
        if not isinstance(getattr(block, "bn", None), nn.BatchNorm2d):
            continue
        norm, weight = block.bn, block.conv.weight.data
        low, high = torch.tensor(SCALES).log().tolist()
        scale = torch.rand(len(weight), generator=generator).mul(high - low).add(low).exp()
        # What follows sees numbers of ordinary size all the same.
        weight.mul_((scale / scale.max()).view(-1, 1, 1, 1))
        norm.running_var.fill_(1 - norm.eps)
        norm.bias.data.normal_(generator=generator)


def norms_of(model: nn.Module) -> dict[str, nn.BatchNorm2d]:
    return {n: part for n, part in model.named_modules() if isinstance(part, nn.BatchNorm2d)}


@pytest.fixture
def folded_weights(base_weights: Path, base_experiment: BaseExperiment, tmp_path: Path) -> Path:
    stage = stage_of(replace(base_experiment, ckpt=str(base_weights)))
    model = stage.starting_model(stage.read_data())
    fold(model)
    path = tmp_path / "folded.safetensors"
    save_checkpoint(path, model)
    return path


def made(experiment: Experiment, weights: Path) -> tuple[TrainingModule, list[tuple[Tensor, ...]]]:
    """The module of a training that starts from these weights, and all its batches of one item."""
    stage = stage_of(replace(experiment, ckpt=str(weights)))
    data = stage.read_data()
    dataset: Any = stage.dataset(data)
    batches = [stage.collate([dataset[index]]) for index in range(len(dataset))]
    return make_module(stage.starting_model(data), stage, 4), batches


def maps(model: VideoModel, images: Tensor) -> list[Tensor]:
    training = model.training
    with torch.no_grad():
        found = model.eval().detector(images).maps
    model.train(training)
    return found


def test_the_output_stays_and_the_scales_become_sane(
    base_experiment: BaseExperiment, folded_weights: Path
) -> None:
    module, batches = made(base_experiment, folded_weights)
    model = module.model
    assert isinstance(model, VideoModel)
    images = batches[3][0]
    before = maps(model, images)
    assert unfold_norms(module, batches) == len(norms_of(model))
    assert module.training
    for old, new in zip(before, maps(model, images), strict=True):
        torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-4)
    low, high = FILTER_NORMS
    for block in model.modules():
        if isinstance(getattr(block, "bn", None), nn.BatchNorm2d):
            norms = block.conv.weight.detach().flatten(1).norm(dim=1)
            assert low * 0.999 <= float(norms.min()) <= float(norms.max()) <= high * 1.001


def test_what_a_filter_makes_varies_as_much_as_its_input_is_large(
    base_experiment: BaseExperiment, folded_weights: Path
) -> None:
    module, batches = made(base_experiment, folded_weights)
    unfold_norms(module, batches)
    block = module.model.detector.backbone.backbone.stem.conv
    inputs: list[Tensor] = []
    hook = block.conv.register_forward_pre_hook(lambda conv, given: inputs.append(given[0]))
    for images, *_ in batches:
        maps(module.model, images)
    hook.remove()
    square = float(torch.cat(inputs).square().mean())
    free = block.conv.weight.flatten(1).norm(dim=1) < 0.99 * FILTER_NORMS[1]
    assert free.any()
    spread = block.bn.running_var[free]
    wanted = torch.full_like(spread, GAIN**2 * square)
    torch.testing.assert_close(spread, wanted, rtol=1e-3, atol=0)


def test_the_statistics_are_those_of_the_training_images(
    base_experiment: BaseExperiment, folded_weights: Path
) -> None:
    """So that in training mode a batch is normalised by what it was before."""
    module, batches = made(base_experiment, folded_weights)
    unfold_norms(module, batches)
    stem = module.model.detector.backbone.backbone.stem.conv
    inputs: list[Tensor] = []
    hook = stem.bn.register_forward_pre_hook(lambda norm, given: inputs.append(given[0]))
    for images, *_ in batches:
        maps(module.model, images)
    hook.remove()
    values = torch.cat(inputs).transpose(0, 1).flatten(1).double()
    torch.testing.assert_close(
        stem.bn.running_mean.double(), values.mean(dim=1), rtol=1e-4, atol=1e-3
    )
    torch.testing.assert_close(
        stem.bn.running_var.double(), values.var(dim=1, correction=0), rtol=1e-3, atol=1e-4
    )


def test_only_what_trains_and_is_folded_changes(
    faim_experiment: FaimExperiment, folded_weights: Path
) -> None:
    """The video branch is a copy of folded layers; IFEM is new; the base is frozen."""
    module, batches = made(faim_experiment, folded_weights)
    before = copy.deepcopy(module.model.state_dict())
    module.eval()
    described = module.model.describe(module.model.detector(batches[0][0]))
    module.train()
    count = unfold_norms(module, batches)
    assert count == len(norms_of(module.model.video_branch))
    changed = {n for n, t in module.model.state_dict().items() if not torch.equal(t, before[n])}
    assert {name.split(".")[0] for name in changed} == {"video_branch"}
    module.eval()
    again = module.model.describe(module.model.detector(batches[0][0]))
    for old, new in zip(described[0] + described[1], again[0] + again[1], strict=True):
        torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-4)


def test_live_norms_on_a_folded_base_warn(
    faim_experiment: FaimExperiment, folded_weights: Path, base_weights: Path, logged: list[str]
) -> None:
    made(faim_experiment, folded_weights)
    made(replace(faim_experiment, live_norms=True), base_weights)
    assert not [line for line in logged if "folded" in line]
    made(replace(faim_experiment, live_norms=True), folded_weights)
    assert [line for line in logged if "folded" in line] == [
        f"live_norms=True: {folded_weights} has folded batch norms; they are put back with "
        "statistics of 64 training images, but those of each step's video change what the layers "
        "copied from it give; live_norms=False keeps it"
    ]


def test_live_norms_on_what_was_put_back_are_sound(
    faim_experiment: FaimExperiment, folded_weights: Path
) -> None:
    """A video that has the statistics of the training images changes nothing; before, all."""
    module, batches = made(replace(faim_experiment, live_norms=True), folded_weights)
    model = module.model
    stems = model.detector(batches[0][0]).stem_features
    assert module.train().training

    def change() -> float:
        """Of the video object branch's features by the live norms, relative to their size."""
        state = copy.deepcopy(model.state_dict())
        with torch.no_grad():
            live = model.video_branch.train()(stems)
            kept = model.video_branch.eval()(stems)
        model.load_state_dict(state)
        module.train()
        pairs = zip(live, kept, strict=True)
        return max(float((one - other).norm() / other.norm()) for one, other in pairs)

    assert change() > 0.5
    unfold_norms(module, batches[:1])
    assert change() < 1e-3


def test_trained_norms_and_fresh_ones_stay(
    base_experiment: BaseExperiment, base_weights: Path
) -> None:
    module, batches = made(base_experiment, base_weights)
    before = copy.deepcopy(module.model.state_dict())
    assert unfold_norms(module, batches) == 0
    after = module.model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_frozen_norms_keep_the_statistics_that_were_put_back(
    base_experiment: BaseExperiment, folded_weights: Path
) -> None:
    module, batches = made(replace(base_experiment, freeze_norm=True), folded_weights)
    unfold_norms(module, batches)
    norm = module.model.detector.backbone.backbone.stem.conv.bn
    before = norm.running_mean.clone()
    assert before.any()
    module.losses(*batches[0])["total"].backward()
    assert torch.equal(norm.running_mean, before)
    assert norm.weight.grad is not None


def test_a_training_says_so_once(
    base_experiment: BaseExperiment,
    folded_weights: Path,
    fit: Callable[..., Path],
    tmp_path: Path,
    logged: list[str],
) -> None:
    experiment = replace(base_experiment, ckpt=str(folded_weights), max_epochs=1)
    state = load_checkpoint(fit(experiment, tmp_path / "out"))[1]
    told = [line for line in logged if "folded into the convolutions" in line]
    assert len(told) == 1
    assert f"puts {len([n for n in state if n.endswith('running_mean')])} of them back" in told[0]
    assert all(tensor.isfinite().all() for tensor in state.values())
    fit(experiment, tmp_path / "out", resume=tmp_path / "out/last.ckpt")
    assert len([line for line in logged if "folded" in line]) == 1


def test_fine_tuning_an_exported_nano_keeps_what_it_knows(
    shared: Path, fit: Callable[..., Path], tmp_path: Path, logged: list[str]
) -> None:
    """YOLOX-Nano of COCO from an ONNX file, the default recipe, one class on real video."""
    data = tmp_path / "bear.json"
    convert_davis(shared / "data/davis_train", data, sequences={"bear": "bear"})
    experiment = BaseExperiment(
        variant="nano",
        name="bear",
        ckpt=str(shared / "weights/yolox_nano_coco.pth"),
        train_ann=str(data),
        val_ann=str(data),
        model={"test_size": (224, 224)},
        input_size=(224, 224),
        frame_stride=4,
        multiscale_range=0,
        max_epochs=2,
        batch_size=2,
        workers=0,
        accelerator="cpu",
    )
    fit(experiment, tmp_path / "out")
    ap50 = [float(line.split("AP50 ")[1].split(",")[0]) for line in logged if "AP50 " in line]
    assert len(ap50) == 3
    assert ap50[0] > 80
    assert ap50[-1] > 0.9 * ap50[0]
