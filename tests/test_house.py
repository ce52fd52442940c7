"""The house stands: no import circle, no arrow up, and YOLOX within its own family alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from house import DOOR, PACKAGE, arrows_up, circles, imports_of, main, rooms

#: Imports every module outside of YOLOX's folder where `yolox` cannot be imported.
WITHOUT_YOLOX = """
import importlib, sys
sys.modules["yolox"] = None
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_no_circle_between_files_or_rooms() -> None:
    imports = imports_of()
    assert len(imports) > 300
    assert circles(imports) == []
    assert circles(rooms(imports)) == []


def test_arrows_point_down() -> None:
    assert arrows_up(imports_of()) == []


def test_a_circle_and_an_arrow_up_are_seen(tmp_path: Path) -> None:
    package = tmp_path / "faim"
    (package / "nn").mkdir(parents=True)
    for name, text in {
        "__init__.py": "",
        "errors.py": "def f():\n    from faim.nn import layer\n",
        "nn/__init__.py": "",
        "nn/layer.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from faim.errors import f\n",
    }.items():
        (package / name).write_text(text)
    imports = imports_of(package)
    assert circles(imports) == [["faim.errors", "faim.nn.layer"]]
    assert circles(rooms(imports)) == [["ground", "nn"]]
    assert arrows_up(imports) == [("faim.errors", "faim.nn.layer")]
    (package / "errors.py").write_text("import faim\n")
    assert arrows_up(imports_of(package)) == [("faim.errors", DOOR)]


def test_yolox_is_imported_by_its_family_alone() -> None:
    outside = [name for name in imports_of() if not name.startswith("faim.families.yolox")]
    # Files that users' experiments name offer YOLOX's too.
    outside.remove("faim.training.experiment")
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_YOLOX, *outside],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]


def test_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "house.svg"
    assert main(["--out", str(out)]) == 0
    assert "no circle, no arrow up" in capsys.readouterr().out
    assert "families" in out.read_text(encoding="utf-8")
