"""A folder that a sink fills."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from faim.errors import FaimError
from faim.files import scratch_folder


class OutputFolder:
    """A folder of files that appear whole or not at all.

    It is made at once, and goes again at `close` if nothing came into it. Files that are there
    already stay, but for those of the same name.

    Raises:
        FaimError: it cannot be made, or nothing can be written there.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._stack = ExitStack()
        self._scratch: Path | None = None
        self._made = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise self._unwritable(self.path, error) from error

    def write(self, name: str, content: bytes) -> None:
        """Write a file; `name` may have folders, which are made.

        Raises:
            FaimError: it cannot be written.
        """
        place = self.path / name
        try:
            if self._scratch is None:
                self._scratch = self._stack.enter_context(scratch_folder(self.path))
            place.parent.mkdir(parents=True, exist_ok=True)
            (self._scratch / "part").write_bytes(content)
            (self._scratch / "part").replace(place)
        except OSError as error:
            raise self._unwritable(place, error) from error

    def close(self) -> None:
        """No more files come."""
        self._stack.close()
        if self._made:
            with suppress(OSError):  # it is not empty
                self.path.rmdir()

    @staticmethod
    def _unwritable(path: Path, error: OSError) -> FaimError:
        return FaimError(
            f"{path}: cannot be written ({error.strerror or error}); expected a folder, or a place "
            "for one, that is writable and has space left"
        )
