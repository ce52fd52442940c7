"""A detector over graphs against the model that they were cut from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

import pytest
import torch
from graph_helpers import TorchRunner
from torch import Tensor
from torch.nn import functional as F

from faim.backends.info import ExportInfo
from faim.errors import FaimError
from faim.families.yolox.aggregation import NoAggregation
from faim.families.yolox.checkpoint import Aggregate, load_model
from faim.families.yolox.faim import FAIM, YoloxVideo, build_model
from faim.families.yolox.graph_detector import GraphDetector
from faim.runtime.torch_detector import TorchDetector
from faim.stream.memory import MemoryBank
from faim.structures import Proposals, TensorRecord
from faim.weights import default_weights

#: All that 64x64 pixels have is 84 anchors, so that 100 proposals are never reached.
SIZES = {30: "some", 100: "padded"}


def embedded(aggregate: Aggregate, num_proposals: int = 30) -> FAIM | YoloxVideo:
    """The embedded weights, since fresh ones score all anchors alike and every choice is a tie."""
    model = load_model(default_weights(), aggregate=aggregate)
    config = replace(model.config, test_size=(64, 64), num_proposals=num_proposals)
    changed = build_model(config)
    changed.load_state_dict(model.state_dict())
    changed.aggregator = model.aggregator if aggregate == "none" else changed.aggregator
    return changed.eval()


@pytest.fixture(scope="module", params=SIZES, ids=SIZES.values())
def faim_model(request: pytest.FixtureRequest) -> FAIM:
    model = embedded("ticam", request.param)
    assert isinstance(model, FAIM)
    return model


@pytest.fixture(scope="module")
def yolox_model() -> YoloxVideo:
    model = embedded("affinity")
    assert isinstance(model, YoloxVideo)
    return model


def pictures(count: int, size: tuple[int, int] = (64, 64)) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand(count, 3, *(side // 8 for side in size), generator=generator)
    smooth = F.interpolate(coarse, size, mode="bicubic").clamp(0, 1)
    return (255 * smooth).to(torch.uint8)


def assert_same(one: TensorRecord, other: TensorRecord) -> None:
    """Within 1e-5, and boxes within 1e-4 pixels: the two order their memory differently."""
    for field in fields(one):
        tolerance = 1e-4 if field.name == "boxes" else 1e-5
        torch.testing.assert_close(
            getattr(one, field.name),
            getattr(other, field.name),
            rtol=tolerance,
            atol=tolerance,
            msg=lambda text, name=field.name: f"{name}: {text}",
        )


class FixedBatch:
    """A runner whose frame graph takes exactly `batch` images."""

    def __init__(self, runner: TorchRunner, batch: int) -> None:
        self.backend, self.device, self.precision = runner.backend, runner.device, runner.precision
        self.info: ExportInfo = replace(runner.info, batch=batch)
        self.given: list[int] = []
        self._runner = runner

    def run(self, graph: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if graph == "frame":
            self.given.append(len(inputs["images"]))
        return self._runner.run(graph, inputs)


@torch.inference_mode()
@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
@pytest.mark.parametrize("count", [1, 3])
def test_faim_proposals(faim_model: FAIM, count: int, size: tuple[int, int]) -> None:
    detector = GraphDetector(TorchRunner(faim_model))
    images = pictures(count, size)
    expected, found = faim_model.propose(images), detector.propose(images)
    assert found.valid.shape == (count, faim_model.config.num_proposals)
    assert found.valid.any(dim=1).all()
    if faim_model.config.num_proposals == 100 and size == (64, 64):
        assert not found.valid.all()
    assert found.ins_features.abs().sum() > 0
    assert_same(found, expected)


@torch.inference_mode()
def test_fixed_batch_with_a_short_last_one(faim_model: FAIM) -> None:
    runner = FixedBatch(TorchRunner(faim_model), 2)
    images = pictures(5)
    found = GraphDetector(runner).propose(images)
    assert runner.given == [2, 2, 2]
    assert_same(found, faim_model.propose(images))
    assert_same(GraphDetector(runner).propose(images[:1]), faim_model.propose(images[:1]))


@torch.inference_mode()
def test_ticam_in_a_stream_and_over_all(faim_model: FAIM) -> None:
    detector = GraphDetector(TorchRunner(faim_model))
    proposals = faim_model.propose(pictures(6))
    torch.testing.assert_close(
        detector.aggregator.refine(proposals),
        faim_model.aggregator.refine(proposals),
        rtol=1e-5,
        atol=1e-5,
    )
    banks = [MemoryBank[TensorRecord](3), MemoryBank[TensorRecord](3)]
    for frame in range(6):  # beyond the capacity
        key = proposals[frame]
        expected, own = faim_model.aggregator.step(key, banks[0].stacked())
        found, entry = detector.aggregator.step(key, banks[1].stacked())
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        assert_same(entry, own)
        banks[0].append(own)
        banks[1].append(entry)


@torch.inference_mode()
def test_unused_slots_of_the_bank_never_matter(faim_model: FAIM) -> None:
    aggregator = GraphDetector(TorchRunner(faim_model)).aggregator
    assert aggregator.padded
    proposals = faim_model.propose(pictures(3))
    bank: MemoryBank[TensorRecord] = MemoryBank(5)
    alone, entry = aggregator.step(proposals[0], None)
    bank.append(entry)
    bank.append(aggregator.step(proposals[1], bank.stacked())[1])
    stacked, padded = bank.stacked(), bank.padded()
    assert stacked is not None
    assert padded is not None
    assert (len(stacked.valid), len(padded.valid)) == (2, 5)  # type: ignore[attr-defined]
    expected = aggregator.step(proposals[2], stacked)[0]
    found = aggregator.step(proposals[2], padded)[0]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(expected, aggregator.step(proposals[2], None)[0], atol=1e-4)
    bank.reset()  # a bank of zeros is no bank
    torch.testing.assert_close(
        aggregator.step(proposals[0], bank.padded())[0], alone, rtol=1e-6, atol=1e-6
    )


@torch.inference_mode()
@pytest.mark.parametrize("count", [1, 3])
def test_affinity(yolox_model: YoloxVideo, count: int) -> None:
    detector = GraphDetector(TorchRunner(yolox_model))
    images = pictures(count)
    expected, found = yolox_model.propose(images), detector.propose(images)
    assert found.cls_features.shape[-1] == yolox_model.config.feature_dim
    assert_same(found, expected)
    torch.testing.assert_close(
        detector.aggregator.refine(found), yolox_model.aggregator.refine(expected)
    )
    runner = FixedBatch(TorchRunner(yolox_model), 2)
    assert_same(GraphDetector(runner).propose(images), expected)


@torch.inference_mode()
def test_base_detector_alone(yolox_model: YoloxVideo) -> None:
    runner = TorchRunner(yolox_model)
    images = pictures(2)
    expected = yolox_model.propose(images)
    detector = GraphDetector(TorchRunner(embedded("none")))
    assert isinstance(detector.aggregator, NoAggregation)
    found = detector.propose(images)
    assert found.cls_features.shape == (2, 30, 0)
    nothing = expected.boxes[..., :0]
    assert_same(found, replace(expected, cls_features=nothing, ins_features=nothing))
    assert torch.equal(detector.aggregator.refine(found), found.class_scores)
    # The graphs know nothing of one another: with affinity the frame graph gives features too.
    assert set(runner.run("frame", {"images": images.permute(0, 2, 3, 1)})) > {
        "boxes",
        "features_p3",
    }


def test_another_size_than_that_of_the_graphs(yolox_model: YoloxVideo) -> None:
    runner = FixedBatch(TorchRunner(yolox_model), 1)
    runner.info = replace(runner.info, dynamic_size=False)
    with pytest.raises(FaimError, match="size: 96x64 asked of a model exported for 64x64"):
        GraphDetector(runner).propose(pictures(1, (96, 64)))
    assert runner.given == []


@torch.inference_mode()
def test_the_model_itself_is_left_as_it_was(yolox_model: YoloxVideo) -> None:
    images = pictures(1)
    before = yolox_model.propose(images)
    half = TorchDetector(yolox_model, precision="bf16")
    assert half.traits.runs_on == "torch bf16"
    found = half.look(images)
    assert isinstance(found, Proposals)
    assert found.boxes.dtype == found.class_scores.dtype == torch.float32
    assert torch.equal(yolox_model.propose(images).boxes, before.boxes)
