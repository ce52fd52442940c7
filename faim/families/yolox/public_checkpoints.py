"""Checkpoints of the public YOLOX and YOLOV implementations, recognised by their keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor
from yolox.data.datasets import COCO_CLASSES

from faim.class_names import IMAGENET_VID_CLASSES
from faim.errors import FaimError
from faim.families.yolox.config import MOST_CLASSES, YOLOX_SCALES, FaimConfig, Scale
from faim.state_dicts import Shapes, StateDict, read_pth, shapes_of

#: Class names by their number; both implementations store numbers alone.
_CLASS_NAMES = {80: tuple(COCO_CLASSES), 30: IMAGENET_VID_CLASSES}
_KNOWN = "head.cls_preds.0.bias"
_HEAD = ("stems", "cls_convs", "reg_convs", "cls_preds", "reg_preds", "obj_preds")
#: Where the weights that YOLOV has besides YOLOX's belong.
_YOLOV = {
    "head.cls_convs2.": "video_branch.convs.",
    "head.trans.msa.qkv_cls.": "ticam.qkv_cls.",
    "head.trans.msa.qkv_reg.": "ticam.qk_ins.",
    "head.trans.linear1.": "ticam.linear1.",
    "head.trans.linear2.": "ticam.linear2.",
    "head.linear_pred.": "ticam.classifier.",
}


def read_public(path: Path) -> tuple[FaimConfig, StateDict]:
    """Config and weights, under our names, of a `.pth` of YOLOX or YOLOV.

    Architecture, number of classes, depth, width and depthwise are read off the weights.

    Raises:
        FaimError: something else than tensors in it, or weights of another network.
    """
    state = _tensors(path)
    theirs = [name for name in state if name.startswith("head.") and not _is_yolox(name)]
    strange = [name for name in theirs if not name.startswith(tuple(_YOLOV))]
    if strange:
        raise FaimError(
            f"{path}: has {strange[0]}, which neither YOLOX nor YOLOV has (YOLOV++ and the online "
            "YOLOV are other networks); expected a checkpoint of YOLOX or YOLOV"
        )
    classes = len(state[_KNOWN])
    variant, scale = size_of(shapes_of(state), path)
    values: dict[str, Any] = {"architecture": "yolox", "test_size": (576, 576)}
    # Nothing in the file tells its age; see `guide_ins` and `faim convert --guided`.
    values["guide_ins"] = False
    if theirs:
        values["architecture"] = "yolov"
    elif variant in ("nano", "tiny"):
        values["test_size"] = (416, 416)
    names = _CLASS_NAMES.get(classes) or tuple(f"class {index}" for index in range(classes))
    try:
        config = FaimConfig(variant=variant, scale=scale, class_names=names, **values)
    except FaimError as error:
        raise FaimError(f"{path}: {error}") from error
    return config, dict(_renamed(name, tensor, classes) for name, tensor in state.items())


def _tensors(path: Path) -> StateDict:
    state = read_pth(path)
    if state is None or _KNOWN not in state:
        raise FaimError(
            f"{path}: no YOLOX weights in it (no {_KNOWN}); expected a YOLOX or YOLOV checkpoint"
        )
    known = tuple(state[_KNOWN].shape)
    if len(known) != 1 or not 1 <= known[0] <= MOST_CLASSES:
        raise FaimError(
            f"{path}: weight {_KNOWN} has shape {known}; expected one number a class, for 1 to "
            f"{MOST_CLASSES} classes"
        )
    return state


def _is_yolox(name: str) -> bool:
    return name.split(".")[1] in _HEAD


def _renamed(name: str, tensor: Tensor, classes: int) -> tuple[str, Tensor]:
    """One weight under our name; what YOLOV computes and never reads is cut off.

    A single number in the place of such a matrix stays, and is refused with the other shapes.
    """
    for theirs, ours in _YOLOV.items():
        if name.startswith(theirs):
            if ours == "ticam.qk_ins." and tensor.ndim:
                tensor = tensor[: len(tensor) // 3 * 2]  # no value is taken of these features
            elif ours == "ticam.classifier." and tensor.ndim:
                tensor = tensor[:classes]  # the last row is the background's
            return ours + name.removeprefix(theirs), tensor
    return f"detector.{name}", tensor


def size_of(shapes: Shapes, path: Path) -> tuple[Any, Scale | None]:
    """The variant, and depth, width and depthwise where they are not those of one.

    Raises:
        FaimError: the shapes are those of another network.
    """
    stem = shapes.get("backbone.backbone.stem.conv.conv.weight", ())
    blocks = {n.split(".")[5] for n in shapes if n.startswith("backbone.backbone.dark2.1.m.")}
    if len(stem) != 4 or not blocks:
        raise FaimError(
            f"{path}: its backbone is not YOLOX's CSPDarknet; expected a YOLOX or YOLOV checkpoint "
            f"of a variant such as {', '.join(YOLOX_SCALES)}"
        )
    depthwise = any(".dconv." in name for name in shapes)
    for variant, (depth, width, is_depthwise) in YOLOX_SCALES.items():
        same_depth = len(blocks) == max(round(depth * 3), 1)
        if stem[0] == int(width * 64) and same_depth and depthwise == is_depthwise:
            return variant, None
    scale = (len(blocks) / 3, stem[0] / 64, depthwise)

    def distance(variant: str) -> float:
        return sum(abs(YOLOX_SCALES[variant][i] - scale[i]) for i in range(2))

    return min(YOLOX_SCALES, key=distance), scale
