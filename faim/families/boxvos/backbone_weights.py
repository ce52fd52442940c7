"""Weights for the backbone F, from classifiers and detectors that have it."""

from __future__ import annotations

from torch import nn

from faim.errors import FaimError
from faim.families.boxvos.config import BoxVosConfig
from faim.families.boxvos.network import BoxVos
from faim.state_dicts import StateDict, load_weights, read_weights
from faim.weights.named import weights_file

#: Where a backbone's weights may lie in a checkpoint: a classifier of torchvision, a detector of
#: its, a detector of YOLOX, one of ours.
_PREFIXES = ("", "backbone.body.", "backbone.backbone.", "detector.backbone.backbone.")
#: torchvision's own name of the paper's initial weights, Mask R-CNN's of COCO.
MASK_RCNN = "coco-maskrcnn"


def load_backbone(model: BoxVos, source: str) -> None:
    """Start F from weights that were trained on something else.

    Args:
        model: its backbone gets the weights.
        source: a `.pth` or `.safetensors` of a classifier or detector with this backbone: of
            torchvision (ResNet, MobileNetV3, Mask R-CNN), or YOLOX; a name of known weights; or
            "coco-maskrcnn", which lets torchvision download the paper's.

    Raises:
        FaimError: no such file, or no such backbone in it; the download fails.
    """
    state = (
        _mask_rcnn(model.config)
        if source == MASK_RCNN
        else read_weights(weights_file(source), "a checkpoint of tensors")
    )
    own = model.backbone.net.state_dict()
    # Statistics of batch norm need no counter, which some networks leave out.
    needed = {name for name in own if not name.endswith("num_batches_tracked")}
    for prefix in _PREFIXES:
        found = {name: state[prefix + name] for name in needed if prefix + name in state}
        if len(found) == len(needed):
            counters = {name: own[name] for name in own.keys() - needed}
            if source == MASK_RCNN:
                found = _without_epsilon(found)
            load_weights(model.backbone.net, found | counters, source)
            return
    raise FaimError(
        f"{source}: no weights of a {model.config.backbone} in it; expected a checkpoint that has "
        "it as its backbone"
    )


def _without_epsilon(state: StateDict) -> StateDict:
    """Variances less the norm's epsilon, as these weights were trained without one."""
    epsilon = nn.BatchNorm2d(1).eps
    return {
        name: (value - epsilon).clamp(min=0) if name.endswith("running_var") else value
        for name, value in state.items()
    }


def _mask_rcnn(config: BoxVosConfig) -> StateDict:
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    if config.backbone != "resnet50":
        raise FaimError(f"{MASK_RCNN}: a resnet50; expected that backbone, not {config.backbone}")
    try:
        return dict(MaskRCNN_ResNet50_FPN_Weights.COCO_V1.get_state_dict(progress=True))
    except (OSError, RuntimeError) as error:
        raise FaimError(
            f"{MASK_RCNN}: cannot be downloaded ({error}); expected internet, or a path to "
            f"{MaskRCNN_ResNet50_FPN_Weights.COCO_V1.url}"
        ) from error
