"""The table of families: what each brings, by the names of its modules, imported when needed."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from faim.errors import FaimError


@dataclass(frozen=True)
class Family:
    """A family of detectors. Values are "module:name", which `resolve` imports.

    Attributes:
        name: as its checkpoints and exported files say.
        load: from a checkpoint to a detector, `(path, *, aggregate, class_names)`, ready for
            inference on the CPU; see `faim.detector.VideoDetector`. It raises FaimError.
        config: the class of its config, with `from_values`, that reads a JSON object.
        graphs: the graphs of a model, `(model, size, *, batch, dynamic_size)`; None where it cannot
            be exported.
        graph_names: of all that there may be.
        graph_info: what their files say of themselves, `(model, graph, *, size, batch, …)`.
        over_graphs: from a runner of exported graphs to a detector, `(runner, *, aggregate)`.
        random_weights: writes weights of a named size that know nothing, `(name, folder, n)`, and
            gives None for a name that is none of its sizes.
        entries: kinds of entries in streams' banks, by the name that saved states have.
        suffixes: of checkpoints by other makers that it reads.
    """

    name: str
    load: str
    config: str
    graphs: str | None = None
    graph_names: tuple[str, ...] = ()
    graph_info: str | None = None
    over_graphs: str | None = None
    random_weights: str | None = None
    entries: Mapping[str, str] = field(default_factory=dict)
    suffixes: tuple[str, ...] = ()


_YOLOX = Family(
    name="yolox",
    load="faim.families.yolox.checkpoint:load_model",
    config="faim.families.yolox.config:FaimConfig",
    graphs="faim.families.yolox.graphs:graphs_of",
    graph_names=("frame", "describe", "step", "refine"),
    graph_info="faim.families.yolox.graphs:info_of",
    over_graphs="faim.families.yolox.graph_detector:GraphDetector",
    random_weights="faim.families.yolox.random_weights:write_random",
    entries={
        "ticam": "faim.nn.ticam:TicamEntry",
        "affinity": "faim.nn.affinity:AffinityEntry",
    },
    suffixes=(".pth", ".pt"),
)
#: Files written before there was more than one family are of this one.
FIRST = _YOLOX.name
_FAMILIES: dict[str, Family] = {_YOLOX.name: _YOLOX}


def register(family: Family) -> None:
    """Add a family that comes from elsewhere; one of the same name is replaced."""
    _FAMILIES[family.name] = family


def families() -> tuple[Family, ...]:
    """All that are known, in the order in which they came."""
    return tuple(_FAMILIES.values())


def family_of(name: object, where: object) -> Family:
    """A family by name.

    Raises:
        FaimError: there is none; names `where` it was asked for.
    """
    if not isinstance(name, str) or name not in _FAMILIES:
        raise FaimError(
            f"{where}: of a family of detectors {name!r}; expected one of {', '.join(_FAMILIES)}"
        )
    return _FAMILIES[name]


def resolve(place: str) -> Any:
    """What a "module:name" names."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)
