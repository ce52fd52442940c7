"""Where DAVIS keeps its images, masks and lists: 2016 and 2017, as their authors give them.

Images are in `JPEGImages/<resolution>/<sequence>`, masks in `Annotations/<resolution>/<sequence>`,
or `Annotations_unsupervised` of 2017's other track. The resolution is 480p, 1080p or
Full-Resolution. A list is `ImageSets/480p/<split>.txt` (2016: an image and its mask a line) or
`ImageSets/<year>/<split>.txt` (a sequence a line).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from faim.errors import FaimError
from faim.reading import read_text

_MASKS = ("Annotations", "Annotations_unsupervised")
_USUAL = "480p"


@dataclass(frozen=True)
class DavisLayout:
    """The folders of one resolution.

    Attributes:
        root: the folder of `JPEGImages`.
        images: one folder a sequence, of JPEGs.
        masks: one folder a sequence, of PNGs.
    """

    root: Path
    images: Path
    masks: Path

    def listed(self, split: str, years: Sequence[str]) -> list[str]:
        """The sequences of the first list of a split that is there, each once, in its order.

        Args:
            split: "train", "val" …
            years: folders of `ImageSets` to look in.

        Raises:
            FaimError: there is no such list, or it is empty.
        """
        files = [self.root / "ImageSets" / year / f"{split}.txt" for year in years]
        file = next((file for file in files if file.is_file()), files[0])
        names = []
        for line in read_text(file, "the list of DAVIS's sequences").splitlines():
            # Of 2016: /JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png
            first = line.split()[:1]
            names += [Path(each).parent.name if "/" in each else each for each in first]
        if not names:
            raise FaimError(f"{file}: is empty; expected one sequence a line")
        return list(dict.fromkeys(names))

    def sequences(self) -> list[str]:
        """All that have images, sorted."""
        return sorted(path.name for path in self.images.iterdir() if path.is_dir())


def find_layout(root: Path, resolution: str | None = None) -> DavisLayout:
    """Look into a DAVIS folder, or one that holds it under the name `DAVIS`.

    Args:
        root: the folder.
        resolution: None takes 480p where there are several.

    Raises:
        FaimError: it has no images or masks, or none of this resolution.
    """
    root = Path(root).resolve()
    if not (root / "JPEGImages").is_dir() and (root / "DAVIS" / "JPEGImages").is_dir():
        root = root / "DAVIS"
    parent = root / "JPEGImages"
    if not parent.is_dir():
        raise FaimError(f"{parent}: no such folder; expected a DAVIS folder with JPEGImages")
    folders = sorted(path.name for path in parent.iterdir() if path.is_dir())
    chosen = resolution or (folders[0] if len(folders) == 1 else _USUAL)
    if chosen not in folders:
        raise FaimError(
            f"{parent}: has the resolutions {', '.join(folders) or 'none'}; expected {chosen}"
        )
    masks = [root / name / chosen for name in _MASKS]
    there = next((folder for folder in masks if folder.is_dir()), None)
    if there is None:
        raise FaimError(f"{masks[0]}: no such folder; expected DAVIS with its masks")
    return DavisLayout(root, parent / chosen, there)
