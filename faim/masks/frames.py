"""The frames of one video file by file: decoded when asked for, the last ones kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from faim.data.records import FrameRecord, read_frame
from faim.pictures.image import Image

#: Bytes of decoded images that are kept: about a hundred frames of 854x480.
KEPT_BYTES = 128 * 2**20


class VideoFrames:
    """Frames as `faim.masks.protocol.Frames` has them.

    Attributes:
        image_ids: of the annotation file, one a frame.
        sizes: height and width in pixels, one a frame, as the annotation file says.
    """

    def __init__(self, records: Sequence[FrameRecord], kept_bytes: int = KEPT_BYTES) -> None:
        """Nothing is read yet; at least the image asked for last is kept, whatever `kept_bytes`."""
        self.image_ids: Sequence[int] = [record.image_id for record in records]
        self.sizes: Sequence[tuple[int, int]] = [(each.height, each.width) for each in records]
        self._records = records
        self._room = kept_bytes
        self._images: OrderedDict[int, Image] = OrderedDict()

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._records)

    def __getitem__(self, index: int, /) -> Image:
        """A frame, (H, W, 3) uint8 BGR, read-only.

        Raises:
            FaimError: its file is missing, is no image, or is of another size.
            IndexError: there is no such frame.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        if index in self._images:
            self._images.move_to_end(index)
            return self._images[index]
        image = read_frame(self._records[index])
        image.flags.writeable = False
        self._images[index] = image
        self._room -= image.nbytes
        while self._room < 0 and len(self._images) > 1:
            _, oldest = self._images.popitem(last=False)
            self._room += oldest.nbytes
        return image
