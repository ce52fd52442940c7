"""What an exported file says of itself."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

import torch

from faim.choices import MOST_BATCH
from faim.errors import FaimError
from faim.families.yolox.aggregation import NoAggregation
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.ticam_detector import TicamDetector, VideoModel
from faim.reading import parse_json, shown

Aggregation = Literal["ticam", "affinity", "none"]
GraphName = Literal["frame", "describe", "step", "refine"]
Precision = Literal["fp32", "fp16", "int8"]

#: Raised whenever graphs change so that older files no longer fit.
LAYOUT = 1
#: Where the JSON text stands in an ONNX file's properties and an OpenVINO model's runtime info.
KEY = "faim"


@dataclass(frozen=True)
class ExportInfo:
    """The metadata inside every exported file.

    Attributes:
        graph: which of the model's graphs the file holds.
        config: of the model, with its class names; `test_size` is the exported size.
        aggregation: what joins the frames; graphs other than "frame" exist for "ticam" alone.
        batch: images that go in at once; None where that is open.
        dynamic_size: height and width are open (multiples of 32).
        precision: of the weights.
        made_with: versions of faim and of the exporter's libraries, and for an engine its
            compute capability.
        weights: a checksum of the model's weights: graphs of one folder have the same.
    """

    graph: GraphName
    config: FaimConfig
    aggregation: Aggregation
    batch: int | None
    dynamic_size: bool
    precision: Precision
    made_with: dict[str, str]
    weights: str = ""

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
        if not expected - {"weights"} <= values.keys() <= expected:
            odd = sorted(values.keys() ^ expected)
            raise FaimError(
                f"{where}: its metadata cannot be read (missing or unknown: {shown(odd)}); "
                "expected a file of faim export"
            )
        if values["graph"] not in get_args(GraphName):
            raise FaimError(
                f"{where}: holds a graph {shown(values['graph'])}; expected a file of faim export"
            )
        for name, fits in _FITS.items():
            if name in values and not fits(values[name]):
                raise FaimError(
                    f"{where}: its {name} is {shown(values[name])}; expected a file of faim export"
                )
        try:
            config = FaimConfig.from_values(values["config"])
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
    "aggregation": get_args(Aggregation).__contains__,
    "batch": lambda value: value is None or (type(value) is int and 1 <= value <= MOST_BATCH),
    "dynamic_size": lambda value: isinstance(value, bool),
    "precision": get_args(Precision).__contains__,
    "made_with": _is_text_by_text,
    "weights": lambda value: isinstance(value, str),
}


def info_of(
    model: VideoModel,
    graph: GraphName,
    *,
    size: tuple[int, int] | None = None,
    batch: int | None = 1,
    dynamic_size: bool = False,
    precision: Precision = "fp32",
    made_with: dict[str, str] | None = None,
) -> ExportInfo:
    """The metadata of one of a model's graphs; `size` is the config's `test_size` by default."""
    if isinstance(model, TicamDetector):
        aggregation: Aggregation = "ticam"
    else:
        aggregation = "none" if isinstance(model.aggregator, NoAggregation) else "affinity"
    config = model.config if size is None else replace(model.config, test_size=size)
    return ExportInfo(
        graph,
        config,
        aggregation,
        batch,
        dynamic_size,
        precision,
        made_with or {},
        checksum_of(model),
    )


def checksum_of(model: VideoModel) -> str:
    """CRC-32 of all weights, in their order."""
    checksum = 0
    for name, tensor in model.state_dict().items():
        raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        checksum = zlib.crc32(raw, zlib.crc32(name.encode(), checksum))
    return f"{checksum:08x}"


def fingerprint_of(model: object) -> str:
    """`checksum_of` a model, whatever runs it; empty where there are no weights to tell by."""
    if isinstance(model, VideoModel):
        return checksum_of(model)
    info = getattr(getattr(model, "runner", None), "info", None)
    return info.weights if isinstance(info, ExportInfo) else ""


def check_same_model(info: ExportInfo, frame: ExportInfo, where: str) -> None:
    """Raise FaimError unless a graph belongs to the frame graph beside it."""
    for name in ("weights", "config", "aggregation", "batch", "dynamic_size"):
        if getattr(info, name) != getattr(frame, name):
            raise FaimError(
                f"{where}: holds the {info.graph} graph of another model or export than the frame "
                f"graph beside it (another {name}); expected the files of one export"
            )
