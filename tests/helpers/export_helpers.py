"""What the tests of the export share."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from faim.export.request import ExportOptions
from faim.export.run import ExportResult, run_export
from faim.weights import default_weights

SIZE = (128, 128)


@dataclass(frozen=True)
class Exported:
    """A finished export and what it printed."""

    folder: Path
    result: ExportResult
    printed: str


Export = Callable[..., Exported]


def export_into(folder: Path, format: str, **values: Any) -> Exported:
    """Export the embedded weights, for 128x128 pixels."""
    text = io.StringIO()
    values = {"size": SIZE, "weights": default_weights(), **values}
    options = ExportOptions(format=format, out=folder, **values)  # type: ignore[arg-type]
    result = run_export(options, Console(file=text, width=200))
    return Exported(folder, result, text.getvalue())
