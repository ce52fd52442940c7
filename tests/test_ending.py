"""How a command ends: by a signal, and where nobody reads what it prints."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import time
from collections.abc import Callable

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
