"""A model as graphs of tensors in and tensors out, ready to be exported.

What depends on data (FSPM, NMS) stays between them, on the host:

    frame     images -> raw predictions and the features that proposals are cut from
    describe  features, cells around the proposals -> F_cls and F_ins; of YOLOV F_cls alone, its
              regression features come from "frame"
    step      F_cls and F_ins of one frame, a bank -> refined logits and the frame's own entry
    refine    F_cls and F_ins of many frames -> refined logits of them all

A base detector alone is its frame graph. The letters of the shapes are those of
`faim.structures`; k3, k4, k5 are the numbers of proposals on each level, N = B * n.
"""

from __future__ import annotations

from dataclasses import fields, replace

import torch
from torch import Tensor, nn

from faim.backends.axes import (
    MOST_FRAMES,
    MOST_IMAGES,
    MOST_SPARE,
    USUAL_IMAGES,
    Axis,
    batch_axis,
    side_axis,
)
from faim.backends.graph import Graph
from faim.backends.info import ExportInfo, Precision, checksum_of
from faim.families.yolox import patches
from faim.families.yolox.aggregation import NoAggregation
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import FAIM
from faim.families.yolox.ticam_detector import TicamDetector, VideoModel
from faim.families.yolox.yolov import YOLOV
from faim.nn.pyramid import LEVELS, STRIDES
from faim.nn.ticam import TICAM, TicamEntry
from faim.structures import Proposals

RAW = ("boxes", "objectness", "class_scores")
FEATURES = tuple(f"features_{level.lower()}" for level in LEVELS)
REGRESSION = tuple(f"reg_features_{level.lower()}" for level in LEVELS)
CELLS = tuple(f"cells_{level.lower()}" for level in LEVELS)
KEY = ("cls_features", "ins_features", "cls_guide", "ins_guide", "valid")
ENTRY = tuple(field.name for field in fields(TicamEntry))
#: What a step returns of an entry; the rest of it went in.
MADE = ("keys", "values", "unit_values", "first_round")


class FrameGraph(nn.Module):
    """(B, H, W, 3) uint8 BGR to raw predictions and features (B, h, w, D), one a level."""

    def __init__(self, model: VideoModel) -> None:
        """The features are the stems for TICAM, the ends of YOLOX's branch for affinity.

        Of YOLOV those of the regression branch follow.
        """
        super().__init__()
        self.detector = model.detector
        self.regression = isinstance(model, YOLOV)
        self.stems = isinstance(model, TicamDetector)
        self.alone = isinstance(model.aggregator, NoAggregation)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The outputs, in the order in which the graph names them."""
        # Floats before anything else: TensorRT does nothing with uint8 but converting it.
        pixels = images.to(next(self.detector.parameters()).dtype)
        output = self.detector(pixels.permute(0, 3, 1, 2))
        raw = (output.raw.boxes, output.raw.objectness, output.raw.class_scores)
        if self.alone:
            return raw
        features = output.stem_features if self.stems else output.cls_features
        if self.regression:
            features = features + output.reg_features
        # Channels last, and copied into that order: a patch is then a few long runs of memory.
        return (*raw, *(feature.float().permute(0, 2, 3, 1).contiguous() for feature in features))


class DescribeGraph(nn.Module):
    """`TicamDetector.patch_features`: features, cells, order to F_cls (N, D) and perhaps F_ins."""

    def __init__(self, model: TicamDetector) -> None:
        """`model` in eval mode."""
        super().__init__()
        self.model = nn.ModuleDict(model.patch_modules)
        self.patch_features = model.patch_features

    def forward(
        self, p3: Tensor, p4: Tensor, p5: Tensor, k3: Tensor, k4: Tensor, k5: Tensor, order: Tensor
    ) -> tuple[Tensor, ...]:
        """The outputs, in the order in which the graph names them."""
        dtype = next(self.model.parameters()).dtype
        features = [feature.to(dtype) for feature in (p3, p4, p5)]
        described = self.patch_features(features, (k3, k4, k5), order)
        return tuple(feature.float() for feature in described)


class StepGraph(nn.Module):
    """`TICAM.step`: a frame's proposals and a bank to logits (n, C) and the made half entry."""

    def __init__(self, ticam: TICAM) -> None:
        """`ticam` in eval mode."""
        super().__init__()
        self.ticam = ticam

    def forward(
        self,
        cls_features: Tensor,
        ins_features: Tensor,
        cls_guide: Tensor,
        ins_guide: Tensor,
        valid: Tensor,
        bank_keys: Tensor,
        bank_values: Tensor,
        bank_unit_values: Tensor,
        bank_first_round: Tensor,
        bank_valid: Tensor,
    ) -> tuple[Tensor, ...]:
        """Exporters name and shape each tensor by its place among the arguments."""
        dtype = self.ticam.linear1.weight.dtype
        bank = TicamEntry(
            keys=bank_keys.to(dtype),
            values=bank_values.to(dtype),
            unit_values=bank_unit_values.to(dtype),
            first_round=bank_first_round.to(dtype),
            valid=bank_valid,
        )
        key = proposals_of(cls_features, ins_features, cls_guide, ins_guide, valid)
        logits, entry = self.ticam.step(key, bank)
        return (logits, *(getattr(entry, name).float() for name in MADE))


class RefineGraph(nn.Module):
    """`TICAM.forward`: (m, n, ...) to logits (m, n, C)."""

    def __init__(self, ticam: TICAM) -> None:
        """`ticam` in eval mode."""
        super().__init__()
        self.ticam = ticam

    def forward(
        self,
        cls_features: Tensor,
        ins_features: Tensor,
        cls_guide: Tensor,
        ins_guide: Tensor,
        valid: Tensor,
    ) -> Tensor:
        """The outputs, in the order in which the graph names them."""
        return self.ticam(proposals_of(cls_features, ins_features, cls_guide, ins_guide, valid))


def info_of(
    model: VideoModel,
    graph: str,
    *,
    size: tuple[int, int] | None = None,
    batch: int | None = 1,
    dynamic_size: bool = False,
    precision: Precision = "fp32",
    made_with: dict[str, str] | None = None,
) -> ExportInfo:
    """The metadata of one of a model's graphs; `size` is the config's `test_size` by default."""
    config = model.config if size is None else replace(model.config, test_size=size)
    return ExportInfo(
        graph,
        config,
        _aggregation(model),
        batch,
        dynamic_size,
        precision,
        made_with or {},
        checksum_of(model),
    )


def _aggregation(model: VideoModel) -> str:
    """What the exported detector joins frames with: a model with TICAM has its graphs."""
    return "ticam" if isinstance(model, TicamDetector) else model.aggregator.name


def proposals_of(
    cls_features: Tensor, ins_features: Tensor, cls_guide: Tensor, ins_guide: Tensor, valid: Tensor
) -> Proposals:
    """Proposals as far as TICAM reads them: of the class scores only the best counts."""
    boxes = cls_features.new_zeros(*valid.shape, 4)
    return Proposals(boxes, ins_guide, cls_guide[..., None], cls_features, ins_features, valid)


def graphs_of(
    model: VideoModel,
    size: tuple[int, int],
    *,
    batch: int | None = 1,
    dynamic_size: bool = False,
) -> list[Graph]:
    """All graphs of a model.

    Args:
        model: in eval mode.
        size: height and width of the network input.
        batch: images at once; None leaves it open.
        dynamic_size: height and width stay open.
    """
    graphs = [_frame(model, size, batch, dynamic_size)]
    if isinstance(model, TicamDetector):
        graphs += [_describe(model, size, batch, dynamic_size), _step(model), _refine(model)]
    return graphs


def _frame(
    model: VideoModel, size: tuple[int, int], batch: int | None, dynamic_size: bool
) -> Graph:
    axes = {} if batch else {0: batch_axis()}
    if dynamic_size:
        axes |= {1: side_axis("height", size[0], 1), 2: side_axis("width", size[1], 1)}
    graph = FrameGraph(model).eval()
    outputs = RAW if graph.alone else RAW + FEATURES
    return Graph(
        name="frame",
        module=graph,
        inputs={"images": torch.zeros(batch or USUAL_IMAGES, *size, 3, dtype=torch.uint8)},
        outputs=outputs + REGRESSION if graph.regression else outputs,
        axes={"images": axes},
    )


def _describe(
    model: TicamDetector, size: tuple[int, int], batch: int | None, dynamic_size: bool
) -> Graph:
    images = batch or USUAL_IMAGES
    count, most = images * model.config.num_proposals, MOST_IMAGES * model.config.num_proposals
    inputs: dict[str, Tensor] = {}
    axes: dict[str, dict[int, Axis]] = {}
    for name, stride in zip(FEATURES, STRIDES, strict=True):
        sides = size[0] // stride, size[1] // stride
        inputs[name] = torch.zeros(images, *sides, model.config.feature_dim)
        axes[name] = {} if batch else {0: batch_axis()}
        if dynamic_size:
            axes[name][1] = side_axis(f"height_{stride}", size[0], stride)
            axes[name][2] = side_axis(f"width_{stride}", size[1], stride)
    for name in CELLS:
        inputs[name] = torch.zeros(count, patches.CELLS, dtype=torch.long)
        axes[name] = {0: Axis(name, 1, count, most + MOST_SPARE)}
    inputs["order"] = torch.arange(count)
    axes["order"] = {0: Axis("proposals", 1, count, most)}
    outputs = KEY[:2] if isinstance(model, FAIM) else KEY[:1]
    return Graph("describe", DescribeGraph(model).eval(), inputs, outputs, axes)


def _step(model: TicamDetector) -> Graph:
    config = model.config
    inputs = _key_inputs(config)
    axes: dict[str, dict[int, Axis]] = {name: {} for name in inputs}
    past = max(config.test_frames - 1, 2)  # an example of 1 would fix it to 1
    bank = empty_bank(config, past)
    for name in ENTRY:
        inputs[f"bank_{name}"] = getattr(bank, name)
        axes[f"bank_{name}"] = {0: Axis("past_frames", 1, past, MOST_FRAMES)}
    return Graph("step", StepGraph(model.ticam).eval(), inputs, ("logits", *MADE), axes)


def _refine(model: TicamDetector) -> Graph:
    frames = max(model.config.test_frames, 2)
    inputs = {
        name: torch.stack([tensor] * frames) for name, tensor in _key_inputs(model.config).items()
    }
    axes = {name: {0: Axis("frames", 1, frames, MOST_FRAMES)} for name in inputs}
    return Graph("refine", RefineGraph(model.ticam).eval(), inputs, ("logits",), axes)


def _key_inputs(config: FaimConfig) -> dict[str, Tensor]:
    count = config.num_proposals
    features, guide = torch.zeros(count, config.feature_dim), torch.zeros(count)
    tensors = (features, features, guide, guide, torch.ones(count, dtype=torch.bool))
    return {name: tensor.clone() for name, tensor in zip(KEY, tensors, strict=True)}


def empty_bank(config: FaimConfig, frames: int, device: torch.device | str = "cpu") -> TicamEntry:
    """`frames` past frames without a valid proposal, leading dimensions (frames, n)."""
    count, heads, dim = config.num_proposals, config.num_heads, config.feature_dim

    def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(frames, count, *shape, dtype=dtype, device=device)

    return TicamEntry(
        keys=zeros(2 * heads, dim // heads),
        values=zeros(heads, dim // heads),
        unit_values=zeros(heads, dim // heads),
        first_round=zeros(2 * dim),
        valid=zeros(dtype=torch.bool),
    )
