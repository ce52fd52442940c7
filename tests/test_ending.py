"""How a command ends: by a signal, and where nobody reads what it prints."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from faim import cli


def _ends(monkeypatch: pytest.MonkeyPatch, command: Callable[[], object]) -> int:
    """The exit status of a command that does this."""

    def build_parser() -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser()
        parser.set_defaults(run=lambda parsed: command())
        return parser

    monkeypatch.setattr(cli, "build_parser", build_parser)
    return cli.main([])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_command(
    number: signal.Signals, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)

    def command() -> None:
        try:
            signal.raise_signal(number)
            time.sleep(5)
        finally:
            closed.append(True)

    try:
        assert _ends(monkeypatch, command) == status
    finally:
        signal.signal(signal.SIGINT, interrupt)
    assert closed == [True]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_ignored_sigterm_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert _ends(monkeypatch, lambda: signal.raise_signal(signal.SIGTERM)) == 0
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_sigterm_ends_a_forked_worker_silently(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ended: list[int | None] = []

    def command() -> None:
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(20,))
        worker.start()
        assert worker.pid
        os.kill(worker.pid, signal.SIGTERM)
        worker.join(10)
        ended.append(worker.exitcode)

    assert _ends(monkeypatch, command) == 0
    assert ended == [-signal.SIGTERM]
    assert capfd.readouterr().err == ""


#: A command that prints first, with a progress bar's console too, then writes its result.
_COMMAND = r"""
import argparse, sys
from pathlib import Path
from rich.console import Console
from faim import cli
def run(parsed):
    print("x" * 200_000)
    Console().print("yes\n" * 20_000, soft_wrap=True)
    print("to stderr", file=sys.stderr)
    Path(sys.argv[1]).write_text("written")
def build_parser():
    parser = argparse.ArgumentParser()
    parser.set_defaults(run=run)
    return parser
cli.build_parser = build_parser
sys.exit(cli.main([]))
"""


@pytest.mark.parametrize(
    ("redirection", "status", "told"),
    [
        ("| true", 0, "to stderr\n"),
        (">&-", 0, "to stderr\n"),
        (">/dev/null 2>&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        (
            ">/dev/full",
            2,
            "to stderr\nfaim: standard output: cannot be written (No space left on device)\n",
        ),
        (">/dev/full 2>/dev/full", 2, ""),
    ],
)
def test_results_are_written_though_nothing_can_be_printed(
    redirection: str, status: int, told: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    line = f'set -o pipefail; "{sys.executable}" -c "$CODE" {out} {redirection}'
    done = subprocess.run(
        ["bash", "-c", line],
        env={**os.environ, "CODE": _COMMAND},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert (done.returncode, done.stderr) == (status, told)
    assert out.read_text() == "written"


def test_ctrl_c_works_in_the_processes_that_tests_start() -> None:
    """Also where a script in the background started these tests, with SIGINT ignored."""
    ask = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    asked = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert asked.stdout == "True\n"


def test_an_ignored_ctrl_c_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert _ends(monkeypatch, lambda: signal.raise_signal(signal.SIGINT)) == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
