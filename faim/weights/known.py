"""The public weights that have a name.

Sizes and SHA-256 are those of the files of YOLOX's release 0.1.1rc0, as several projects that pin
them have written down, each for itself. What lies on Google Drive has neither, and is fetched by
hand.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Release:
    """A file on the web that does not change.

    Attributes:
        url: where it is.
        size: bytes.
        sha256: of its content, in hexadecimal.
    """

    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class KnownWeights:
    """Weights that `--weights` and `faim.load` take by name.

    Attributes:
        title: the network.
        classes: how many, and of which data.
        file: the name of their file in the cache.
        release: the file; None where a browser has to fetch it.
        page: where the browser finds it, on Google Drive.
    """

    title: str
    classes: str
    file: str
    release: Release | None = None
    page: str = ""


_YOLOX_RELEASE = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0"


def _yolox(size: str, count: int, sha256: str) -> KnownWeights:
    file = f"yolox_{size.lower()}.pth"
    release = Release(f"{_YOLOX_RELEASE}/{file}", count, sha256)
    return KnownWeights(f"YOLOX-{size}", "80 of COCO", file, release)


def _on_drive(title: str, file: str, key: str) -> KnownWeights:
    page = f"https://drive.google.com/file/d/{key}/view?usp=sharing"
    return KnownWeights(title, "30 of VID", file, page=page)


#: By name. YOLOX's are trained on COCO, those on Google Drive on ImageNet VID.
KNOWN = {
    "yolox_nano": _yolox(
        "Nano", 7_694_953, "cd28f55fbbc1829f99d9ac9b38a16d259a22889739c8728ea877610201feff7b"
    ),
    "yolox_tiny": _yolox(
        "Tiny", 40_755_013, "9de513de589ac98bb92d3bca53b5af7b9acfa9b0bacb831f7999d0f7afaee8f0"
    ),
    "yolox_s": _yolox(
        "S", 72_089_125, "f55ded7181e1b0c13285c56e7790b8f0e8f8db590fe4edb37f0b7f345c913a30"
    ),
    "yolox_m": _yolox(
        "M", 203_114_461, "60076992b32da82951c90cfa7bd6ab70eba9eda243e08b940a396f60ac2d19b6"
    ),
    "yolox_l": _yolox(
        "L", 434_357_141, "1e6b7fa6240375370b2a8a8eab9066b3cdd43fd1d0bfa8d2027fd3a51def2917"
    ),
    "yolox_x": _yolox(
        "X", 793_463_373, "5652330b6ae860043f091b8f550a60c10e1129f416edfdb65c259be6caf355cf"
    ),
    "yolox_s_vid": _on_drive("YOLOX-S", "yolox_s_vid.pth", "1n8wkByqpHdrGy6z9fsoZpBtTa0I3JOcG"),
    "yolox_l_vid": _on_drive("YOLOX-L", "yolox_l_vid.pth", "1rikaPCAHBBIugYUZYV1buyOIRG8xvGKB"),
    "yolox_x_vid": _on_drive("YOLOX-X", "yolox_x_vid.pth", "1OH3hGj7RMfcinMKPESbfI7C5y_RrA3aF"),
    "yolov_s": _on_drive("YOLOV-S", "yolov_s.pth", "12X4dQw45aXVYgJjKAAAPk409FO3xValW"),
    "yolov_l": _on_drive("YOLOV-L", "yolov_l.pth", "1qZ-3iPDlYx1OKe6zz_-n42ceijo_Ntx6"),
    "yolov_x": _on_drive("YOLOV-X", "yolov_x.pth", "1OIozS-D9wbWA9pDFl5xoFw6XqEcYtzsJ"),
}
