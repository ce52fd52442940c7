"""A model in hand is measured as its weights' file is."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import pytest
from rich.console import Console

from faim.data.coco_vid import CocoVid
from faim.data.synth import generate
from faim.errors import FaimError
from faim.evaluation.in_hand import evaluate_model
from faim.evaluation.run import EvalOptions, run_eval
from faim.families.yolox.checkpoint import load_model
from faim.weights import default_weights


@pytest.fixture(scope="module")
def synth(tmp_path_factory: pytest.TempPathFactory) -> CocoVid:
    """Two videos of three frames, of classes that the embedded weights know."""
    path = generate(
        tmp_path_factory.mktemp("synth"),
        videos=2,
        frames=3,
        size=128,
        classes=7,
        severity="easy",
        seed=1,
        progress=False,
    )
    return CocoVid(path)


@pytest.mark.parametrize("mode", ["frame", "global"])
def test_the_figures_are_those_of_an_evaluation(
    mode: Literal["frame", "global"], synth: CocoVid
) -> None:
    model = load_model(default_weights(), aggregate="none" if mode == "frame" else "auto")
    model.train()
    model.fspm.eval()
    before = {part: part.training for part in model.modules()}
    found = evaluate_model(model, synth, mode, "cpu")
    assert {part: part.training for part in model.modules()} == before
    options = EvalOptions(weights=default_weights(), data=synth.annotation_file, mode=mode)
    told = run_eval(options, Console(file=io.StringIO()))["modes"][mode]
    assert found == {name: told[name] for name in ("ap50", "ap75", "ap50_95")}
    assert found["ap50"] > 50


def test_an_image_that_is_gone(synth: CocoVid, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.json"
    file.write_text(synth.annotation_file.read_text())
    with pytest.raises(FaimError, match=f"^{tmp_path}/.*"):
        evaluate_model(load_model(default_weights()), CocoVid(file), "global", "cpu")
