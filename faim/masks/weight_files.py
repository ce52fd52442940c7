"""Which weights a method ran with."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from faim.errors import FaimError

#: Parts of a transformers folder that decide what its network computes.
_DECISIVE = (".safetensors", ".bin", ".json")


def identity(checkpoint: str | Path) -> dict[str, Any]:
    """What tells a checkpoint from others, for a file's provenance.

    Args:
        checkpoint: a file, a folder, or a name that a library downloads by.

    Returns:
        `checkpoint`, the name alone, and `sha256` of the file, or of the files of weights and
        settings of the folder; none for what is not here.

    Raises:
        FaimError: it cannot be read.
    """
    path = Path(checkpoint)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in _DECISIVE)
    elif path.is_file():
        files = [path]
    else:
        return {"checkpoint": str(checkpoint)}
    try:
        digests = [_digest(file) for file in files]
    except OSError as error:
        raise FaimError(f"{path}: cannot be read ({error.strerror}); expected weights") from error
    whole = digests[0] if path.is_file() else hashlib.sha256("".join(digests).encode()).hexdigest()
    return {"checkpoint": path.resolve().name, "sha256": whole}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
