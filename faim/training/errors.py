"""Failures that concern more processes than the one in which they happen."""

from __future__ import annotations

import contextlib
import signal

import lightning
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher

from faim.errors import FaimError


class OtherProcessError(FaimError):
    """Another process failed, and tells why; this one stops without a word."""

    def __init__(self) -> None:
        super().__init__("training: another process failed; it says why")


def agree(trainer: lightning.Trainer, own: Exception | None) -> None:
    """Go on only if no process failed; on all processes.

    Raises:
        Exception: `own`, in the process that has one.
        OtherProcessError: in the others.
    """
    fine = trainer.strategy.reduce_boolean_decision(own is None, all=True)
    if own is not None:
        raise own
    if not fine:
        raise OtherProcessError


def end_other_processes(trainer: lightning.Trainer) -> None:
    """After a failure of the main process alone: the ones it started would wait for it forever."""
    launcher = trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher):
        with contextlib.suppress(ProcessLookupError):
            launcher.kill(signal.SIGKILL)
