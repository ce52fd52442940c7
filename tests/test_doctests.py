"""The examples of the docstrings run, and say what is so."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "faim").rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0, "see what doctest printed"


def test_few_examples_are_only_shown() -> None:
    """What needs a file that nobody has cannot run; the first ones that users see can."""
    shown = [
        name
        for name in WITH_EXAMPLES
        if "+SKIP" in Path(importlib.import_module(name).__file__ or "").read_text()
    ]
    assert shown == ["faim.masks.evaluation.evaluate"]
    assert {"faim", "faim.runtime.calls", "faim.runtime.results"} <= set(WITH_EXAMPLES)
