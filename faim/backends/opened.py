"""A detector that is ready to run, and knows where it is from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faim.backends.info import ExportInfo
from faim.detector import VideoDetector
from faim.errors import FaimError


class OpenedDetector(VideoDetector):
    """What runs a model: torch, or exported graphs.

    Copies and other processes open it anew, as most backends cannot be sent there.

    Attributes:
        reopen: makes the same thing from its files; None where there are no files.
    """

    reopen: Callable[[], Any] | None = None

    @classmethod
    def graphs_needed(cls, info: ExportInfo) -> tuple[str, ...]:
        """Names of the graphs that an exported folder must have beside this one."""
        return ()

    def warm_up(self) -> None:
        """Meet every shape that is to come, so that none costs a frame of a video its time."""

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        """Pickles and deep copies are opened anew.

        Raises:
            FaimError: the model is in memory alone.
        """
        if self.reopen is None:
            raise FaimError(
                "detector: its model is in no file, so it cannot be copied or sent to another "
                "process; expected one of faim.load"
            )
        return self.reopen, ()
