"""A model's graphs, run by torch and written as files."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from faim.backends import onnx_files
from faim.families.yolox.graphs import graphs_of, info_of
from faim.families.yolox.ticam_detector import VideoModel


class TorchRunner:
    """A `GraphRunner` over the graphs of a model in float32."""

    backend, precision = "torch", "fp32"
    device = torch.device("cpu")

    def __init__(self, model: VideoModel) -> None:
        model = copy.deepcopy(model)
        self.info = info_of(model, "frame", batch=None, dynamic_size=True)
        self.graphs = {graph.name: graph for graph in graphs_of(model, model.config.test_size)}

    def run(self, graph: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        meta = self.graphs[graph]
        with torch.inference_mode():
            found = meta.module(*(inputs[name] for name in meta.inputs))
        tensors = found if isinstance(found, tuple) else (found,)
        return dict(zip(meta.outputs, tensors, strict=True))


def write_onnx_folder(model: VideoModel, folder: Path, size: tuple[int, int] | None = None) -> None:
    size = size or model.config.test_size
    graphs = graphs_of(model, size)
    onnx_files.write_onnx_folder([(g, info_of(model, g.name, size=size)) for g in graphs], folder)
