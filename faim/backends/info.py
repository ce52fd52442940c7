"""What an exported file says of itself."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Protocol, get_args

import torch
from torch import nn

from faim.choices import MOST_BATCH
from faim.errors import FaimError
from faim.reading import parse_json, shown
from faim.registry import FIRST, family_of, resolve

Precision = Literal["fp32", "fp16", "int8"]

#: Raised whenever graphs change so that older files no longer fit.
LAYOUT = 1
#: Where the JSON text stands in an ONNX file's properties and an OpenVINO model's runtime info.
KEY = "faim"


class ModelConfig(Protocol):
    """What the config of any family says of its model; a frozen dataclass of plain values."""

    test_size: tuple[int, int]

    @property
    def delicate(self) -> bool:
        """Whether the networks lose much in half precision."""
        ...


@dataclass(frozen=True)
class ExportInfo:
    """The metadata inside every exported file.

    Attributes:
        graph: which of the model's graphs the file holds.
        config: of the model, with its class names; `test_size` is the exported size.
        aggregation: what joins the frames, as `Traits.joins`.
        batch: images that go in at once; None where that is open.
        dynamic_size: height and width are open (multiples of 32).
        precision: of the weights.
        made_with: versions of faim and of the exporter's libraries, and for an engine its
            compute capability.
        weights: a checksum of the model's weights: graphs of one folder have the same.
        family: of the model.
    """

    graph: str
    config: Any
    aggregation: str
    batch: int | None
    dynamic_size: bool
    precision: Precision
    made_with: dict[str, str]
    weights: str = ""
    family: str = FIRST

    def to_json(self) -> str:
        """One JSON object."""
        values = asdict(self)
        return json.dumps({"layout": LAYOUT, **values})

    @classmethod
    def from_json(cls, text: str, where: str) -> ExportInfo:
        """Read what `to_json` wrote; `where` names the file in messages.

        Raises:
            FaimError: not such a text, or one of another layout.
        """
        if not text:
            raise FaimError(f"{where}: no metadata of faim in it; expected a file of faim export")
        return cls.from_values(parse_json(text, where, "the metadata of faim export"), where)

    @classmethod
    def from_values(cls, values: dict[str, Any], where: str) -> ExportInfo:
        """Of the fields in a JSON object; FaimError as `from_json`."""
        layout = values.get("layout")
        if type(layout) is int and layout != LAYOUT:
            raise FaimError(
                f"{where}: exported by another version of faim (layout {shown(layout)}); expected "
                f"layout {LAYOUT}: export it again"
            )
        expected = {"layout", *(field.name for field in fields(cls))}
        if not expected - {"weights", "family"} <= values.keys() <= expected:
            odd = sorted(values.keys() ^ expected)
            raise FaimError(
                f"{where}: its metadata cannot be read (missing or unknown: {shown(odd)}); "
                "expected a file of faim export"
            )
        family = family_of(values.get("family", FIRST), where)
        if values["graph"] not in family.graph_names:
            raise FaimError(
                f"{where}: holds a graph {shown(values['graph'])}; expected a file of faim export"
            )
        for name, fits in _FITS.items():
            if name in values and not fits(values[name]):
                raise FaimError(
                    f"{where}: its {name} is {shown(values[name])}; expected a file of faim export"
                )
        try:
            config = resolve(family.config).from_values(values["config"])
        except FaimError as error:
            raise FaimError(f"{where}: {error}") from error
        rest = {name: value for name, value in values.items() if name not in ("layout", "config")}
        return cls(config=config, **rest)


def _is_text_by_text(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


#: What each field may be in a file.
_FITS: dict[str, Callable[[Any], bool]] = {
    "layout": lambda value: type(value) is int,
    "config": lambda value: isinstance(value, dict),
    "aggregation": lambda value: isinstance(value, str),
    "batch": lambda value: value is None or (type(value) is int and 1 <= value <= MOST_BATCH),
    "dynamic_size": lambda value: isinstance(value, bool),
    "precision": get_args(Precision).__contains__,
    "made_with": _is_text_by_text,
    "weights": lambda value: isinstance(value, str),
}


def checksum_of(model: nn.Module) -> str:
    """CRC-32 of all weights, in their order."""
    checksum = 0
    for name, tensor in model.state_dict().items():
        raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        checksum = zlib.crc32(raw, zlib.crc32(name.encode(), checksum))
    return f"{checksum:08x}"


def check_same_model(info: ExportInfo, frame: ExportInfo, where: str) -> None:
    """Raise FaimError unless a graph belongs to the frame graph beside it."""
    for name in ("weights", "config", "aggregation", "batch", "dynamic_size"):
        if getattr(info, name) != getattr(frame, name):
            raise FaimError(
                f"{where}: holds the {info.graph} graph of another model or export than the frame "
                f"graph beside it (another {name}); expected the files of one export"
            )
