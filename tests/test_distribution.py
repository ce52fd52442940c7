"""What is installed under which name, what the package holds, and what readers are told to type."""

import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from faim.errors import FaimError
from faim.extras import DISTRIBUTION, how_to_install, missing_package

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
#: `faim` or `faim[extra]` as a requirement: in package indexes that is another project.
NOT_OURS = re.compile(
    r"pip3? install[^\n`#|&;]*?[\s'\"]faim(?![\w./-])"
    rf"|(?<![\w./-])faim\[(?:{'|'.join(map(re.escape, EXTRAS))})\b",
    re.IGNORECASE,
)
#: The extras that a reader is told to install, from a checkout or by the distribution's name.
ASKED = re.compile(rf"(?:(?<=[\s'\"])\.|{DISTRIBUTION})\[([a-z0-9_,-]+)\]")


def texts():
    """Every text file that is kept in the repository, by its name."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("the tests do not lie in a git checkout")
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and path != Path(__file__).resolve():
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("pip install 'faim[openvino]'", True),
        ("pip install -c constraints.txt faim", True),
        ("`pip install faim`, then", True),
        ("or faim[onnxruntime]; found by itself", True),
        ("pip install -c constraints.txt '.[openvino]'", False),
        ("pip install -c constraints.txt . && .venv/bin/faim demo", False),
        ("pip install 'faim-vod[openvino]'", False),
        ("pip install ./faim", False),
        ("torch.equal(faim[name], tensor)", False),
    ],
)
def test_the_pattern_knows_other_projects(text, other):
    assert bool(NOT_OURS.search(text)) == other


def test_no_text_names_an_install_that_is_not_ours():
    found = [
        f"{name}: {match.group()}" for name, text in texts() for match in NOT_OURS.finditer(text)
    ]
    assert found == []


def test_every_extra_that_a_reader_is_told_to_install_is_there():
    asked = {
        (name, extra)
        for name, text in texts()
        for match in ASKED.finditer(text)
        for extra in match.group(1).split(",")
    }
    assert len({name for name, _ in asked}) > 5
    assert {(name, extra) for name, extra in asked if extra not in EXTRAS} == set()


def test_the_name_is_the_one_of_the_project():
    assert PROJECT["project"]["name"] == DISTRIBUTION == "faim-vod"
    assert PROJECT["project"]["scripts"] == {"faim": "faim.cli:main"}


def test_a_missing_package_is_told_with_what_installs_it(tmp_path):
    error = missing_package("backend openvino", "openvino", "openvino")
    assert isinstance(error, FaimError)
    assert str(error) == (
        "backend openvino: the package openvino is not installed; expected it "
        f"(in {ROOT}: pip install -c constraints.txt '.[openvino]')"
    )
    assert how_to_install("report", root=tmp_path) == "pip install 'faim-vod[report]'"


def test_users_see_the_types(tmp_path):
    """A type checker of another project believes the annotations of the installed package."""
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "faim").symlink_to(ROOT / "faim")
    (tmp_path / "script.py").write_text('import faim\n\nfaim.load("a.pth", conf="high")\n')
    python = environment / "bin/python"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file=",
            "--python-executable",
            python,
            "script.py",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert 'Argument "conf" to "load" has incompatible type "str"' in done.stdout, done.stdout


def test_the_wheel_holds_types_weights_and_experiments():
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["faim"]  # and with it every file in it that git does not ignore
    assert (ROOT / "faim/py.typed").read_text() == ""
    assert wheel["force-include"] == {
        "weights/faim_nano_synthvid.safetensors": "faim/weights/faim_nano_synthvid.safetensors",
        "exps": "faim/exps",
    }
    assert all((ROOT / name).exists() for name in wheel["force-include"])
