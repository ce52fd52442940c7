"""Proposals of videos on disk, each video's made once: what comes after them is then tried fast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from faim.data.coco_vid import VideoRecord, read_frame
from faim.data.transforms import LetterboxGeometry
from faim.errors import FaimError
from faim.files import write_whole
from faim.runtime.pipeline import Detector
from faim.stream.scene_cut import is_scene_cut, thumbnail
from faim.structures import Proposals
from lab.looking import looked


@dataclass(frozen=True)
class LookedAt:
    """A video after the part that looks at every frame alone.

    Attributes:
        geometry: how its frames, all of one size, were brought to the network's input.
        proposals: (m, n) of its m frames.
        cuts: of every frame, whether a new scene begins with it.
    """

    geometry: LetterboxGeometry
    proposals: Proposals
    cuts: list[bool]


class KeptProposals:
    """Proposals in files of a folder, one a video."""

    def __init__(self, detector: Detector, folder: Path) -> None:
        """Those of `detector`, kept in `folder`, which no other weights or settings may share."""
        self.detector, self.folder = detector, folder
        self.recipe = [
            detector.fingerprint,
            f"{detector.size} {detector.backend}",
            f"{detector.traits.details['proposals']} {detector.traits.details['proposal_nms']}",
        ]

    def get(self, video: VideoRecord, on_frame: Callable[[], None] = lambda: None) -> LookedAt:
        """Of one video, made now if they are not there; `on_frame` is called for every frame.

        Raises:
            FaimError: an image cannot be read or has another size than the first; the file is that
                of other weights or settings.
        """
        file = self.folder / f"{video.name}.pt"
        if not file.exists():
            self._add(file, self._look(video, on_frame))
            return self.get(video)
        content = torch.load(file, weights_only=True, mmap=True)
        if content["recipe"] != self.recipe:
            raise FaimError(
                f"{file}: proposals of other weights or settings; expected another --out, or this "
                "folder away"
            )
        for _ in content["cuts"]:
            on_frame()
        geometry = LetterboxGeometry(**content["geometry"])
        return LookedAt(geometry, Proposals(**content["proposals"]), content["cuts"])

    def _look(self, video: VideoRecord, on_frame: Callable[[], None]) -> LookedAt:
        found, geometries, cuts = [], [], []
        before: np.ndarray | None = None
        for record in video.frames:
            image = read_frame(record)
            (item,) = looked(self.detector, [image])
            small = thumbnail(image)
            cuts.append(is_scene_cut(before, small))
            before = small
            assert isinstance(item.seen, Proposals)
            found.append(item.seen.to("cpu"))
            geometries.append(item.geometry)
            if item.geometry != geometries[0]:
                raise FaimError(
                    f"{record.path}: {image.shape[1]}x{image.shape[0]}; expected the size of the "
                    "video's first frame"
                )
            on_frame()
        return LookedAt(geometries[0], Proposals.stack(found), cuts)

    def _add(self, file: Path, made: LookedAt) -> None:
        content = {
            "recipe": self.recipe,
            "geometry": asdict(made.geometry),
            "proposals": vars(made.proposals),
            "cuts": made.cuts,
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, lambda part: torch.save(content, part))
