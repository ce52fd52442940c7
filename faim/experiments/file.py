"""Reading experiment files."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

from faim.errors import FaimError
from faim.experiments.common import CommonExperiment, DetectorExperiment


def load_experiment(path: str | Path) -> DetectorExperiment:
    """The experiment of a detector; see `load_any_experiment`."""
    experiment = load_any_experiment(path)
    if not isinstance(experiment, DetectorExperiment):
        raise FaimError(
            f"{path}: is a {type(experiment).__name__}; expected the experiment of a detector, "
            "such as exps/faim_s.py"
        )
    return experiment


def load_any_experiment(path: str | Path) -> CommonExperiment:
    """Run an experiment file and take its `exp`, or an instance of its `Exp`.

    A relative path that is not there is looked for among the installed experiments too, so that
    `exps/faim_s.py` works anywhere.

    Raises:
        FaimError: no such file, or it fails or defines no experiment.
    """
    found = _find(Path(path))
    name = f"faim_experiment_{found.stem}"
    spec = importlib.util.spec_from_file_location(name, found, loader=_AsItIs(name, str(found)))
    if found.suffix != ".py" or spec is None or spec.loader is None:
        raise FaimError(f"{found}: not a Python file; expected an experiment such as faim_s.py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        experiment = module.exp if hasattr(module, "exp") else module.Exp()
    except FaimError as error:
        raise FaimError(f"{found}: {error}") from error
    except Exception as error:
        # The file is the user's code: whatever goes wrong in it is a wrong input.
        raise FaimError(
            f"{found}: {type(error).__name__}: {error}; expected a Python file that defines `exp`"
        ) from error
    if not isinstance(experiment, CommonExperiment):
        raise FaimError(
            f"{found}: exp is a {type(experiment).__name__}; expected a BaseExperiment, a "
            "FaimExperiment or a BoxVosExperiment"
        )
    experiment.name = experiment.name or found.stem
    return experiment


class _AsItIs(SourceFileLoader):
    """Without compiled files: they tell a file from its last version by second and length."""

    def get_code(self, fullname: str) -> CodeType:
        """Of the file as it is now."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _find(path: Path) -> Path:
    for candidate in _candidates(path):
        if os.path.isfile(candidate):  # noqa: PTH113 - is_file raises for names too long
            return candidate
    raise FaimError(f"{path}: no such experiment file; expected one such as exps/faim_s.py")


def _candidates(path: Path) -> Iterator[Path]:
    yield path
    if not path.is_absolute():
        package = Path(__file__).parents[1]
        # Installed beside the package, or the repository's own folder.
        for folder in (package, package / "exps", package.parent, package.parent / "exps"):
            yield folder / path
