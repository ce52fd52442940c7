"""The examples of the docstrings run, and say what is so."""

import doctest
import importlib
from pathlib import Path
from typing import Any

import pytest

import faim
from faim.data.coco_vid import CocoVid
from faim.data.synth import generate
from faim.evaluation.average_precision import evaluate_ap
from faim.postprocess.causal import CausalRepp
from faim.postprocess.pairs import PairModel
from faim.postprocess.repp import Repp
from faim.runtime.calls import Calls
from faim.runtime.drawing import Annotator
from faim.runtime.many import stream_many
from faim.runtime.pipeline import Detector
from faim.runtime.predict import run_predict
from faim.runtime.region import make_region
from faim.runtime.results import FrameResult
from faim.runtime.sources import open_source
from faim.stream.state import StreamState
from faim.weights import default_weights

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


@pytest.mark.parametrize(
    "called",
    [
        faim.load, faim, Detector.__call__, Detector.predict, Detector.stream, Detector.step,
        Detector.step_many, Calls.new_state, StreamState.copy, StreamState.save, FrameResult,
        FrameResult.save, FrameResult.to_json, FrameResult.without_pixels, open_source, stream_many,
        run_predict, make_region, Annotator, Repp.apply, CausalRepp.apply, PairModel.probability,
        PairModel.from_json, CocoVid, generate, evaluate_ap, default_weights,
    ],
    ids=lambda called: getattr(called, "__qualname__", called.__name__),
)  # fmt: skip
def test_what_users_call_shows_how(called: Any) -> None:
    assert ">>> " in (called.__doc__ or "")
