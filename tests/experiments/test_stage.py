from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from toy_training import ToyExperiment, ToyStage

from faim.errors import FaimError
from faim.experiments.file import load_any_experiment
from faim.experiments.stage import stage_of
from faim.families.boxvos.experiment import BoxVosExperiment
from faim.families.boxvos.stage import BoxVosStage
from faim.families.yolox.experiments import (
    BaseExperiment,
    FaimExperiment,
    YolovExperiment,
    YolovIfemExperiment,
)
from faim.families.yolox.first_stage import FirstStage
from faim.families.yolox.second_stage import SecondStage


@pytest.mark.parametrize(
    ("kind", "stage"),
    [
        (BaseExperiment, FirstStage),
        (FaimExperiment, SecondStage),
        (YolovExperiment, SecondStage),
        (YolovIfemExperiment, SecondStage),
        (BoxVosExperiment, BoxVosStage),
        (ToyExperiment, ToyStage),
    ],
)
def test_whose_stage_it_is(kind: type[ToyExperiment], stage: type[ToyStage]) -> None:
    experiment = kind()
    found = stage_of(experiment)
    assert type(found) is stage
    assert found.experiment is experiment


@pytest.mark.parametrize("named", ["", "toy_training", "toy_training:Nothing", "no_module:Stage"])
def test_a_stage_that_is_not_there(named: str) -> None:
    class Lost(ToyExperiment):
        stage: ClassVar[str] = named

    with pytest.raises(FaimError) as caught:
        stage_of(Lost())
    assert str(caught.value).startswith(f"Lost: its stage {named!r} cannot be found (")
    assert str(caught.value).endswith("; expected module:Class of what it trains")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("faim.training.experiment", "FaimExperiment"),
        ("faim.masks.video.experiment", "BoxVosExperiment"),
    ],
)
def test_where_files_of_users_find_them(module: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"from {module} import {name}\n\nexp = {name}(max_epochs=3)\n")
    experiment = load_any_experiment(file)
    experiment.validate()
    assert (experiment.name, experiment.max_epochs) == ("mine", 3)
    assert stage_of(experiment).experiment is experiment


def test_experiments_alone_load_neither_lightning_nor_a_network() -> None:
    code = (
        "import sys, faim.experiments.file, faim.experiments.overrides, faim.experiments.stage\n"
        "print(sorted({'lightning', 'torch', 'yolox'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
