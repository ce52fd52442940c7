"""A frozen base detector that looks at every image once: most of a second stage's time."""

from __future__ import annotations

import hashlib
from typing import Self

import torch
from torch import Tensor

from faim.families.yolox.base import BaseDetector, DetectorOutput
from faim.families.yolox.ticam_detector import TicamDetector

#: What is kept of an image: fields of a `DetectorOutput`, and of each its levels.
Kept = dict[str, list[Tensor]]
GIGABYTE = 1e9


class BaseCache:
    """What one detector made of images, up to so many bytes; copies of a model share it.

    Attributes:
        images: entries by the hash of their pixels.
        limit: bytes that they may take; further images are not kept.
    """

    def __init__(self, limit: float) -> None:
        """An empty one."""
        self.images: dict[bytes, Kept] = {}
        self.limit = limit
        self.size = 0

    def add(self, key: bytes, entry: Kept) -> None:
        """Keep an entry, if there is room."""
        size = sum(tensor.nbytes for levels in entry.values() for tensor in levels)
        if key not in self.images and self.size + size <= self.limit:
            self.images[key] = entry
            self.size += size

    def __deepcopy__(self, _: object) -> Self:
        """Itself: the average of a model's weights has the same frozen base detector."""
        return self


class LastCache:
    """Keeps the last cache, for whatever comes next on the same detector; copies are itself."""

    def __init__(self) -> None:
        """Without one."""
        self._name = ""
        self._cache = BaseCache(0)

    def of(self, detector: BaseDetector, how: str, limit: float) -> BaseCache:
        """The one for these weights; `how` names what else decides the outputs."""
        digest = hashlib.sha256(how.encode())
        for tensor in detector.state_dict().values():
            digest.update(tensor.cpu().numpy().tobytes())
        if self._name != digest.hexdigest():
            self._name, self._cache = digest.hexdigest(), BaseCache(limit)
        self._cache.limit = limit
        return self._cache

    def __deepcopy__(self, _: object) -> Self:
        """Itself, as of a `BaseCache`."""
        return self


class CachedDetector(BaseDetector):
    """`BaseDetector` that takes from its cache what it has made before.

    Features that the model does not read are empty. In inference mode it keeps nothing: an
    evaluation's images would take the room of the training's.
    """

    def __init__(
        self, detector: BaseDetector, model: TicamDetector, limit: float, caches: LastCache
    ) -> None:
        """In the place of a model's frozen `detector`; `limit` in bytes."""
        super().__init__(model.config.scales, model.config.num_classes)
        self.load_state_dict(detector.state_dict())
        self.kept = ("maps", *model.reads)
        self.limit = limit
        self.caches = caches
        self.cache: BaseCache | None = None
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> DetectorOutput:
        """See `BaseDetector.forward`."""
        if torch.is_inference_mode_enabled():
            return super().forward(images)
        if self.cache is None:  # only now are weights and device those of the training
            device = images.device
            kind = (
                torch.get_autocast_dtype(device.type)
                if torch.is_autocast_enabled(device.type)
                else ""
            )
            self.cache = self.caches.of(self, f"{self.kept} {device} {kind}", self.limit)
        cache = self.cache
        pixels = images.cpu().contiguous().numpy()
        start = f"{pixels.shape[1:]} {pixels.dtype}".encode()
        keys = [
            hashlib.blake2b(start + image.tobytes(), digest_size=16).digest() for image in pixels
        ]
        entries = {key: cache.images[key] for key in keys if key in cache.images}
        missing = [place for place, key in enumerate(keys) if key not in entries]
        if missing:
            made = super().forward(images[missing])
            for row, place in enumerate(missing):
                entries[keys[place]] = self._entry(made, row)
                cache.add(keys[place], entries[keys[place]])
        output: dict[str, list[Tensor]] = {
            "stem_features": [],
            "cls_features": [],
            "reg_features": [],
        }
        for name in self.kept:
            levels = zip(*(entries[key][name] for key in keys), strict=True)
            output[name] = [torch.stack(level) for level in levels]
        return DetectorOutput(raw=self.decode(output["maps"]), **output)

    def _entry(self, output: DetectorOutput, row: int) -> Kept:
        return {name: [level[row].clone() for level in getattr(output, name)] for name in self.kept}


def cache_base(model: TicamDetector, gigabytes: float, caches: LastCache) -> None:
    """Let a model with a frozen base detector keep what that makes of each image."""
    model.detector = CachedDetector(model.detector, model, gigabytes * GIGABYTE, caches)
    model.set_trainable(model.config.train_parts)
