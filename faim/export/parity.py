"""Exported files against PyTorch, on frames that look like a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torchvision.ops import box_iou

from faim.backends.base import GraphRunner
from faim.backends.graph import Graph
from faim.backends.info import ExportInfo
from faim.data.transforms import letterbox, to_batch
from faim.detector import VideoDetector
from faim.errors import FaimError
from faim.nn.nms import detections_of
from faim.pictures.image import Image
from faim.runtime.select import over_graphs
from faim.stream.memory import MemoryBank
from faim.stream.steps import step
from faim.structures import Detections, TensorRecord

#: Frames that are compared, where the batch does not ask for more.
FRAMES = 3
#: Detections of a frame that are compared, best first.
BEST = 10
#: Overlap from which a detection of the same class is the same one.
SAME_IOU = 0.5


@dataclass(frozen=True)
class GraphDifference:
    """One output of one graph, both given what the graphs before it gave in PyTorch.

    Attributes:
        graph: the graph.
        output: the output's name.
        difference: largest absolute difference.
        largest: largest absolute value in PyTorch.
    """

    graph: str
    output: str
    difference: float
    largest: float


@dataclass(frozen=True)
class Parity:
    """How far exported files are from PyTorch in float32.

    Attributes:
        graphs: every output of every graph.
        frames: frames of the stream in which detections were compared.
        detections: the best `BEST` of each frame in PyTorch.
        matched: those with a detection of the same class and an IoU of 0.5 or more, one to one.
        box: largest difference of a coordinate among these, pixels of the network input.
        score: largest difference of a score among these.
    """

    graphs: tuple[GraphDifference, ...]
    frames: int
    detections: int
    matched: int
    box: float
    score: float


def measure_parity(
    model: VideoDetector, graphs: Sequence[Graph], exported: GraphRunner, frames: Sequence[Image]
) -> Parity:
    """Run a model and what was exported from it side by side.

    Args:
        model: in eval mode.
        graphs: that it was exported as.
        exported: runs the files.
        frames: a few of a video, of any size, (h, w, 3) uint8 BGR.

    Raises:
        FaimError: a graph fails, or gives numbers that are not finite.
    """
    info = exported.info
    images = _images(frames, info)
    recorder = _Recorder(graphs, info)
    expected = _stream(over_graphs(recorder), images, info)
    if info.aggregation != "none":
        # Which a stream does without.
        detector = over_graphs(recorder)
        detector.decide(_look(detector, images, info))
    differences = [
        difference
        for graph, (inputs, outputs) in recorder.calls.items()
        for difference in _compare(graph, exported, inputs, outputs)
    ]
    found = _stream(over_graphs(exported), images, info)
    return _parity(differences, expected, found)


def generated_frames(size: tuple[int, int], count: int = FRAMES) -> list[Image]:
    """Neighbouring frames of a SynthVID clip, (size, size, 3) with the longer side of `size`."""
    from faim.data.synth.writer import Recipe

    recipe = Recipe(frames=count, size=max(size), classes=8, severity="easy", seed=3)
    return [drawn.image for drawn in recipe.scene(0).draw()]


class _Recorder:
    """A `GraphRunner` over a model's graphs in PyTorch that keeps the last call of every one."""

    backend, precision = "torch", "fp32"
    device = torch.device("cpu")

    def __init__(self, graphs: Sequence[Graph], info: ExportInfo) -> None:
        self.graphs = {graph.name: graph for graph in graphs}
        self.info = replace(info, batch=None, dynamic_size=True)
        self.calls: dict[str, tuple[dict[str, Tensor], dict[str, Tensor]]] = {}

    def run(self, graph: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `GraphRunner.run`."""
        meta = self.graphs[graph]
        with torch.inference_mode():
            found = meta.module(*(inputs[name] for name in meta.inputs))
        tensors = found if isinstance(found, tuple) else (found,)
        outputs = dict(zip(meta.outputs, tensors, strict=True))
        self.calls[graph] = tuple(  # type: ignore[assignment]
            {name: tensor.clone() for name, tensor in named.items()} for named in (inputs, outputs)
        )
        return outputs


def _images(frames: Sequence[Image], info: ExportInfo) -> Tensor:
    """(B, 3, H, W) uint8 with as many frames as the frame graph wants, and at least `FRAMES`."""
    count = max(FRAMES, info.batch or 0)
    boxed = [letterbox(frame, info.config.test_size)[0] for frame in frames[:count]]
    return to_batch([boxed[index % len(boxed)] for index in range(count)])


def _look(detector: VideoDetector, images: Tensor, info: ExportInfo) -> TensorRecord:
    """In whole batches, so that a fixed one sees what it was exported for."""
    size = info.batch or len(images)
    whole = len(images) // size * size
    parts = [detector.look(part).map(Tensor.clone) for part in images[:whole].split(size)]
    return type(parts[0]).concatenate(parts)


@torch.inference_mode()
def _stream(detector: VideoDetector, images: Tensor, info: ExportInfo) -> list[Detections]:
    seen = _look(detector, images, info)
    count = len(next(iter(seen.tensors().values())))
    bank: MemoryBank[TensorRecord] = MemoryBank(count)
    found = []
    for index in range(count):
        scored, entry = step(detector, seen[index], bank)
        bank.append(entry)
        found.append(detections_of(scored.to("cpu"), detector.traits.least_score))
    return found


def _compare(
    graph: str,
    exported: GraphRunner,
    inputs: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
) -> list[GraphDifference]:
    placed = {name: tensor.to(exported.device) for name, tensor in inputs.items()}
    found = exported.run(graph, placed)
    differences = []
    for name, reference in expected.items():
        value = found[name].to("cpu", torch.float32)
        if not value.isfinite().all():
            raise FaimError(
                f"{graph}: output {name} of the exported graph is not finite; expected numbers "
                f"(export it with another --precision than {exported.info.precision})"
            )
        difference = (value - reference.float()).abs().max()
        differences.append(
            GraphDifference(graph, name, float(difference), float(reference.float().abs().max()))
        )
    return differences


def _parity(
    graphs: list[GraphDifference], expected: list[Detections], found: list[Detections]
) -> Parity:
    best = [detections[:BEST] for detections in expected]
    pairs = [_match(one, other) for one, other in zip(best, found, strict=True)]
    boxes = [float(difference) for box, _ in pairs for difference in box]
    scores = [float(difference) for _, score in pairs for difference in score]
    return Parity(
        graphs=tuple(graphs),
        frames=len(expected),
        detections=sum(len(detections.scores) for detections in best),
        matched=len(boxes),
        box=max(boxes, default=0.0),
        score=max(scores, default=0.0),
    )


def _match(expected: Detections, found: Detections) -> tuple[list[Tensor], list[Tensor]]:
    """Box difference and score difference of every expected detection that is found."""
    overlap = box_iou(expected.boxes, found.boxes)
    overlap[expected.class_ids[:, None] != found.class_ids] = 0
    boxes, scores = [], []
    for row in range(len(overlap) if overlap.numel() else 0):
        iou, column = overlap[row].max(dim=0)
        if iou >= SAME_IOU:
            overlap[:, column] = 0
            boxes.append((expected.boxes[row] - found.boxes[column]).abs().max())
            scores.append((expected.scores[row] - found.scores[column]).abs())
    return boxes, scores
