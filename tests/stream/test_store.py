from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from faim.errors import FaimError
from faim.stream.store import DetectionStore, SeenStore
from faim.structures import Detections, Proposals


def proposals(n: int = 5, dim: int = 8, classes: int = 3, dtype=torch.float32) -> Proposals:
    return Proposals(
        boxes=torch.randn(n, 4),
        objectness=torch.rand(n),
        class_scores=torch.rand(n, classes),
        cls_features=torch.randn(n, dim, dtype=dtype),
        ins_features=torch.randn(n, dim, dtype=dtype),
        valid=torch.rand(n) > 0.5,
    )


def assert_same(found: Proposals, expected: Proposals) -> None:
    for name, tensor in vars(expected).items():
        assert getattr(found, name).dtype == tensor.dtype
        assert torch.equal(getattr(found, name), tensor), name


@pytest.mark.parametrize("limit", [0, 1500, 2**20], ids=["file", "spilled", "memory"])
def test_groups_come_back_bit_for_bit(limit: int) -> None:
    frames = [proposals() for _ in range(12)]
    frames[3].cls_features[0, 0] = float("nan")
    with SeenStore(limit) as store:
        for count, frame in enumerate(frames, start=1):
            store.append(frame)
            assert len(store) == count
            newest = store.group([count - 1])  # reading does not disturb writing
            assert torch.equal(newest.boxes[0], frame.boxes)
        assert store._file._rolled is (limit < 2**20)
        picked = [11, 0, 4, 4]
        assert_same(store.group(picked), Proposals.stack([frames[index] for index in picked]))
        features = store.group([3]).cls_features
        assert torch.equal(
            features.view(torch.int32), frames[3].cls_features[None].view(torch.int32)
        )
        assert store.group([]).boxes.shape == (0, 5, 4)
    assert len(store) == 0
    store.close()


def test_half_precision_and_empty_features_come_back() -> None:
    whole = [proposals(dtype=torch.bfloat16) for _ in range(2)]
    frames = [Proposals(**vars(p) | {"ins_features": torch.zeros(5, 0)}) for p in whole]
    with SeenStore() as store, torch.inference_mode():
        for frame in frames:
            store.append(frame)
        assert_same(store.group([0, 1]), Proposals.stack(frames))


def test_what_does_not_fit_is_refused_and_leaves_the_store_as_it_was() -> None:
    store = SeenStore()
    first = proposals()
    store.append(first)
    with pytest.raises(FaimError, match=r"boxes of frame 1 is \(6, 4\).*expected \(5, 4\)"):
        store.append(proposals(n=6))
    with pytest.raises(FaimError, match=r"cls_features of frame 1 is .*bfloat16"):
        store.append(proposals(dtype=torch.bfloat16))
    for index in (1, -1):
        with pytest.raises(FaimError, match=f"frame {index} asked for; expected one of the 1 "):
            store.group([0, index])
    with pytest.raises(FaimError, match="memory limit is -1"):
        SeenStore(-1)
    assert_same(store.group([0]), Proposals.stack([first]))


def test_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    store = SeenStore(0)
    store.append(proposals())

    def refuse() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store._file, "flush", refuse)
    with pytest.raises(FaimError) as caught:
        store.append(proposals())
    message = str(caught.value)
    needed = 2 * store.frame_bytes / 1e6
    assert message.startswith(
        f"{tempfile.gettempdir()}: the proposals of 2 frames, {needed:.1f} MB"
    )
    assert "No space left on device" in message
    assert "TMPDIR" in message
    assert len(store) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
def test_device_without_space_is_one_sentence_and_closes() -> None:
    store = SeenStore(0)
    store._file = Path("/dev/full").open("r+b")  # noqa: SIM115
    with pytest.raises(FaimError, match="No space left on device"):
        store.append(proposals())
    store.close()


def test_missing_folder_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    store = SeenStore(0)
    with pytest.raises(FaimError, match=r"none: the proposals of 1 frames.*TMPDIR"):
        store.append(proposals())


def test_spilled_file_leaves_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = SeenStore(0)
    store.append(proposals())
    if sys.platform == "linux":
        assert list(tmp_path.iterdir()) == []
    store.close()
    assert list(tmp_path.iterdir()) == []


MEMORY = """
import torch
from pathlib import Path
from faim.stream.store import DetectionStore, SeenStore
from faim.structures import Detections, Proposals

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

n = 30
frame = Proposals(
    torch.rand(n, 4), torch.rand(n), torch.rand(n, 80), torch.rand(n, 128), torch.rand(n, 128),
    torch.ones(n, dtype=torch.bool),
)
store = SeenStore(32 * 2**20)
store.append(frame)
store.group([0])
before, largest = resident(), 0.0
for index in range(1, 5000):
    store.append(frame)
    if index % 50 == 0:
        store.group(range(0, index, index // 31 + 1))
        largest = max(largest, resident() - before)
assert torch.equal(store.group([4999]).cls_features[0], frame.cls_features)
print(store.frame_bytes * 5000 / 1e6, largest)
store.close()

found = Detections(torch.rand(30, 4), torch.rand(30), torch.arange(30))
before = resident()
detections = DetectionStore(108_000)
for index in range(108_000):
    detections[index] = found
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/statm, which Linux has")
def test_memory_stays_bounded() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    stored, growth, detections = map(float, done.stdout.split())
    assert stored > 200  # MB
    assert growth < 80  # the limit of 33.5, and its copy while it moves to the file
    assert detections < 100


def test_detections_of_frames_set_in_any_order() -> None:
    def found(k: int) -> Detections:
        return Detections(
            1000 * torch.rand(k, 4),
            torch.rand(k),
            torch.randint(0, 2**24, (k,)),
            torch.randint(1, 2**24, (k,)) * (1 - 2 * (torch.rand(k) < 0.2).long()).clamp(min=-1),
        )

    frames = [found(k) for k in (0, 3, 1, 0, 7)]
    store = DetectionStore(6)
    for index in (3, 4, 0, 2, 1):
        store[index] = frames[index]
    for index, frame in enumerate(frames):
        for name, tensor in vars(frame).items():
            assert torch.equal(getattr(store[index], name), tensor)
    assert store[4].class_ids.dtype == torch.int64
    store[4].boxes.zero_()
    assert torch.equal(store[4].boxes, frames[4].boxes)  # what is handed out is a copy
    assert len(store) == 6
    with pytest.raises(KeyError, match="frame 5 is not set"):
        store[5]
    with pytest.raises(KeyError, match="already"):
        store[4] = frames[4]
    with pytest.raises(IndexError):
        store[6]


def test_too_little_space_is_told_after_the_first_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    with SeenStore(memory_limit=0) as store:
        store.append(proposals())
        needed = 1000 * store.frame_bytes
        usage = shutil.disk_usage("/")
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=needed))
        store.check_space(1000)
        store.check_space(None)
        told = (
            r"the proposals of 1001 frames, .* MB, do not fit into .*; expected TMPDIR .* or mode"
        )
        with pytest.raises(FaimError, match=told):
            store.check_space(1001)
    with SeenStore(memory_limit=10**9) as roomy:
        roomy.append(proposals())
        roomy.check_space(1001)
