"""Options by one flat list of names, for tests that vary them one at a time."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from faim.evaluation.request import EvalOptions
from faim.groups import (
    BackendOptions,
    ExcerptOptions,
    MemoryOptions,
    PostOptions,
    SelectionOptions,
)
from faim.runtime.outputs import OutputOptions
from faim.runtime.pipeline import Detector
from faim.runtime.predict import PredictOptions

#: What `faim.load` calls fields that have a short name in their group.
_CALLED: dict[Any, dict[str, str]] = {
    MemoryOptions: {"bank_frames": "frames", "bank_policy": "policy"},
    PostOptions: {"post": "name", "post_model": "model"},
}


def _taken(kind: Any, flat: dict[str, Any]) -> Any:
    """The group of those of its fields that are in `flat`, which loses them."""
    called = _CALLED.get(kind, {})
    names = {each.name: each.name for each in fields(kind) if each.name not in called.values()}
    return kind(**{own: flat.pop(name) for name, own in (names | called).items() if name in flat})


def predict_options(source: Any, weights: Any, **flat: Any) -> PredictOptions:
    """A prediction's options."""
    return PredictOptions(
        source,
        weights,
        backend=_taken(BackendOptions, flat),
        memory=_taken(MemoryOptions, flat),
        post=_taken(PostOptions, flat),
        selection=_taken(SelectionOptions, flat),
        excerpt=_taken(ExcerptOptions, flat),
        outputs=_taken(OutputOptions, flat),
        **flat,
    )


def eval_options(**flat: Any) -> EvalOptions:
    """An evaluation's options."""
    flat = {"backend": "torch", "device": "cpu", **flat}
    return EvalOptions(
        backend=_taken(BackendOptions, flat),
        memory=_taken(MemoryOptions, flat),
        post=_taken(PostOptions, flat),
        **flat,
    )


def make_detector(model: Any, **flat: Any) -> Detector:
    """A detector of this model."""
    memory, selection = _taken(MemoryOptions, flat), _taken(SelectionOptions, flat)
    return Detector(model, memory=memory, selection=selection, **flat)
