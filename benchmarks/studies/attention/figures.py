"""How good the references of several models are, in numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from studies.attention.keys import Key
from studies.attention.references import KINDS, SAME, View, Weights

Shares = dict[str, float | None]
#: What is counted, and the title of its table.
COUNTED = {
    "top": "the top {} references",
    "mass": "the weight of all references, and how much of all weight that is (without: of 0)",
    "pool": "all references, each counted once: what chance would give",
}
#: Columns beside the kinds.
EXTRA = {
    "top": {"iou": "IoU", "iou_same": "IoU same"},
    "mass": {"elsewhere": "in all", "without": "without"},
}
NAMES: dict[Weights, str] = {
    "first": "first round",
    "class": "class map",
    "instance": "instance map",
    "second": "second round",
}


def figures(views: Sequence[View]) -> dict[str, Any]:
    """Means over key proposals, shares in percent, None where there is no value.

    Returns:
        `top`, `mass` and `pool`: percent of each of `KINDS`, see `View`; `iou` and `iou_same`: mean
        IoU of all top references with the object they overlap most, and of those that show the
        key's object with it; `elsewhere`: percent of what a key proposal takes that comes from
        other frames; `without`: key proposals that take nothing from them.
    """
    top = [each for view in views for each in view.top]
    return {
        "top": _shares([view.top_shares for view in views]),
        "mass": _shares([view.mass for view in views]),
        "pool": _shares([view.pool for view in views]),
        "iou": _mean([each.iou for each in top]),
        "iou_same": _mean([each.iou for each in top if each.kind == SAME]),
        "elsewhere": _mean([100 * view.elsewhere for view in views]),
        "without": sum(not view.top for view in views),
    }


def difference(
    keys: Sequence[Key], first: Sequence[View], second: Sequence[View]
) -> dict[str, dict[str, float | None]]:
    """How much more of the same object the second model takes than the first, in points.

    Args:
        keys: k.
        first: k views of the same keys.
        second: k.

    Returns:
        For `top` and `mass` the `mean` over videos of the videos' mean difference, and its
        `standard_error` (None with one video).
    """
    result = {}
    for name in ("top", "mass"):
        videos: dict[int, list[float]] = {}
        for key, one, other in zip(keys, first, second, strict=True):
            gain = 100 * float(_counted(other, name)[SAME] - _counted(one, name)[SAME])
            if not math.isnan(gain):
                videos.setdefault(key.video.video_id, []).append(gain)
        means = torch.tensor([sum(v) / len(v) for v in videos.values()], dtype=torch.float64)
        spread = float(means.std()) / math.sqrt(len(means)) if len(means) > 1 else None
        result[name] = {"mean": _mean(means.tolist()), "standard_error": spread}
    return result


def print_figures(report: Mapping[str, Any], console: Console) -> None:
    """The tables of a report of `attention.run`."""
    rows = {
        (name, which): row for name, each in report["models"].items() for which, row in each.items()
    }
    for what, title in COUNTED.items():
        extra = EXTRA.get(what, {})
        table = _table(title.format(report["references"]), [*KINDS, *extra.values()])
        for (name, which), row in rows.items():
            if what != "pool" or which == "first":  # which is the same for all weights
                cells = [_cell(row[what][kind]) for kind in KINDS]
                cells += [_cell(row[key], 3 if "iou" in key else 1) for key in extra]
                table.add_row(Text(name), "" if what == "pool" else NAMES[which], *cells)
        console.print(table)
    if report["differences"]:
        title = "same object, points more: mean over videos ± standard error"
        table = _table(title, ["of the top references", "of the weight"])
        for pair in report["differences"]:
            cells = [
                f"{_cell(pair[what]['mean'], sign='+')} ± {_cell(pair[what]['standard_error'])}"
                for what in ("top", "mass")
            ]
            names = Text(f"{pair['of']} than {pair['minus']}")
            table.add_row(names, NAMES[pair["weights"]], *cells)
        console.print(table)


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title)
    table.add_column("%")
    table.add_column("weights")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _counted(view: View, name: str) -> Tensor:
    return view.top_shares if name == "top" else view.mass


def _shares(every: Sequence[Tensor]) -> Shares:
    """Percent of each kind, over those that have a value."""
    known = [shares for shares in every if not shares.isnan().any()]
    if not known:
        return dict.fromkeys(KINDS)
    return dict(zip(KINDS, (100 * torch.stack(known).mean(dim=0)).tolist(), strict=True))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _cell(value: float | None, digits: int = 1, sign: str = "") -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:{sign}.{digits}f}"
