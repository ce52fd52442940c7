"""The protocol of what runs exported graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from faim.backends.checksums import check_file
from faim.backends.info import ExportInfo
from faim.errors import FaimError


class GraphRunner(Protocol):
    """Runs the graphs of one exported model (see `faim.families.yolox.graphs`).

    Attributes:
        backend: "onnxruntime", "openvino" or "tensorrt".
        device: where the tensors that go in and come out live.
        precision: what the networks compute in, for people to read ("fp32", "bf16", "int8" ...).
        info: the metadata of the frame graph.
    """

    backend: str
    device: torch.device
    precision: str
    info: ExportInfo

    def run(self, graph: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One graph, tensors by name, contiguous and on `device`; in several threads at once, too.

        What comes out is overwritten by the next run of the same graph in the same thread, unless
        it is cloned.

        Raises:
            FaimError: the graph fails; the sentence says where.
        """
        ...


def graph_file(folder: Path, graph: str, extensions: Sequence[str]) -> Path:
    """The file of a graph, with the first of the extensions that there is.

    Raises:
        FaimError: there is none, or it is damaged (see `faim.backends.checksums`).
    """
    for extension in extensions:
        path = folder / f"{graph}{extension}"
        if path.is_file():
            check_file(path)
            if extension == ".xml":
                check_file(path.with_suffix(".bin"))  # its weights
            return path
    raise FaimError(
        f"{folder}: no {' or '.join(graph + extension for extension in extensions)}; expected a "
        "folder that faim export wrote"
    )
