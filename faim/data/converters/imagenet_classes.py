"""The classes of ImageNet VID by their WordNet ids.

VID's 30 classes are chosen from the 200 of DET: in both, the annotations name the same synset for
the same class (readme of the ILSVRC2015 development kit, 1.3). So one table serves both, and any
other synset in DET is another class. Breeds and the like, whose ids some of DET's folders bear, do
not occur as object names there, only as `subcategory`.
"""

from __future__ import annotations

from faim.class_names import IMAGENET_VID_CLASSES
from faim.data.converters.items import Category

#: WordNet id of each class, in the order of `IMAGENET_VID_CLASSES`.
WORDNET_IDS: tuple[str, ...] = (
    "n02691156",  # airplane
    "n02419796",  # antelope
    "n02131653",  # bear
    "n02834778",  # bicycle
    "n01503061",  # bird
    "n02924116",  # bus
    "n02958343",  # car
    "n02402425",  # cattle
    "n02084071",  # dog
    "n02121808",  # domestic_cat
    "n02503517",  # elephant
    "n02118333",  # fox
    "n02510455",  # giant_panda
    "n02342885",  # hamster
    "n02374451",  # horse
    "n02129165",  # lion
    "n01674464",  # lizard
    "n02484322",  # monkey
    "n03790512",  # motorcycle
    "n02324045",  # rabbit
    "n02509815",  # red_panda
    "n02411705",  # sheep
    "n01726692",  # snake
    "n02355227",  # squirrel
    "n02129604",  # tiger
    "n04468005",  # train
    "n01662784",  # turtle
    "n04530566",  # watercraft
    "n02062744",  # whale
    "n02391049",  # zebra
)

#: Index of a class by its WordNet id.
CLASS_INDEX: dict[str, int] = {wordnet_id: index for index, wordnet_id in enumerate(WORDNET_IDS)}

CATEGORIES: tuple[Category, ...] = tuple(
    Category(name, {"wordnet_id": wordnet_id})
    for name, wordnet_id in zip(IMAGENET_VID_CLASSES, WORDNET_IDS, strict=True)
)
