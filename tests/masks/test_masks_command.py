import dataclasses
import json
import os
import re
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from masks_helpers import content, masks_of, truth, write

from faim.cli import main
from faim.data.mask_encoding import encode
from faim.errors import FaimError
from faim.families.yolox.checkpoint import load_checkpoint
from faim.masks.grabcut import GrabCutMasks
from faim.masks.methods import METHODS, make_method, parse_fields
from faim.masks.preview import check_preview
from faim.pictures.writing import write_image
from faim.weights import default_weights

#: What makes the guide's trainings short.
BRIEFLY = [
    "model.size=(64,96)",
    "model.feature_dim=4",
    "model.mask_dim=4",
    "model.decoder_dims=(4,4,4,4)",
    "model.frames=2",
    "iterations_per_epoch=1",
    "max_epochs=1",
    "batch_size=1",
    "workers=0",
    "accelerator=cpu",
    "precision=32-true",
]

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/masks.md").read_text()


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write(tmp_path, content())


def faim(line):
    return main(shlex.split(line))


def refused(line, capsys):
    assert faim(line) == 2
    *bars, sentence = capsys.readouterr().err.strip().splitlines()
    assert all(bar.startswith("videos") for bar in bars)
    return sentence


def test_every_command_of_the_guide(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mydata").mkdir()
    made = write(tmp_path / "mydata", content((5,))).rename(tmp_path / "mydata/train.json")
    true = json.loads(made.read_text())
    for entry in true["annotations"]:
        entry["segmentation"] = encode(truth(entry["image_id"]))[0]
        entry["area"] = int(truth(entry["image_id"]).sum())
    (tmp_path / "mydata/true.json").write_text(json.dumps(true))
    training_files(tmp_path, true)
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    assert len(lines) >= 8
    for line in lines:
        name, *arguments = shlex.split(line)
        if name == "python":
            assert arguments.pop(0) == "tools/train.py"
            arguments = ["train", *arguments, *BRIEFLY]
            if not any(word.startswith("backbone_weights") for word in arguments):
                arguments.append("backbone_weights=random")  # without a download
        assert main(arguments) == 0, f"{line}: {capsys.readouterr().err}"
    for sheet in ("boxes.png", "masks.png"):
        assert cv2.imread(str(tmp_path / sheet)).shape[2] == 3
    parameters = json.loads((tmp_path / "mydata/train.masks.json").read_text())["info"]["masks"]
    assert parameters["parameters"]["iterations"] == 3
    assert parameters["parameters"]["longest"] == 240


def training_files(folder, true):
    """What the guide's commands for the video method read."""
    for image in true["images"]:
        image["file_name"] = str((folder / "mydata" / image["file_name"]).resolve())
    names = ("youtube_vos/train", "davis2017/train", "davis2016", "synthvid/annotations")
    for name in names:
        target = folder / f"data/{name}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(true))
    state = load_checkpoint(default_weights())[1]
    detector = {n.removeprefix("detector."): t for n, t in state.items() if "detector." in n}
    torch.save({"model": detector}, folder / "yolox_nano.pth")


def test_the_guide_has_every_method_and_default():
    methods, *tables = GUIDE.split("## The video method")[0].split("` | default | |\n")
    assert re.findall(r"\| `(\w[\w-]*)` \|", methods) == list(METHODS)
    names = re.findall(r"\| `([\w-]+)` \| default \| \|\n", GUIDE)[: len(tables)]
    assert names == ["grabcut", "aligned", "sam", "sam2", "sam-hf"]
    for name, table in zip(names, tables, strict=True):
        rows = dict(re.findall(r"\| `(\w+)` \| ([^|]*) \|", table))
        method = make_method(name, ["results=found.json"] if name == "aligned" else [])
        defaults = {field.name: field.default for field in dataclasses.fields(method)}
        shown = {key: "none" if value in (None, "") else value for key, value in defaults.items()}
        assert rows == {key: str(value) for key, value in shown.items()}


def test_links_of_the_guide():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target


def test_finishing_from_the_command_line(path):
    options = "--margin 0.5 --holes 0 --least 1 --workers 1 --out small.json"
    assert faim(f"masks {path} --method grabcut {options}") == 0
    made = json.loads(Path("small.json").read_text())["info"]["masks"]
    assert made["finishing"] == {"margin": 0.5, "holes": 0.0, "least": 1.0}


@pytest.mark.parametrize("option", ["holes", "least"])
def test_an_exact_method_is_not_finished(path, option, capsys):
    assert faim(f"masks {path} --method box --out small.json") == 0
    made = json.loads(Path("small.json").read_text())["info"]["masks"]
    assert made["finishing"] == {"margin": 0.05, "holes": 0.0, "least": 0.0}
    assert faim(f"masks {path} --method box --{option} 0.5") == 2
    assert f"--{option}: method box makes exact masks" in capsys.readouterr().err


def test_settings_before_and_after_options(path):
    assert faim(f"masks {path} longest=99 --method grabcut core=0.5 --workers 1 context=1") == 0
    made = json.loads(path.with_name("ann.masks.json").read_text())["info"]["masks"]
    assert made["parameters"] == {"context": 1.0, "core": 0.5, "iterations": 1, "longest": 99}
    assert len(masks_of(path.with_name("ann.masks.json"))) == 5


def test_preview_shows_the_masks(path):
    assert faim(f"masks {path} --method grabcut --workers 1 --preview sheet.png") == 0
    sheet = cv2.imread("sheet.png").astype(int)
    assert faim("masks ann.masks.json --preview again.png") == 0
    assert (cv2.imread("again.png") == sheet).all()
    entries = json.loads(Path("ann.masks.json").read_text())
    for entry in entries["annotations"]:
        entry["segmentation"] = encode(np.eye(60, 80, dtype=bool))[0]
    Path("other.json").write_text(json.dumps(entries))
    assert faim("masks other.json --preview other.png") == 0
    assert (cv2.imread("other.png") != sheet).any()


def test_preview_of_a_name_that_is_not_utf8(path, capsysbinary):
    name = os.fsdecode(b"j/\xff.png")
    options = ["masks", str(path), "--method", "box", "--workers", "1", "--preview"]
    assert main([*options, name]) == 0
    assert rb"wrote j/\xff.png: 5 frames" in capsysbinary.readouterr().out
    assert cv2.imdecode(np.fromfile(name, np.uint8), cv2.IMREAD_COLOR).shape[2] == 3
    for check in (check_preview, partial(write_image, image=np.zeros((2, 2, 3), np.uint8))):
        with pytest.raises(FaimError, match=r"expected a name ending in \.png"):
            check(Path(os.fsdecode(b"sheet.\xff")))


def test_wrong_input_is_one_sentence(path, capsys):
    cases = {
        f"masks {path}": "no --method; expected one of box, grabcut",
        f"masks {path} --method grabcuts": "--method grabcuts: no such method; expected grabcut",
        f"masks {path} --method grabcut iteration=3": "expected iterations",
        f"masks {path} --method grabcut iterations=many": "=many; expected a whole number",
        f"masks {path} --method grabcut iterations=0": "iterations is 0; expected 1 to 100",
        f"masks {path} --method box core=1": "no field 'core'; expected none",
        f"masks {path} --method grabcut --checkpoint w.pth": "no field 'checkpoint'",
        f"masks {path} context --method grabcut": "'context' is no setting; expected key=value",
        f"masks {path} --preview sheet.png": "no masks to draw",
        f"masks {path} --method box --preview sheet.txt": "expected a name ending in .png",
        "masks none.json --method box": "none.json: no such file",
        "masks . --method box": ".: is a folder; expected a CocoVID or COCO file",
        f"masks {path} --method box --out {path}": "is what the run reads",
        f"masks {path} --method grabcut --images nowhere": "no mask could be made",
        f"masks {path} --method grabcut --images nowhere --strict": "expected none with --strict",
    }
    for line, sentence in cases.items():
        found = refused(line, capsys)
        assert found.startswith("faim: ")
        assert sentence in found, f"{line}: {found}"
    assert [each.name for each in path.parent.glob("*.json*")] == ["ann.json"]


def test_ctrl_c_is_130_and_says_how_to_go_on(path, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(GrabCutMasks, "mask", stop)
    assert faim(f"masks {path} --method grabcut --workers 1") == 130
    assert "stopped after 0 of 2 videos; the same command goes on" in capsys.readouterr().err


def test_masks_eval_is_a_command_of_its_own(capsys):
    with pytest.raises(SystemExit) as ended:
        faim("masks eval --help")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: faim masks eval ")
    with pytest.raises(SystemExit):
        faim("--help")
    assert "masks-eval" not in capsys.readouterr().out


def test_tool(path):
    tool = [sys.executable, str(ROOT / "tools/make_masks.py"), str(path), "--method", "box"]
    assert subprocess.run(tool, capture_output=True, check=False).returncode == 0
    assert len(masks_of(path.with_name("ann.masks.json"))) == 5


def test_methods_by_name():
    method = make_method("grabcut", ["iterations=7", "iterations = 5", "core=1"])
    assert (method.name, method.parameters["iterations"], method.parameters["core"]) == (
        "grabcut", 5, 1.0)  # fmt: skip
    with pytest.raises(FaimError, match="one of box, grabcut, aligned"):
        make_method("?")


def test_every_type_of_a_setting():
    from dataclasses import dataclass
    from typing import Literal

    @dataclass
    class Method:
        text: str = ""
        maybe: int | None = 1
        file: Path | None = None
        either: str | Path = ""
        choice: Literal["a", "b"] = "a"
        flag: bool = False
        many: tuple[int, ...] = ()

    Method.__annotations__ = {"text": str, "maybe": int | None, "file": Path | None,
                              "either": str | Path, "choice": Literal["a", "b"], "flag": bool,
                              "many": tuple[int, ...]}  # fmt: skip
    texts = ["text=3", "maybe=none", "file=w/a=b.pth", "either=w.pth", "choice=b", "flag=true",
             "many=1,2"]  # fmt: skip
    assert parse_fields(Method, texts, "method x") == {
        "text": "3", "maybe": None, "file": Path("w/a=b.pth"), "either": "w.pth", "choice": "b",
        "flag": True, "many": (1, 2)}  # fmt: skip
    with pytest.raises(FaimError, match="method x: choice=c; expected one of a, b"):
        parse_fields(Method, ["choice=c"], "method x")


@given(st.floats(0, 10))
def test_numbers_come_back(value):
    assert make_method("grabcut", [f"context={value!r}"]).parameters["context"] == value
