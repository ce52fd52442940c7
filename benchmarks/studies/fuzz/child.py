"""Reads inputs for `runner.Child`, in a process of its own, which a crash may end.

Takes lines of JSON, [subject, folder], and answers each by one: what came out, and what it took.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from loguru import logger

from faim.errors import FaimError
from studies.fuzz.subjects import SUBJECTS, Subject

#: What an input may take of addresses beyond what the libraries have, so that the machine lives.
_ADDRESSES = 6 << 30
_LONGEST_TEXT = 10_000


def main() -> None:
    """Serve until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no answer
    logger.remove()
    torch.set_num_threads(1)
    limit = _memory("VmSize") + _ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        subject, folder = json.loads(line)
        print(json.dumps(attempt(SUBJECTS[subject], Path(folder))), file=answers, flush=True)


def attempt(subject: Subject, folder: Path) -> dict[str, Any]:
    """One input: `kind`, `text`, processor `seconds`, and `megabytes` at most."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts afresh
    before, start = _memory("VmRSS"), time.process_time()
    try:
        subject.read(folder)
        kind, text = "accepted", ""
    except FaimError as error:
        kind, text = "refused", str(error)
    except BaseException as error:  # whatever else comes out is what is looked for
        kind, text = "other", f"{type(error).__name__}: {error} ({_place(error)})"
    seconds, peak = time.process_time() - start, _memory("VmHWM") - before
    return {
        "kind": kind,
        "text": text[:_LONGEST_TEXT],
        "seconds": seconds,
        "megabytes": max(peak, 0) / 1e6,
    }


def _place(error: BaseException) -> str:
    """The last line of this project that an error came through."""
    found, trace = "", error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "/faim/" in file:
            found = f"{file.rpartition('/faim/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _memory(name: str) -> int:
    """Bytes, from a line of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {name} in /proc/self/status")


if __name__ == "__main__":
    main()
