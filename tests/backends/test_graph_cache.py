"""The cache of exported graphs: damaged, unreadable, unwritable, and shared with others."""

from __future__ import annotations

import os
import stat
import sys
import time
from pathlib import Path

import pytest
from select_helpers import CONFIG, FakeRunner

from faim.backends import graph_cache
from faim.backends.graph_cache import cached_graphs
from faim.errors import FaimError
from faim.families.yolox.checkpoint import load_model, save_checkpoint
from faim.families.yolox.faim import FAIM
from faim.families.yolox.graphs import info_of
from faim.runtime.select import BackendOptions, open_detector

pytestmark = pytest.mark.usefixtures("as_it_was")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_checkpoint(path, FAIM(CONFIG))
    return path


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The exports made, each of which takes no time."""
    made: list[Path] = []

    def write(folder: Path) -> None:
        made.append(folder)
        for name in ("frame.onnx", "step.onnx"):
            (folder / name).write_text(f"{name}, whole")

    monkeypatch.setattr(sys.modules[__name__], "write_graphs", write)
    return made


def write_graphs(folder: Path) -> None:
    raise AssertionError("a stand-in takes its place")


def entry(checkpoint: Path) -> Path:
    info = info_of(load_model(checkpoint), "frame", size=(64, 64))
    return cached_graphs(checkpoint, info, lambda folder: write_graphs(folder))


def test_entries_may_be_read_by_others(checkpoint: Path, exports: list[Path]) -> None:
    folder = entry(checkpoint)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}
    assert entry(checkpoint) == folder
    assert len(exports) == 1


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing", "no checksums", "a file"])
def test_a_damaged_entry_is_made_again(
    checkpoint: Path, exports: list[Path], damage: str, tmp_path: Path
) -> None:
    folder = entry(checkpoint)
    if damage == "a file":
        folder.rename(tmp_path / "elsewhere")
        folder.write_text("no folder")
    elif damage == "truncated":
        (folder / "step.onnx").write_text("step")
    elif damage == "changed":
        (folder / "step.onnx").write_text("step.onnx, Whole")
    else:
        (folder / ("step.onnx" if damage == "missing" else "checksums.json")).unlink()
    assert entry(checkpoint) == folder
    assert (folder / "step.onnx").read_text() == "step.onnx, whole"
    assert len(exports) == 2
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_where_the_cache_cannot_be_written_the_users_temporary_one_is_used(
    checkpoint: Path, exports: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("FAIM_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = entry(checkpoint)
    assert folder.parent == tmp_path / f"faim-cache-{os.getuid()}"
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert entry(checkpoint) == folder
    assert len(exports) == 1


def test_a_planted_temporary_cache_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place = tmp_path / f"faim-cache-{os.getuid()}"
    (tmp_path / "theirs").mkdir()
    place.symlink_to(tmp_path / "theirs")
    assert graph_cache._temporary_cache() is None
    place.unlink()
    place.mkdir()
    place.chmod(0o777)
    assert graph_cache._temporary_cache() is None
    place.chmod(0o700)
    assert graph_cache._temporary_cache() == place


def test_without_any_cache_auto_takes_torch(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    everything_is_installed: None,
) -> None:
    monkeypatch.setattr(graph_cache, "cache_folder", lambda: None)
    monkeypatch.setattr(graph_cache, "_temporary_cache", lambda: None)
    assert open_detector(checkpoint, BackendOptions(device="cpu")).traits.runs_on == "torch fp32"
    with pytest.raises(FaimError, match=r"cache: cannot keep exported graphs there \(there is no"):
        open_detector(checkpoint, BackendOptions("openvino"))


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("FAIM_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert graph_cache.cache_folder() is None


def test_what_a_killed_export_left_goes_in_time(
    checkpoint: Path, exports: list[Path], tmp_path: Path
) -> None:
    long_ago, running = tmp_path / "cache/part-old", tmp_path / "cache/part-new"
    for part in (long_ago, running):
        (part / "files").mkdir(parents=True)
    os.utime(long_ago, times=(time.time() - 90_000,) * 2)
    folder = entry(checkpoint)
    assert sorted((tmp_path / "cache").iterdir()) == sorted([folder, running])


def test_the_runner_gets_the_entry(
    checkpoint: Path, exports: list[Path], everything_is_installed: None
) -> None:
    runner = open_detector(checkpoint, BackendOptions("onnxruntime")).runner
    assert isinstance(runner, FakeRunner)
    assert runner.folder == entry(checkpoint)
