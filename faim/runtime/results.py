"""What a running detector gives out for every frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import supervision as sv
from numpy.typing import NDArray

from faim.errors import FaimError
from faim.pictures.image import Image
from faim.pictures.writing import write_image
from faim.runtime.drawing import Annotator
from faim.runtime.frame_record import to_line, to_record
from faim.stream.frames import Frame
from faim.stream.work import TensorResult
from faim.structures import Detections
from faim.text import printable


@dataclass(frozen=True, eq=False, repr=False)
class FrameResult:
    """A frame and what was found in it, as users meet it.

    `len` counts the detections, and what `detections` has by name is also reached from here:
    `result.xyxy`, `result["class_name"]`. In a notebook a result is a picture.

    Attributes:
        frame: the source's frame.
        detections: `supervision.Detections`, boxes in pixels of `frame.image`, best score first;
            see `to_supervision`.
        names: what the weights know, by class id.
        source: what a person calls the source: a path, URL or camera.

    Example:
        >>> import numpy as np, faim
        >>> picture = np.full((256, 256, 3), 114, np.uint8)
        >>> picture[64:160, 64:160] = np.arange(96)[:, None] // 8 % 2 * 180 + 40
        >>> result = faim.load()(picture)
        >>> result
        <FrameResult of 1 array, frame 0 at 0.00 s: 1 stripes>
        >>> result.labels, result["class_name"].tolist(), result.xyxy.shape
        (['stripes'], ['stripes'], (1, 4))
        >>> {name: value for name, value in result.to_dict().items() if name != "detections"}
        {'frame': 0, 'time': 0.0, 'width': 256, 'height': 256}
        >>> result.plot().shape
        (256, 256, 3)
    """

    frame: Frame
    detections: sv.Detections
    names: tuple[str, ...] = ()
    source: str = ""

    @property
    def index(self) -> int:
        """Place in the source, from 0; a picture that cannot be read leaves a gap."""
        return self.frame.index

    @property
    def time(self) -> float:
        """Seconds since the first place of the source."""
        return self.frame.time

    @property
    def file(self) -> str | None:
        """Name of the frame's image file, see `Frame`; None in a video."""
        return self.frame.file

    @property
    def image(self) -> Image:
        """The frame's pixels, (h, w, 3) uint8 BGR.

        Raises:
            FaimError: they were not kept.
        """
        if not self.frame.has_pixels:
            raise FaimError(
                f"frame {self.index}: its pixels were not kept; expected images=True in the call "
                "that gave this result"
            )
        return self.frame.image

    @property
    def xyxy(self) -> NDArray[np.float32]:
        """(k, 4) float32, x1 y1 x2 y2 in pixels of the frame."""
        return self.detections.xyxy

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(k,) float32 in [0, 1]."""
        return self.detections.confidence

    @property
    def class_id(self) -> NDArray[np.int_]:
        """(k,) int, places in `names`."""
        return self.detections.class_id

    @property
    def tracker_id(self) -> NDArray[np.int_] | None:
        """(k,) int, -1 where a box has no track; None where nothing links the frames."""
        return self.detections.tracker_id

    @property
    def data(self) -> dict[str, Any]:
        """What else is known of every box; `"class_name"` always."""
        return self.detections.data

    @property
    def labels(self) -> list[str]:
        """Class names of the k boxes."""
        return [str(name) for name in self.data.get("class_name", ())]

    def __len__(self) -> int:
        """Number of detections."""
        return len(self.detections)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Of `data`."""
        return self.detections[name]

    def __repr__(self) -> str:
        """Where the frame is from and what was found in it, most numerous first."""
        found = ", ".join(f"{count} {name}" for name, count in Counter(self.labels).most_common())
        source = f" of {self.source}," if self.source else ""
        file = f" ({self.file})" if self.file is not None else ""
        return printable(
            f"<FrameResult{source} frame {self.index}{file} at {self.time:.2f} s: "
            f"{found or 'nothing'}>"
        )

    def plot(self, annotator: Annotator | None = None) -> Image:
        """The frame with its detections drawn, a new (h, w, 3) uint8 BGR array.

        Args:
            annotator: draws them; `faim.runtime.drawing.Annotator()` by default.

        Raises:
            FaimError: the pixels were not kept.
        """
        return (annotator or Annotator()).draw(self.image, self.detections)

    def save(self, path: str | Path, annotator: Annotator | None = None) -> None:
        """Write `plot` to an image file of the kind that its name ends in, whole or not at all.

        Raises:
            FaimError: it cannot be written, or the pixels were not kept.

        Example:
            >>> import tempfile
            >>> import numpy as np, faim
            >>> result = faim.load()(np.full((64, 96, 3), 114, np.uint8))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     result.save(f"{folder}/found.png")
            ...     faim.load()(f"{folder}/found.png").image.shape
            (64, 96, 3)
        """
        write_image(Path(path), self.plot(annotator))

    def to_dict(self) -> dict[str, Any]:
        """The frame's record as `faim predict --jsonl` writes it; see `to_record`."""
        return to_record(self.frame, self.detections)

    def to_json(self) -> str:
        """`to_dict` as one line of JSON.

        Example:
            >>> import numpy as np, faim
            >>> faim.load()(np.full((64, 96, 3), 114, np.uint8)).to_json()
            '{"frame": 0, "time": 0.0, "width": 96, "height": 64, "detections": []}'
        """
        return to_line(self.to_dict(), "utf-8").removesuffix("\n")

    def without_pixels(self) -> FrameResult:
        """The same result holding no picture; see `Frame.without_pixels`.

        Example:
            >>> import numpy as np, faim
            >>> result = faim.load()(np.full((64, 96, 3), 114, np.uint8)).without_pixels()
            >>> result.frame.has_pixels, result.frame.image.shape
            (False, (64, 96, 3))
        """
        return replace(self, frame=self.frame.without_pixels())

    def _repr_jpeg_(self) -> bytes | None:
        """The picture that notebooks show; None where the pixels were not kept, for the text."""
        if not self.frame.has_pixels:
            return None
        return cv2.imencode(".jpg", self.plot())[1].tobytes()


def to_result(result: TensorResult, class_names: Sequence[str], source: str) -> FrameResult:
    """A result as users meet it."""
    found = to_supervision(result.detections, class_names)
    return FrameResult(result.frame, found, tuple(class_names), source)


def to_supervision(detections: Detections, class_names: Sequence[str]) -> sv.Detections:
    """The detections as users meet them.

    Returns:
        `xyxy` (k, 4) float32, `confidence` (k,) float32, `class_id` (k,) int, and the names in
        `data["class_name"]` (k,) str; `tracker_id` (k,) int, -1 where a box has no track, None
        where nothing links the frames.
    """
    class_ids = detections.class_ids.cpu().numpy().astype(int)
    tracks = detections.track_ids
    names = np.array([class_names[index] for index in class_ids], dtype=str)
    return sv.Detections(
        xyxy=detections.boxes.cpu().numpy().astype(np.float32).reshape(-1, 4),
        confidence=detections.scores.cpu().numpy().astype(np.float32),
        class_id=class_ids,
        tracker_id=None if tracks is None else tracks.cpu().numpy().astype(int),
        data={"class_name": names},
    )
