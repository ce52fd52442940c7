"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from faim.errors import FaimError
from faim.files import check_writable, ffmpeg_path, write_tensors, write_whole


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError("wrong")])
def test_what_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def half(part: Path) -> None:
        part.write_text("ha")
        raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        write_whole(path, half)
    assert path.read_text() == "old"
    write_whole(path, lambda part: part.write_text("new"))
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "new"


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    def full(part: Path) -> None:
        part.write_text("ha")
        raise OSError(28, "No space left on device")

    with pytest.raises(FaimError, match=r"a: cannot be written \(No space left on device\); exp"):
        write_whole(tmp_path / "a", full)
    assert not list(tmp_path.iterdir())


def test_places_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "none/a", tmp_path / ("x" * 5000)):
        with pytest.raises(FaimError, match="cannot be written"):
            write_whole(path, lambda part: part.write_text("new"))
        with pytest.raises(FaimError, match="cannot be written"):
            write_tensors(path, {"a": torch.ones(2)}, {})
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_a_pipe_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_whole(pipe, lambda part: part.write_text("new"))
    reader.join(10)
    assert read == ["new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    target, link, dangling = tmp_path / "far/a", tmp_path / "link", tmp_path / "dangling"
    target.write_text("old")
    link.symlink_to(target)
    dangling.symlink_to(Path("far") / "b")
    for path in (link, dangling):
        check_writable(path)
        write_whole(path, lambda part: part.write_text("new"))
        assert path.is_symlink()
        assert path.read_text() == "new"
    assert sorted(file.name for file in (tmp_path / "far").iterdir()) == ["a", "b"]
    gone = tmp_path / "gone"
    gone.symlink_to("nowhere/c")
    with pytest.raises(FaimError, match="cannot be written"):
        check_writable(gone)


def test_devices_stay(tmp_path: Path) -> None:
    check_writable(Path("/dev/null"))
    write_whole(Path("/dev/null"), lambda part: part.write_text("new"))
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)  # noqa: PTH116
    with (tmp_path / "open").open("w") as file:
        write_whole(Path(f"/dev/fd/{file.fileno()}"), lambda part: part.write_text("new"))
        assert os.fstat(file.fileno()).st_size == 3  # the open file, not another of its name
    if os.path.exists("/dev/full"):  # noqa: PTH110
        with pytest.raises(FaimError, match="/dev/full: cannot be written"):
            write_whole(Path("/dev/full"), lambda part: part.write_text("new"))


def test_tensors_that_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": torch.arange(3.0)}, {"format": "faim"})
    assert load_file(path)["a"].tolist() == [0, 1, 2]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_ffmpeg_takes_a_colon_as_part_of_the_name() -> None:
    assert ffmpeg_path(Path("a/12:00.mp4")) == "file:a/12:00.mp4"


def test_names_of_others_are_left_alone(tmp_path: Path) -> None:
    path, own, far = tmp_path / "a.json", tmp_path / "a.json.part", tmp_path / "far"
    own.write_text("mine")
    far.write_text("untouched")
    (tmp_path / ".part-abcdefgh").symlink_to(far)
    (tmp_path / ".part-notes").mkdir()
    write_whole(path, lambda part: part.write_text("new"))
    assert path.read_text() == "new"
    assert own.read_text() == "mine"
    assert far.read_text() == "untouched"
    names = {".part-abcdefgh", ".part-notes", "a.json", "a.json.part", "far"}
    assert {file.name for file in tmp_path.iterdir()} == names


def test_two_writers_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "a.json"

    def both(part: Path) -> None:
        part.write_text("first")
        write_whole(path, lambda other: other.write_text("second"))
        assert part.read_text() == "first"

    write_whole(path, both)
    assert path.read_text() == "first"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_the_next_run_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from faim.files import write_whole\n"
        "def write(part): part.write_text('ha'); print(part, flush=True); sys.stdin.read()\n"
        "write_whole(Path(sys.argv[1]), write)\n"
    )
    path = tmp_path / "a.json"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout
        part = Path(other.stdout.readline().strip())
        write_whole(path, lambda mine: mine.write_text("new"))
        assert part.read_text() == "ha"  # of a process that lives
        other.kill()
    assert part.is_file()
    write_whole(path, lambda mine: mine.write_text("newer"))
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
