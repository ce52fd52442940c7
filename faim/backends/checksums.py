"""The checksums of an exported folder: a library that runs a damaged file may crash, or worse."""

from __future__ import annotations

import json
from pathlib import Path

from faim.errors import FaimError
from faim.files import sha256_of
from faim.reading import read_json

#: In every exported folder; those of earlier versions have none, and load unchecked.
NAME = "checksums.json"
_AGAIN = "expected the files as faim export wrote them: export it again"


def write_checksums(folder: Path) -> None:
    """Write down the SHA-256 of every file that lies in the folder now."""
    found = {path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.is_file()}
    (folder / NAME).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def check_file(path: Path) -> None:
    """Raise FaimError unless a file of an exported folder is as it was written.

    Raises:
        FaimError: see above; or it cannot be read, or the folder's checksums cannot.
    """
    place = path.parent / NAME
    if not place.is_file():
        return
    known = read_json(place, "the checksums of an exported folder")
    if path.name not in known:
        raise FaimError(f"{path}: is not among the files that {place} lists; {_AGAIN}")
    try:
        same = sha256_of(path) == known[path.name]
    except OSError as error:
        raise FaimError(f"{path}: cannot be read ({error.strerror or error}); {_AGAIN}") from error
    if not same:
        raise FaimError(f"{path}: is damaged, its checksum is another; {_AGAIN}")


def is_whole(folder: Path) -> bool:
    """Whether a folder has checksums, and every file that they name, as it was written."""
    try:
        names = read_json(folder / NAME, "the checksums of an exported folder")
        for name in names:
            check_file(folder / Path(name).name)
    except (FaimError, OSError):
        return False
    return bool(names)
