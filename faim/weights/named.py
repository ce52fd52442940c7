"""From the name of weights to their file."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from faim.cache import CACHE_VARIABLE, cache_folder
from faim.errors import FaimError
from faim.weights import EMBEDDED, default_weights
from faim.weights.known import KNOWN

#: The name of those that come with the package.
EMBEDDED_NAME = Path(EMBEDDED).stem


def weights_file(given: str | Path) -> Path:
    """The file or folder that weights are read from; fetched first where it is a name's.

    What exists under the working folder is a path, even if it is called as known weights are, and
    so is all that is no name. Fetched files are checked each time: their makers may not have
    changed them, and neither may anybody else.

    Args:
        given: a path, or a name that `faim weights` lists.

    Raises:
        FaimError: a name whose file cannot be had; says where to put it.
    """
    return fetched(os.fspath(given)) if _is_name(given) else Path(given)


def fetched(name: str) -> Path:
    """The file of a name, fetched unless it is there.

    Raises:
        FaimError: there is no such name, or see `weights_file`.
    """
    place, known = _place(name), KNOWN.get(name)
    if known is None:  # it came with the package
        return place
    if known.release is None:
        if not place.is_file():
            raise FaimError(
                f"{name}: lies on Google Drive, where only a browser can fetch it; expected the "
                f"file of {known.page} at {place}"
            )
        return place
    # Only here: every command imports this module, few fetch.
    from faim.weights.download import download, is_whole

    if not is_whole(place, known.release):
        download(known.release, place, name)
    return place


def place_of(given: str | Path) -> Path:
    """The path that is given, or of a name where its file lies, or would lie; fetches nothing.

    Raises:
        FaimError: there is no folder for it.
    """
    return _place(os.fspath(given)) if _is_name(given) else Path(given)


def weights_folder() -> Path:
    """Where fetched weights are kept.

    Raises:
        FaimError: the user has no home folder.
    """
    cache = cache_folder()
    if cache is None:
        raise FaimError(
            f"{CACHE_VARIABLE}: not set, and there is no home folder to keep weights in; expected "
            "a folder in it, or the path to a file of weights"
        )
    return cache / "weights"


def check_name(name: str) -> None:
    """Raises FaimError unless it is the name of known weights."""
    if name != EMBEDDED_NAME and name not in KNOWN:
        raise FaimError(f"{name}: no known weights have this name; expected {_names_like(name)}")


def expected_weights(given: str | Path) -> str:
    """What should have been given in the place of this, for errors."""
    return f"a checkpoint (.safetensors or .pth), or {_names_like(given)}"


def _names_like(given: str | Path) -> str:
    stem = Path(given).stem.lower().replace("-", "_")
    near = difflib.get_close_matches(stem, [*KNOWN, EMBEDDED_NAME], n=3)
    return f"a name that faim weights lists{', such as ' if near else ''}{', '.join(near)}"


def _is_name(given: str | Path) -> bool:
    name = os.fspath(given)
    known = name in KNOWN or name == EMBEDDED_NAME
    return known and not os.path.lexists(name)


def _place(name: str) -> Path:
    check_name(name)
    return default_weights() if name == EMBEDDED_NAME else weights_folder() / KNOWN[name].file
