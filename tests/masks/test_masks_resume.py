import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from masks_helpers import ToldMasks, content, masks_of, run, write

from faim.errors import FaimError
from faim.jobs.unfinished import Unfinished
from faim.masks.finish import Finishing
from faim.masks.grabcut import GrabCutMasks
from faim.masks.run import MaskRequest, run_masks


def test_the_same_file_whatever_the_workers(tmp_path):
    path = write(tmp_path, content((3, 2, 1, 2)))
    for workers in (0, 2):
        request = MaskRequest(path, tmp_path / f"{workers}.json", GrabCutMasks(), workers=workers)
        run_masks(request)
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "2.json").read_bytes()


def test_goes_on_after_ctrl_c(tmp_path):
    path = write(tmp_path, content((3, 2, 1)))
    log = tmp_path / "log"
    with pytest.raises(KeyboardInterrupt):
        run(path, ToldMasks(log=str(log), stop_after=2))
    assert not (tmp_path / "out.json").exists()
    run(path, ToldMasks(log=str(log)))
    assert log.read_text() == "[1, 2, 3]\n[4, 5]\n[6]\n"  # each video once
    run(path, out="whole.json")
    assert (tmp_path / "out.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert not (tmp_path / "out.json.part").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"method": ToldMasks("none")},
        {"finishing": Finishing(margin=0.2)},
        {"strict": True},
    ],
)
def test_another_request_does_not_go_on(tmp_path, change):
    path = write(tmp_path, content((1, 1)))
    log = tmp_path / "log"
    with pytest.raises(KeyboardInterrupt):
        run(path, ToldMasks(log=str(log), stop_after=1))
    method = change.get("method", ToldMasks())
    method.log = str(log)
    run(path, **{**change, "method": method})
    assert log.read_text() == "[1]\n[1]\n[2]\n"


def test_another_box_does_not_go_on(tmp_path):
    path = write(tmp_path, content((1, 1)))
    log = tmp_path / "log"
    with pytest.raises(KeyboardInterrupt):
        run(path, ToldMasks(log=str(log), stop_after=1))
    entries = content((1, 1))
    entries["annotations"][0]["bbox"][2] += 1
    write(tmp_path, entries)
    run(path, ToldMasks(log=str(log)))
    assert log.read_text() == "[1]\n[1]\n[2]\n"


def test_one_run_at_a_time(tmp_path):
    path = write(tmp_path, content((1, 1)))
    with Unfinished(tmp_path / "out.json") as first:
        first.append("a", b"[1]")
        with pytest.raises(FaimError, match="part: another run writes there; expected one at a"):
            run(path)
        first.append("b", b"[2]")
        assert list(first.read(["b", "a"])) == [[2], [1]]
    assert not (tmp_path / "out.json").exists()
    run(path)
    assert len(masks_of(tmp_path / "out.json")) == 2


def test_a_line_that_another_program_changed_is_not_taken(tmp_path):
    with Unfinished(tmp_path / "out.json") as unfinished:
        unfinished.append("a", b"[1]")
        unfinished.append("b", b"[2]")
        file = unfinished.folder / "videos.jsonl"
        file.write_bytes(file.read_bytes().replace(b'"a"', b'"c"'))
        assert list(unfinished.read(["b"])) == [[2]]
        with pytest.raises(FaimError, match="was changed during the run; expected no other"):
            list(unfinished.read(["a"]))


KILLED = """
import sys
sys.path.insert(0, {helpers!r})
from pathlib import Path
from masks_helpers import ToldMasks
from faim.masks.run import MaskRequest, run_masks
if __name__ == "__main__":
    path = Path({path!r})
    method = ToldMasks(log={log!r}, seconds=0.3)
    run_masks(MaskRequest(path, path.parent / "out.json", method, workers=2))
"""


def test_killed_it_loses_what_was_being_done_and_leaves_no_process(tmp_path):
    path = write(tmp_path, content((1,) * 12))
    log, script = tmp_path / "log", tmp_path / "killed.py"
    helpers = str(Path(__file__).parents[1] / "helpers")
    script.write_text(KILLED.format(helpers=helpers, path=str(path), log=str(log)))
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL,
                               stdout=subprocess.PIPE)  # fmt: skip
    deadline = time.monotonic() + 60
    while not (log.exists() and len(log.read_text().splitlines()) >= 4):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.stdout.read()  # its workers have it open: until the last one ends
    kept = len((tmp_path / "out.json.part/videos.jsonl").read_text().splitlines())
    before = len(log.read_text().splitlines())
    assert before - kept <= 3  # one in each process, and one on its way
    run(path, ToldMasks(log=str(log)))
    assert len(log.read_text().splitlines()) == before + 12 - kept
    assert len(masks_of(tmp_path / "out.json")) == 12
