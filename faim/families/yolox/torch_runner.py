"""The graphs in PyTorch itself."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from faim.backends.info import ExportInfo, GraphName, info_of
from faim.choices import Precision
from faim.errors import FaimError
from faim.families.yolox.graphs import Graph, graphs_of
from faim.families.yolox.ticam_detector import TicamDetector, VideoModel

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchRunner:
    """A `GraphRunner` over the modules of a model.

    Args:
        model: in eval mode; it is copied, and the copy moved to `device`.
        device: any that torch knows.
        precision: of the weights and of what they compute; TICAM and the decoding of boxes and
            scores are in float32 always. "auto" is fp16 on a GPU and fp32 elsewhere.
        compile: run the modules through `torch.compile`: a slow start, quicker afterwards.

    Raises:
        FaimError: the device cannot compute in that precision.
    """

    backend = "torch"

    def __init__(
        self,
        model: VideoModel,
        *,
        device: torch.device | str = "cpu",
        precision: Precision = "auto",
        compile: bool = False,
    ) -> None:
        """See the class."""
        self.device = torch.device(device)
        if precision == "auto":
            precision = "fp16" if self.device.type == "cuda" else "fp32"
        self.precision: str = precision
        # Of the weights as they are in their file: other backends say the same of them.
        self.info: ExportInfo = info_of(model, "frame", batch=None, dynamic_size=True)
        model = copy.deepcopy(model).to(self.device, _DTYPES[precision])
        if isinstance(model, TicamDetector):
            model.ticam.float()  # small, and its cosines are scaled by 25
        self._graphs: dict[GraphName, Graph] = {
            graph.name: graph for graph in graphs_of(model, model.config.test_size)
        }
        self._modules = {
            name: torch.compile(graph.module) if compile else graph.module
            for name, graph in self._graphs.items()
        }

    def run(self, graph: GraphName, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """See `GraphRunner.run`."""
        meta = self._graphs[graph]
        try:
            with torch.inference_mode():
                found = self._modules[graph](*(inputs[name] for name in meta.inputs))
        except (RuntimeError, NotImplementedError) as error:
            raise FaimError(
                f"backend torch: the {graph} graph fails on {self.device} in {self.precision} "
                f"({str(error).splitlines()[0]})"
            ) from error
        tensors = found if isinstance(found, tuple) else (found,)
        return dict(zip(meta.outputs, tensors, strict=True))
