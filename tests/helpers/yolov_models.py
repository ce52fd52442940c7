"""YOLOV with weights under which it finds things, for the tests of several modules."""

from dataclasses import replace

import torch
from torch.nn import functional as F

from faim.families.yolox.checkpoint import load_model
from faim.families.yolox.faim import build_model
from faim.weights import default_weights


def embedded_yolov(architecture="yolov", **changes):
    """The embedded FAIM-Nano's weights in the parts that YOLOV has, its own parts at random.

    Fresh weights score all anchors alike, so that every choice would be a tie.
    """
    known = load_model(default_weights())
    config = replace(known.config, architecture=architecture, **changes)
    torch.manual_seed(0)
    model = build_model(config)
    own, theirs = model.state_dict(), known.state_dict()
    model.load_state_dict({name: theirs.get(name, own[name]) for name in own})
    return model.eval()


def pictures(count, size=(64, 64)):
    """(count, 3, H, W) uint8, smooth noise."""
    generator = torch.Generator().manual_seed(7)
    coarse = torch.rand(count, 3, *(side // 8 for side in size), generator=generator)
    smooth = F.interpolate(coarse, size, mode="bicubic").clamp(0, 1)
    return (255 * smooth).to(torch.uint8)


def public_names(model):
    """A YOLOV's weights as the public implementation stores them."""
    renamed = (
        ("detector.", ""),
        ("video_branch.convs.", "head.cls_convs2."),
        ("ticam.qkv_cls.", "head.trans.msa.qkv_cls."),
        ("ticam.qk_ins.", "head.trans.msa.qkv_reg."),
        ("ticam.linear", "head.trans.linear"),
        ("ticam.classifier.", "head.linear_pred."),
    )
    state = {}
    for name, tensor in model.state_dict().items():
        ours, theirs = next(pair for pair in renamed if name.startswith(pair[0]))
        if "qk_ins" in name:  # values, which are never read
            tensor = torch.cat([tensor, torch.randn(len(tensor) // 2, tensor.shape[1])])
        if "classifier" in name:  # the background
            tensor = torch.cat([tensor, torch.randn(1, *tensor.shape[1:])])
        state[theirs + name.removeprefix(ours)] = tensor
    return state
