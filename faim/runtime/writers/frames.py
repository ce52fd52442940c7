"""Annotated frames as images."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from faim.pictures.writing import encode_image
from faim.runtime.sinks import Drawing, Result
from faim.runtime.writers.folder import OutputFolder
from faim.stream.frames import Frame

#: Endings that an image keeps; others become JPEG.
_KEPT = (".jpg", ".jpeg", ".png")


class FramesSink:
    """One image a frame: `000012.jpg` by its number, or as its own file is called.

    Images of other kinds than JPEG and PNG get `.jpg` behind their name (`scan.tif.jpg`).

    Raises:
        FaimError: the folder cannot be written.
    """

    def __init__(self, folder: str | Path, drawing: Drawing | None = None) -> None:
        self._folder = OutputFolder(folder)
        self._drawing = drawing or Drawing()

    def write(self, result: Result) -> None:
        """See `Sink`."""
        name = self._name(result.frame)
        self._folder.write(name, encode_image(Path(name), self._drawing.of(result)))

    def _name(self, frame: Frame) -> str:
        name = f"{frame.index:06d}" if frame.file is None else frame.file
        return name if PurePosixPath(name).suffix.lower() in _KEPT else f"{name}.jpg"

    def close(self) -> None:
        """See `Sink`."""
        self._folder.close()
