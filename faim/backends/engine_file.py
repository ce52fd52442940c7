"""TensorRT engine files.

An engine cannot carry metadata of ours, so a header stands before it:

    8 bytes   MAGIC
    8 bytes   length of the header, little-endian
    header    one JSON object: "info" (`ExportInfo`), "tensors" (a list of `EngineTensor`),
              "engine_size" in bytes and "engine_crc32"
    engine    as TensorRT serialized it
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from faim.backends.info import ExportInfo
from faim.errors import FaimError
from faim.files import write_whole
from faim.reading import parse_json, shown

MAGIC = b"FAIM-TRT"
_LENGTH_BYTES = 8
#: More than any header of ours: a foreign file must not make us read gigabytes.
_LONGEST_HEADER = 1 << 24

#: What goes in and out of graphs.
_DTYPES = ("float32", "float16", "bfloat16", "uint8", "int32", "int64", "bool")

Shape = tuple[int, ...]


@dataclass(frozen=True)
class EngineTensor:
    """An input or output of an engine.

    Attributes:
        name: as in `faim.families.yolox.graphs`.
        is_input: False for outputs.
        dtype: torch's name of it: "float32", "uint8", "int64", "bool".
        shape: -1 where a dimension is open.
        smallest: shape from which an input is accepted; empty for outputs.
        usual: shape that the engine is made for; empty for outputs.
        largest: shape up to which an input is accepted; empty for outputs.
    """

    name: str
    is_input: bool
    dtype: str
    shape: Shape
    smallest: Shape = ()
    usual: Shape = ()
    largest: Shape = ()

    @property
    def is_open(self) -> bool:
        """Whether the shape may change from run to run."""
        return -1 in self.shape

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> EngineTensor:
        """Of what `dataclasses.asdict` made; ValueError or TypeError for anything else."""
        known: dict[str, Any] = {
            key: tuple(item) if isinstance(item, list) else item for key, item in values.items()
        }
        tensor = cls(**known)
        shapes = [tensor.shape, tensor.smallest, tensor.usual, tensor.largest]
        ranks = {len(shape) for shape in (shapes if tensor.is_input else shapes[:1])}
        sides = [side for shape in shapes for side in shape]
        if (
            not isinstance(tensor.name, str)
            or not isinstance(tensor.is_input, bool)
            or tensor.dtype not in _DTYPES
            or len(ranks) != 1
            or not all(type(side) is int and -1 <= side < 2**31 for side in sides)
        ):
            raise ValueError(f"no tensor of an engine: {shown(values)}")
        return tensor


@dataclass(frozen=True)
class EngineHeader:
    """What an engine file says of its engine.

    Attributes:
        info: `made_with` names the library ("tensorrt" or "tensorrt_rtx") with its version, and
            the "compute_capability".
        tensors: inputs, then outputs.
        size: of the engine, in bytes.
        checksum: CRC-32 of the engine.
    """

    info: ExportInfo
    tensors: tuple[EngineTensor, ...]
    size: int
    checksum: int


def write_engine_file(
    path: Path, info: ExportInfo, tensors: tuple[EngineTensor, ...], engine: bytes
) -> None:
    """Write an engine with its header; the file appears whole or not at all.

    Raises:
        FaimError: the file cannot be written.
    """
    header = json.dumps(
        {
            "info": json.loads(info.to_json()),
            "tensors": [asdict(tensor) for tensor in tensors],
            "engine_size": len(engine),
            "engine_crc32": zlib.crc32(engine),
        }
    ).encode()

    def write(part: Path) -> None:
        with part.open("wb") as file:
            file.write(MAGIC + len(header).to_bytes(_LENGTH_BYTES, "little") + header)
            file.write(engine)

    write_whole(path, write)


def read_engine_header(path: Path) -> EngineHeader:
    """The header alone.

    Raises:
        FaimError: see `read_engine_file`, but that the engine is not looked at.
    """
    with _opened(path) as file:
        return _read_header(file, path)


def read_engine_file(path: Path) -> tuple[EngineHeader, bytes]:
    """The header and the engine.

    Raises:
        FaimError: no such file, not one of `faim export`, of another layout, or damaged.
    """
    with _opened(path) as file:
        header = _read_header(file, path)
        # Before it is read: the memory for what a header claims would be taken at once.
        left = os.fstat(file.fileno()).st_size - file.tell()
        engine = file.read() if left == header.size else b""
    if len(engine) != header.size:
        found = "more" if left > header.size else str(left)
        raise FaimError(
            f"{path}: is damaged, with {found} of its engine's {header.size} bytes; expected the "
            "whole file that faim export wrote"
        )
    if zlib.crc32(engine) != header.checksum:
        raise FaimError(
            f"{path}: is damaged, its engine is not the one its header tells of; expected the file "
            "as faim export wrote it"
        )
    return header, engine


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise FaimError(
            f"{path}: cannot be read ({error.strerror}); expected an engine that faim export wrote"
        ) from error


def _read_header(file: BinaryIO, path: Path) -> EngineHeader:
    if file.read(len(MAGIC)) != MAGIC:
        raise FaimError(
            f"{path}: is no engine of faim; expected a file of faim export --format tensorrt"
        )
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    text = file.read(min(length, _LONGEST_HEADER))
    if len(text) != length:
        raise FaimError(
            f"{path}: is damaged, it ends within its header; expected the whole file that faim "
            "export wrote"
        )
    try:
        values = parse_json(text, path, "the header of an engine of faim")
        info = ExportInfo.from_values(values["info"], str(path))
        tensors = tuple(EngineTensor.from_json(tensor) for tensor in values["tensors"])
        size, checksum = values["engine_size"], values["engine_crc32"]
        if any(type(number) is not int or number < 0 for number in (size, checksum)):
            raise ValueError("its size or checksum is no whole number from 0 on")
        return EngineHeader(info, tensors, size, checksum)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FaimError(
            f"{path}: its header cannot be read ({error}); expected a file of faim export"
        ) from error
