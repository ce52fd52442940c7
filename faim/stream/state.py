"""What a running video remembers, apart from the model, and its file."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from faim.errors import FaimError
from faim.files import write_tensors
from faim.postprocess.causal import CausalState
from faim.reading import parse_json
from faim.registry import families, resolve
from faim.stream.bank_policy import BankPolicy, Recent, RecentAndSpread
from faim.stream.memory import MOST_FRAMES, BankContent, MemoryBank
from faim.stream.scene_cut import SIZE
from faim.structures import BankEntry, TensorRecord

FORMAT = "faim-stream-state-1"
_BANK = "bank."
_THUMBNAIL = "thumbnail"
_POST = "post."
#: Most numbers of one tensor; the largest banks of the largest model have half as many.
_MOST_NUMBERS = 2**27


@dataclass
class StreamState:
    """All that a stream carries from one frame to the next.

    The model keeps nothing, so a state may be copied to try two futures, saved, dropped to start
    anew, or kept beside others for several streams in turn.

    Attributes:
        bank: what past frames left behind.
        frames_seen: frames since the start; a reset does not set it back.
        resets: times the past was forgotten.
        thumbnail: of the last frame, for `faim.stream.scene_cut`; (36, 64, 3) uint8 BGR, or None.
        post: the live tubelets of causal post-processing, and how many have a track id; or None.
        model: which model's past it is, a checksum of the weights; empty where that is not known,
            as in states saved by earlier versions.
    """

    bank: MemoryBank[TensorRecord]
    frames_seen: int = 0
    resets: int = 0
    thumbnail: NDArray[np.uint8] | None = None
    post: CausalState | None = None
    model: str = ""

    @classmethod
    def empty(cls, capacity: int, policy: BankPolicy | None = None, model: str = "") -> StreamState:
        """The state before the first frame; see `MemoryBank`."""
        return cls(MemoryBank(capacity, policy), model=model)

    def copy(self) -> StreamState:
        """An independent state with the same past.

        Example:
            >>> import numpy as np, faim
            >>> detector = faim.load()
            >>> state = detector.new_state()
            >>> frame = np.full((64, 96, 3), 114, np.uint8)
            >>> other = state.copy()
            >>> result = detector.step(frame, other)
            >>> state.frames_seen, other.frames_seen
            (0, 1)
        """
        small = None if self.thumbnail is None else self.thumbnail.copy()
        post = None if self.post is None else self.post.copy()
        return replace(self, bank=self.bank.copy(), thumbnail=small, post=post)

    def reset(self) -> None:
        """Forget the past, as at a scene cut or the start of another video."""
        self.bank.reset()
        self.thumbnail = self.post = None
        self.resets += 1

    def save(self, path: str | Path) -> None:
        """Write the state to one safetensors file, whole or not at all.

        Raises:
            FaimError: the file cannot be written, or the bank holds entries or has a policy that
                are none of this package's.

        Example:
            >>> import tempfile
            >>> import numpy as np, faim
            >>> detector = faim.load()
            >>> state = detector.new_state()
            >>> result = detector.step(np.full((64, 96, 3), 114, np.uint8), state)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     state.save(f"{folder}/stream.safetensors")
            ...     again = StreamState.load(f"{folder}/stream.safetensors")
            >>> again.frames_seen, again.model == state.model
            (1, True)
        """
        _save(Path(path), self)

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> StreamState:
        """A state that `save` wrote; the stream goes on bit for bit as if it had never stopped.

        See the example of `save`.

        Raises:
            FaimError: no such file, or a damaged one, or one of something else.
        """
        return _load(Path(path), device)


@dataclass(frozen=True)
class _Header:
    """All of a state but its tensors.

    `recent` is None for the policy `Recent`; `post_size` and `named` are those of `CausalState`, if
    there is one.
    """

    entry: str | None
    capacity: int
    recent: int | None
    slots: list[int]
    frames: list[int]
    appended: int
    frames_seen: int
    resets: int
    post_size: list[int] | None = None
    model: str = ""
    named: int = 0

    def check(self) -> None:
        """Raise ValueError where the numbers contradict each other."""
        if not isinstance(self.slots, list) or not isinstance(self.frames, list):
            raise ValueError("the frames held are no list")
        if self.post_size is not None and len(self.post_size) != 2:
            raise ValueError("the size of its frames is no height and width")
        if not isinstance(self.model, str):
            raise ValueError("its model is no text")
        numbers = [self.capacity, self.appended, self.frames_seen, self.resets, self.named]
        numbers += [*self.slots, *self.frames, self.recent or 0, *(self.post_size or [])]
        if any(type(number) is not int or not 0 <= number < 2**63 for number in numbers):
            raise ValueError("a count is no whole number from 0 on")
        if self.capacity > MOST_FRAMES:
            raise ValueError(f"a bank of {self.capacity} frames, of which {MOST_FRAMES} are most")
        rising = sorted(set(self.frames)) == self.frames
        if not rising or (self.frames and self.frames[-1] != self.appended - 1):
            raise ValueError("the frames held are not in order")
        if (self.recent or 0) > self.capacity:
            raise ValueError("more recent frames than the bank has room for")
        held = len(self.frames)
        if sorted(self.slots) != list(range(held)) or held > self.capacity:
            raise ValueError("the frames held and the slots do not match")
        if held and self.entry is None:
            raise ValueError("frames are held, but nothing of them")


def _save(path: Path, state: StreamState) -> None:
    content = state.bank.content
    header = _Header(
        entry=_entry_name(path, content.storage),
        capacity=state.bank.capacity,
        recent=_recent(path, state.bank.policy),
        slots=list(content.slots),
        frames=list(content.frames),
        appended=content.appended,
        frames_seen=state.frames_seen,
        resets=state.resets,
        post_size=list(state.post.size) if state.post and state.post.size else None,
        model=state.model,
        named=state.post.named if state.post else 0,
    )
    tensors: dict[str, Tensor] = {}
    if content.storage is not None:
        tensors |= {_BANK + name: value for name, value in content.storage.tensors().items()}
    if state.thumbnail is not None:
        tensors[_THUMBNAIL] = torch.from_numpy(np.ascontiguousarray(state.thumbnail))
    if header.post_size:
        assert state.post is not None
        arrays = {
            name: value for name, value in vars(state.post).items() if name not in ("size", "named")
        }
        tensors |= {_POST + name: torch.from_numpy(value) for name, value in arrays.items()}
    metadata = {"format": FORMAT, "state": json.dumps(vars(header))}
    write_tensors(path, tensors, metadata)


def _load(path: Path, device: torch.device | str) -> StreamState:
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for a name too long
        raise FaimError(f"{path}: no such file; expected a stream's saved state")
    try:
        # Tensors made in inference mode could not be written to outside of it.
        with torch.inference_mode(False), safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise FaimError(f"{path}: not a stream's saved state; expected one of this version")
            header = _Header(**parse_json(metadata["state"], path, "a stream's saved state"))
            header.check()
            names = list(file.keys())
            for name in names:  # before they are read
                _check_shape(name, tuple(file.get_slice(name).get_shape()), header)
            # Cloned, because the file must not have to stay.
            tensors = {name: file.get_tensor(name).clone() for name in names}
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise ValueError(f"{name} holds numbers that are not finite")
        return _assemble(header, tensors, device)
    except (SafetensorError, OSError, LookupError, TypeError, ValueError) as error:
        raise FaimError(
            f"{path}: damaged or not a stream's saved state ({error}); expected a file that "
            "StreamState.save wrote"
        ) from error


def _assemble(
    header: _Header, tensors: dict[str, Tensor], device: torch.device | str
) -> StreamState:
    small = tensors.pop(_THUMBNAIL, None)
    if small is not None and (small.shape != (*SIZE[::-1], 3) or small.dtype != torch.uint8):
        raise ValueError("the thumbnail has another shape or type")
    post = _post(header, tensors)
    storage: TensorRecord | None = None
    if header.entry is not None:
        entries = _kinds()[header.entry](**_fields_of(tensors))
        entries.check_stack()
        storage = entries.to(device)
    elif tensors:
        raise ValueError("tensors of an empty bank")
    policy: BankPolicy = Recent() if header.recent is None else RecentAndSpread(header.recent)
    content = BankContent(storage, tuple(header.slots), tuple(header.frames), header.appended)
    return StreamState(
        MemoryBank.from_content(header.capacity, policy, content),
        frames_seen=header.frames_seen,
        resets=header.resets,
        thumbnail=None if small is None else small.numpy(),
        post=post,
        model=header.model,
    )


def _check_shape(name: str, shape: tuple[int, ...], header: _Header) -> None:
    """Raise ValueError for a tensor that no state of this header has."""
    if name.startswith(_BANK) and shape[:1] != (header.capacity,):
        raise ValueError("the tensors of the bank do not match")
    if math.prod(shape) > _MOST_NUMBERS:
        raise ValueError(f"{name} claims the shape {shape}")


def _post(header: _Header, tensors: dict[str, Tensor]) -> CausalState | None:
    """Take its tensors out of those of the file."""
    names = [name for name in tensors if name.startswith(_POST)]
    arrays = {name.removeprefix(_POST): tensors.pop(name).numpy() for name in names}
    if header.post_size is None and not arrays:
        return None
    height, width = header.post_size or []
    state = CausalState(**arrays, size=(height, width), named=header.named)
    state.check()
    if any((counts < 0).any() for counts in (state.weights, state.members, state.missed)):
        raise ValueError("a tubelet's counts are below 0")
    return state


def _kinds() -> dict[str, type[BankEntry]]:
    """Kinds of entries by name, of all families."""
    return {n: resolve(place) for family in families() for n, place in family.entries.items()}


def _entry_name(path: Path, storage: TensorRecord | None) -> str | None:
    if storage is None:
        return None
    kinds = _kinds()
    for name, kind in kinds.items():
        if type(storage) is kind:
            return name
    raise FaimError(
        f"{path}: cannot save a bank of {type(storage).__name__}; expected entries of "
        f"{' or '.join(kind.__name__ for kind in kinds.values())}"
    )


def _fields_of(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """The values of a bank's entries by field, tuples put together; see `TensorRecord.tensors`."""
    values: dict[str, Any] = {}
    for name, tensor in tensors.items():
        field, _, place = name.removeprefix(_BANK).partition(".")
        if not place:
            values[field] = tensor
        else:
            values.setdefault(field, {})[int(place)] = tensor
    for field, value in values.items():
        if isinstance(value, dict):
            values[field] = tuple(value[place] for place in range(len(value)))
    return values


def _recent(path: Path, policy: BankPolicy) -> int | None:
    if type(policy) is RecentAndSpread:
        return policy.recent
    if type(policy) is Recent:
        return None
    raise FaimError(
        f"{path}: cannot save a bank with the policy {type(policy).__name__}; expected Recent or "
        "RecentAndSpread"
    )
