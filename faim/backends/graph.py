"""A network as an exporter takes it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from faim.backends.axes import Axis


@dataclass(frozen=True)
class Graph:
    """A module with all that an exporter has to know of it.

    Attributes:
        name: as its family calls it; it is the name of its file.
        module: takes `inputs` in this order, returns tensors in the order of `outputs`.
        inputs: example tensors by name, of the usual lengths.
        outputs: names.
        axes: per input, the dimensions that may change.
    """

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    axes: dict[str, dict[int, Axis]]
