"""How benchmarks/ hangs together: programs over the parts of their studies over one shared lab."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
PROGRAMS = sorted(file.stem for file in FOLDER.glob("*.py"))
STUDIES = sorted(file.parent.name for file in FOLDER.glob("studies/*/__init__.py"))


def imported(file):
    """Names of the modules of benchmarks/ that a file imports, wherever it does so."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    own = {"lab", "studies", *PROGRAMS}
    return {name for name in names if name.split(".")[0] in own}


def studies_of(names):
    return {name.split(".")[1] for name in names if name.startswith("studies.")}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_imports_its_own_study_and_the_lab(program):
    names = imported(FOLDER / f"{program}.py")
    assert not {name.split(".")[0] for name in names} & {*PROGRAMS}
    assert studies_of(names) <= {program}


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_imports_itself_and_the_lab(study):
    assert study in PROGRAMS
    for file in (FOLDER / "studies" / study).glob("*.py"):
        names = imported(file)
        assert not {name.split(".")[0] for name in names} & {*PROGRAMS}, file
        assert studies_of(names) <= {study}, file


def test_the_lab_imports_itself_alone():
    for file in (FOLDER / "lab").glob("*.py"):
        assert {name.split(".")[0] for name in imported(file)} <= {"lab"}, file


def test_a_program_runs_by_its_file_from_anywhere(tmp_path):
    done = subprocess.run(
        [sys.executable, str(FOLDER / "fuzz.py"), "--help"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--subjects NAME" in done.stdout
