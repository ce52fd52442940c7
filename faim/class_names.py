"""Class names of public data sets, in the order of their class ids."""

from __future__ import annotations

#: The 30 classes of ImageNet VID (Russakovsky et al., IJCV 2015).
IMAGENET_VID_CLASSES: tuple[str, ...] = (
    "airplane",
    "antelope",
    "bear",
    "bicycle",
    "bird",
    "bus",
    "car",
    "cattle",
    "dog",
    "domestic_cat",
    "elephant",
    "fox",
    "giant_panda",
    "hamster",
    "horse",
    "lion",
    "lizard",
    "monkey",
    "motorcycle",
    "rabbit",
    "red_panda",
    "sheep",
    "snake",
    "squirrel",
    "tiger",
    "train",
    "turtle",
    "watercraft",
    "whale",
    "zebra",
)
