"""Damaged exported folders and engines end in a sentence, before a library reads them."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from faim.backends.base import graph_file
from faim.backends.checksums import check_file, is_whole, write_checksums
from faim.backends.engine_file import (
    MAGIC,
    EngineTensor,
    read_engine_file,
    read_engine_header,
    write_engine_file,
)
from faim.backends.info import ExportInfo
from faim.errors import FaimError
from faim.export.output_folder import check_output, exported_files, output_folder
from faim.families.yolox.config import FaimConfig

CONFIG = FaimConfig(variant="nano", class_names=("dog", "cat"), test_size=(64, 64))
INFO = ExportInfo("frame", CONFIG, "ticam", 1, False, "fp16", {"faim": "0"})
TENSORS = (EngineTensor("x", True, "float32", (2, 3), (2, 3), (2, 3), (2, 3)),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = tmp_path / "model"
    with output_folder(out) as place:
        (place.files / "frame.xml").write_text('<net> "dynamic_size" </net>')
        (place.files / "frame.bin").write_bytes(bytes(range(256)))
        (place.files / "step.onnx").write_bytes(b"a graph")
    return out


def test_an_export_has_checksums_and_may_be_replaced(folder: Path) -> None:
    assert set(json.loads((folder / "checksums.json").read_text())) == {
        *("frame.xml", "frame.bin", "step.onnx")
    }
    assert [path.name for path in exported_files(folder)] == ["frame.bin", "frame.xml", "step.onnx"]
    assert is_whole(folder)
    assert graph_file(folder, "frame", (".xml",)) == folder / "frame.xml"
    check_output(folder)


@pytest.mark.parametrize("name", ["frame.xml", "frame.bin", "step.onnx"])
def test_a_mutated_file_is_refused(folder: Path, name: str) -> None:
    chance, path = random.Random(0), folder / name
    sound = path.read_bytes()
    for _ in range(20):
        mutated = bytearray(sound)
        mutated[chance.randrange(len(sound))] ^= 1 << chance.randrange(8)
        path.write_bytes(
            mutated if chance.random() < 0.8 else sound[: chance.randrange(len(sound))]
        )
        assert not is_whole(folder)
        with pytest.raises(FaimError, match=rf"{name}: is damaged, its checksum is another"):
            graph_file(folder, name.split(".")[0], (".xml", ".onnx"))  # type: ignore[arg-type]


def test_files_that_were_added_or_whose_weights_are_gone(folder: Path) -> None:
    (folder / "refine.onnx").write_bytes(b"another's")
    with pytest.raises(FaimError, match=r"refine\.onnx: is not among the files that .*checksums"):
        graph_file(folder, "refine", (".onnx",))
    (folder / "frame.bin").unlink()
    with pytest.raises(FaimError, match=r"frame\.bin: cannot be read \(No such file"):
        graph_file(folder, "frame", (".xml",))


@pytest.mark.parametrize(
    "text", ["", "[]", "[" * 10_000, '{"frame.xml": "0"', '{"a":' + "9" * 5000]
)
def test_checksums_that_are_damaged_themselves(folder: Path, text: str) -> None:
    (folder / "checksums.json").write_text(text)
    assert not is_whole(folder)
    with pytest.raises(
        FaimError, match=r"checksums\.json: .*expected the checksums of an exported"
    ):
        graph_file(folder, "frame", (".xml",))


def test_folders_of_earlier_versions_have_none(folder: Path) -> None:
    (folder / "checksums.json").unlink()
    (folder / "frame.bin").write_bytes(b"whatever")
    assert graph_file(folder, "frame", (".xml",)) == folder / "frame.xml"
    check_file(folder / "frame.bin")
    write_checksums(folder)
    assert is_whole(folder)


def rewrite(path: Path, **values: Any) -> None:
    """The engine file with other fields in its header."""
    data = path.read_bytes()
    length = int.from_bytes(data[8:16], "little")
    header = json.dumps(json.loads(data[16 : 16 + length]) | values).encode()
    path.write_bytes(MAGIC + len(header).to_bytes(8, "little") + header + data[16 + length :])


INFO_VALUES = json.loads(INFO.to_json())
TENSOR = asdict(TENSORS[0])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"engine_size": 10**10}, r"is damaged, with 9 of its engine's 10000000000 bytes"),
        ({"engine_size": 3}, "is damaged, with more of its engine's 3 bytes"),
        ({"engine_size": -5}, "its size or checksum is no whole number from 0 on"),
        ({"engine_size": "9"}, "its size or checksum is no whole number from 0 on"),
        ({"engine_crc32": 1e3}, "its size or checksum is no whole number from 0 on"),
        ({"tensors": [TENSOR | {"dtype": "load"}]}, "no tensor of an engine"),
        ({"tensors": [TENSOR | {"shape": [2]}]}, "no tensor of an engine"),
        ({"tensors": [TENSOR | {"shape": [2, 10**18]}]}, "no tensor of an engine"),
        ({"tensors": [TENSOR | {"name": None}]}, "no tensor of an engine"),
        ({"tensors": 5}, "its header cannot be read"),
        ({"info": []}, "its header cannot be read"),
        ({"info": INFO_VALUES | {"batch": 10**9}}, "its batch is 1000000000"),
        ({"info": INFO_VALUES | {"precision": [1]}}, r"its precision is \[1\]"),
        ({"info": INFO_VALUES | {"made_with": {"tensorrt": 7}}}, "its made_with is"),
        ({"info": INFO_VALUES | {"graph": {}}}, r"holds a graph \{\}"),
        ({"info": INFO_VALUES | {"layout": "1"}}, "its layout is '1'"),
        ({"info": INFO_VALUES | {"more": 1}}, r"missing or unknown: \['more'\]"),
        (
            {"info": INFO_VALUES | {"config": INFO_VALUES["config"] | {"test_frames": 10**6}}},
            "config: test_frames is 1000000; expected a whole number from 1 to 1024",
        ),
    ],
)
def test_engines_that_claim_what_cannot_be(
    tmp_path: Path, values: dict[str, Any], sentence: str
) -> None:
    path = tmp_path / "frame.engine"
    write_engine_file(path, INFO, TENSORS, b"an engine")
    assert read_engine_file(path)[1] == b"an engine"
    rewrite(path, **values)
    with pytest.raises(FaimError, match=rf"frame\.engine: .*{sentence}") as caught:
        read_engine_file(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"info": ' + b"9" * 5000 + b"}", b"\xff\xfe"])
def test_headers_that_are_no_json(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "frame.engine"
    path.write_bytes(MAGIC + len(text).to_bytes(8, "little") + text)
    with pytest.raises(FaimError, match=r"frame\.engine: .*expected the header of an engine"):
        read_engine_header(path)
