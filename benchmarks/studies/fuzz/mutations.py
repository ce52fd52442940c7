"""Damage that knows what it damages: bytes, text, JSON, tensors, and files that hold JSON.

Every function takes a `random.Random`, so that the same seed makes the same damage, and gives back
what is to be written.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

Damage = Callable[[Random, bytes], bytes]

_NUMBERS = (0, 1, -1, 127, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62)
#: JSON texts that stand where something else should.
ODD_JSON = (
    "0", "1", "-1", "0.5", "-0.0", "1000000", "2147483648", "9223372036854775808", "1e-300",
    "1e308", "1e999", "NaN", "-Infinity", "null", "true", "[]", "{}", "[[]]", '""', '"1"', '"a"',
    r'"\ud800"', r'"\u0000"', r'"\u001b[2J"', f'"{"x" * 100_000}"', "9" * 5000,
    "[" * 3000 + "]" * 3000, '{"a":' * 3000 + "0" + "}" * 3000,
)  # fmt: skip
#: Words that stand where a number or name should.
ODD_WORDS = (
    b"", b"0", b"-1", b"2147483648", b"9" * 5000, b"1e308", b"1e999", b"nan", b"-inf", b"0x10",
    b"1_000", b"text", b"\xff\xfe", b"\x00", b"\xef\xbb\xbf0", "٣".encode(), b"=", b"..", b"../..",
    b"[1, 2", b"{a: &a [*a]}", b"!!python/object:os.system", b"%s", b"\x1b[2J", b"x" * 100_000,
)  # fmt: skip


def damage_bytes(random: Random, data: bytes) -> bytes:
    """One to four places changed: bits, numbers, runs; or the end missing."""
    found = bytearray(data)
    for _ in range(random.randint(1, 4)):
        place = _place(random, len(found))
        match random.choice(("bits", "number", "run", "cut", "drop", "twice", "noise")):
            case "bits" if found:
                found[place] ^= 1 << random.randrange(8)
            case "number":
                order = random.choice("<>")
                number = struct.pack(f"{order}q", random.choice(_NUMBERS))
                size = random.choice((2, 4, 8))
                found[place : place + size] = number[:size] if order == "<" else number[-size:]
            case "run":
                length = random.randint(1, 64)
                found[place : place + length] = bytes([random.choice((0, 255))]) * length
            case "cut":
                del found[place:]
            case "drop":
                del found[place : place + random.randint(1, 64)]
            case "twice":
                found[place:place] = found[place : place + random.randint(1, 256)]
            case _:
                found[place:place] = bytes(random.randrange(256) for _ in range(8))
    return bytes(found)


def _place(random: Random, length: int) -> int:
    """A place anywhere, or near either end, where formats keep their sizes."""
    if not length:
        return 0
    near = min(length, 512)
    return random.choice((random.randrange(near), length - 1 - random.randrange(near),
                          random.randrange(length)))  # fmt: skip


def damage_text(random: Random, data: bytes) -> bytes:
    """One to three words or lines changed."""
    for _ in range(random.randint(1, 3)):
        lines = data.split(b"\n")
        place = random.randrange(len(lines))
        match random.choice(("word", "word", "word", "drop", "twice", "join", "words")):
            case "word":
                words = list(re.finditer(rb"[^\s,:=\[\]\"]+", lines[place]))
                if words:
                    start, end = random.choice(words).span()
                    line = lines[place]
                    lines[place] = line[:start] + random.choice(ODD_WORDS) + line[end:]
            case "drop":
                del lines[place]
            case "twice":
                lines.insert(place, lines[place])
            case "join":
                lines[place : place + 2] = [b" ".join(lines[place : place + 2])]
            case _:
                lines[place] += b" " + random.choice(ODD_WORDS)
        data = b"\n".join(lines)
    return data


def damage_json(random: Random, data: bytes) -> bytes:
    """One to three values, keys or items changed."""
    content = json.loads(data)
    odd: list[str] = []
    for _ in range(random.randint(1, 3)):
        places = list(_places(content))
        if not places:
            break
        owner, key = random.choice(places)
        match random.choice(("value", "value", "value", "value", "drop", "twice", "rename")):
            case "value":
                owner[key] = f"@{len(odd)}@"
                odd.append(random.choice(ODD_JSON))
            case "drop":
                del owner[key]
            case "twice" if isinstance(owner, list):
                owner.insert(key, owner[key])
            case _ if isinstance(owner, dict):
                owner[random.choice(("", "a", "\x1b[2J", "__class__"))] = owner.pop(key)
    text = json.dumps(content)
    for number, value in enumerate(odd):
        text = text.replace(f'"@{number}@"', value)
    return text.encode()


def _places(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, (dict, list)):
            yield from _places(inner)


def damage_framed(random: Random, data: bytes, *, lead: int = 0) -> bytes:
    """A file that begins with the length of its JSON header, as safetensors: the header changed.

    JSON within a text of the header is changed too. `lead` bytes stand before the length.
    """
    length = int.from_bytes(data[lead : lead + 8], "little")
    header, rest = data[lead + 8 : lead + 8 + length], data[lead + 8 + length :]
    content = json.loads(header)
    inner = [key for key, text in content.get("__metadata__", {}).items() if text[:1] == "{"]
    if inner and random.random() < 0.5:
        metadata = content["__metadata__"]
        metadata[inner[0]] = damage_json(random, metadata[inner[0]].encode()).decode()
        header = json.dumps(content).encode()
    else:
        header = damage_json(random, header)
    return data[:lead] + len(header).to_bytes(8, "little") + header + rest


def damage_engine(random: Random, data: bytes) -> bytes:
    """An engine of ours: eight bytes, then as `damage_framed`."""
    return damage_framed(random, data, lead=8)


def damage_png(random: Random, data: bytes) -> bytes:
    """The size, depth and colours that a PNG claims, with their checksum made right."""
    header = bytearray(data[12:29])
    field = random.choice(("width", "height", "both", "kind"))
    side = struct.pack(">I", random.choice((0, 1, 4000, 20_000, 100_000, 2**31 - 1)))
    if field in ("width", "both"):
        header[4:8] = side
    if field in ("height", "both"):
        header[8:12] = side
    if field == "kind":
        header[12:14] = bytes((random.choice((1, 2, 4, 8, 16)), random.choice((0, 2, 3, 4, 6))))
    return data[:12] + bytes(header) + struct.pack(">I", zlib.crc32(header)) + data[33:]


def damage_state_dict(random: Random, data: bytes) -> bytes:
    """A file of torch's: one weight of another kind, missing, renamed, or no weights at all."""
    content: Any = torch.load(io.BytesIO(data), weights_only=True)
    state = content["model"]
    name = random.choice([*list(state), "head.cls_preds.0.bias"])
    match random.choice(("tensor", "tensor", "tensor", "other", "drop", "rename", "whole")):
        case "tensor":
            state[name] = odd_tensor(random, state[name])
        case "other":
            state[name] = random.choice((3, "text", None, [state[name]], {"a": state[name]}))
        case "drop":
            del state[name]
        case "rename":
            state[random.choice(("", "head.other.bias", name + ".a"))] = state.pop(name)
        case _:
            content = random.choice(([], {}, 3, None, {"model": 3}, {"model": {}}, {1: 2}))
    written = io.BytesIO()
    torch.save(content, written)
    return written.getvalue()


def odd_tensor(random: Random, tensor: Tensor) -> Tensor:
    """Another tensor for the place of one: of another shape, layout, type or content."""
    one = torch.zeros(1)
    made: dict[str, Callable[[], Tensor]] = {
        "number": lambda: torch.tensor(1.0),
        "flat": tensor.flatten,
        "none": lambda: tensor.flatten()[:0],
        "large": lambda: one.expand(10**10),
        "expanded": lambda: one.expand(tensor.shape or (1,)),
        "many rows": lambda: one.expand(10**7, *tensor.shape[1:]),
        "turned": lambda: tensor.transpose(0, -1) if tensor.ndim else tensor,
        "sparse": lambda: tensor.float().to_sparse(),
        "meta": lambda: tensor.to("meta"),
        "nan": lambda: torch.full(tensor.shape, float("nan")),
        "infinite": lambda: torch.full(tensor.shape, float("inf")),
        "whole": lambda: tensor.to(torch.int64),
        "bool": lambda: tensor.to(torch.bool),
        "complex": lambda: tensor.to(torch.complex64),
        "double": lambda: tensor.to(torch.float64),
        "half": lambda: tensor.to(torch.bfloat16),
    }
    return made[random.choice(list(made))]()


def damage_arrays(random: Random, data: bytes) -> bytes:
    """A file of NumPy's arrays: one of them of another kind, missing, or a claim without data."""
    with np.load(io.BytesIO(data)) as file:
        arrays = dict(file)
    name = random.choice(list(arrays))
    array = arrays[name]
    odd: tuple[Any, ...] = (
        array[:0], array[:, :0] if array.ndim > 1 else array[:1], np.float64(1.0), array.ravel(),
        array.astype(str), array.astype(complex), array[None], np.full(array.shape, np.nan),
        np.full(array.shape, 2**40), np.full(array.shape, -1),
    )  # fmt: skip
    choice = random.randrange(len(odd) + 1)
    if choice == len(odd):
        del arrays[name]
    else:
        arrays[name] = odd[choice]
    written = io.BytesIO()
    np.savez(written, **arrays)
    return written.getvalue()


def damage_onnx(random: Random, data: bytes) -> bytes:
    """An ONNX file: our metadata, a shape, a name or a node changed."""
    import onnx

    model = onnx.load_from_string(data)
    match random.choice(("metadata", "metadata", "shape", "name", "node")):
        case "metadata":
            about = model.metadata_props[0]
            about.value = damage_json(random, about.value.encode()).decode()
        case "shape":
            tensor = random.choice(model.graph.initializer)
            tensor.dims[:] = random.choice(([], [0], [-1], [1], [2**31], [10**6, 10**6]))
        case "name":
            random.choice([*model.graph.output, *model.graph.input]).name = "other"
        case _:
            del model.graph.node[random.randrange(len(model.graph.node))]
    found: bytes = model.SerializeToString()
    return found
