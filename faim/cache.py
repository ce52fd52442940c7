"""Where what is made or fetched once is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "FAIM_CACHE"


def cache_folder() -> Path | None:
    """$FAIM_CACHE, else faim in the user's cache folder.

    None for a user without a home.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "faim"
    except RuntimeError:
        return None
