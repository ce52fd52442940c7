"""Splits of EPIC-KITCHENS-55: seen kitchens (S1) and unseen ones (S2).

The official test videos, 106 of the 28 training kitchens (S1) and 54 of P09, P11, P18 and P32 (S2),
have no public boxes. The default split holds out parts of the 272 training videos in the same
proportions instead: an eighth of the kitchens, as 4 of 32, as S2; of every other kitchen's videos
28 %, as 106 of 378, rounded down, as S1. So a kitchen of S1 is always also in train.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from faim.data.converters.order import shuffled
from faim.errors import FaimError
from faim.reading import read_text, shown

UNSEEN_KITCHENS = 4 / 32
SEEN_VIDEOS = 106 / (272 + 106)


def default_split(participants: dict[str, str]) -> dict[str, str]:
    """train, S1 or S2 for each video; the choice is by the SHA-256 of the names.

    Args:
        participants: kitchen of each video, as "P01_01": "P01".
    """
    kitchens: dict[str, list[str]] = defaultdict(list)
    for video, kitchen in participants.items():
        kitchens[kitchen].append(video)
    split: dict[str, str] = {}
    unseen = set(shuffled(kitchens)[: int(UNSEEN_KITCHENS * len(kitchens) + 0.5)])
    for kitchen, videos in kitchens.items():
        seen = set(shuffled(videos)[: int(SEEN_VIDEOS * len(videos))])
        for video in videos:
            split[video] = "S2" if kitchen in unseen else "S1" if video in seen else "train"
    return split


def read_split(path: Path) -> dict[str, str]:
    """The split in a CSV file of two columns, video_id and split; a line of these names is skipped.

    Raises:
        FaimError: the file is missing, a line has other than two cells, or a video is there twice.
    """
    split: dict[str, str] = {}
    for number, cells in enumerate(_rows(path), 1):
        if not cells or (number == 1 and cells[0].strip() == "video_id"):
            continue
        if len(cells) != 2 or cells[0].strip() in split:
            raise FaimError(
                f"{path}:{number}: is {shown(','.join(cells))}; expected video_id,split, each "
                "video once"
            )
        split[cells[0].strip()] = cells[1].strip()
    return split


def _rows(path: Path) -> Iterable[list[str]]:
    try:
        return list(csv.reader(io.StringIO(read_text(path, "video_id,split"), newline="")))
    except csv.Error as error:
        raise FaimError(f"{path}: cannot be read ({error}); expected video_id,split") from error
