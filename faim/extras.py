"""Optional libraries: what each extra of the distribution brings, and how to install it."""

from __future__ import annotations

from pathlib import Path

from faim.errors import FaimError

#: The project's name in package indexes, where `faim` is another project; the import is `faim`.
DISTRIBUTION = "faim-vod"
_ROOT = Path(__file__).resolve().parents[1]


def missing_package(purpose: str, package: str, extra: str) -> FaimError:
    """The sentence for an optional library that is not installed; `purpose` begins it."""
    return FaimError(
        f"{purpose}: the package {package} is not installed; expected it ({how_to_install(extra)})"
    )


def how_to_install(extra: str, *, root: Path = _ROOT) -> str:
    """What to type for an extra: from the checkout where the code runs from one.

    Where a wheel is installed, its own name makes pip add to it what the extra names.

    Args:
        extra: a key of `[project.optional-dependencies]`.
        root: the folder that the package `faim` lies in.
    """
    if (root / "pyproject.toml").is_file():
        return f"in {root}: pip install -c constraints.txt '.[{extra}]'"
    return f"pip install '{DISTRIBUTION}[{extra}]'"
