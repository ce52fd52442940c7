"""The feature network F: one of torchvision's, or a YOLOX detector's, at several strides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from faim.families.boxvos.config import BackboneName

Features = dict[int, Tensor]


class Backbone(nn.Module):
    """Features of an image at the strides asked for.

    Attributes:
        channels: of the features, by stride.
    """

    mean: ClassVar[tuple[float, float, float]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, float, float]] = (0.229, 0.224, 0.225)
    _mean: Tensor
    _std: Tensor

    def __init__(self, net: nn.Module, channels: dict[int, int]) -> None:
        """`net` gives a dictionary of features by the stride's text."""
        super().__init__()
        self.net = net
        self.channels = channels
        self.register_buffer("_mean", torch.tensor(self.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("_std", torch.tensor(self.std).view(3, 1, 1), persistent=False)

    def normalize(self, images: Tensor) -> Tensor:
        """The input as the network was trained on it."""
        return (images - self._mean) / self._std

    def forward(self, images: Tensor) -> Features:
        """(N, c, h / stride, w / stride) by stride, of RGB images (N, 3, h, w) in [0, 1]."""
        return {int(name): level for name, level in self.net(self.normalize(images)).items()}


class YoloxBackbone(Backbone):
    """The CSPDarknet of a YOLOX detector, which takes BGR of 0 to 255."""

    def normalize(self, images: Tensor) -> Tensor:
        """See `Backbone`."""
        return images.flip(1) * 255.0


class _Darknet(nn.Module):
    """YOLOX-Nano's CSPDarknet, cut off below the deepest stride needed."""

    #: Stage of each stride.
    _STAGES: ClassVar[dict[int, str]] = {4: "dark2", 8: "dark3", 16: "dark4", 32: "dark5"}

    def __init__(self, strides: Sequence[int]) -> None:
        super().__init__()
        from yolox.models.darknet import CspDarknet

        whole = CspDarknet(0.33, 0.25, depthwise=True)
        # YOLOX gives all its batch norms these, other than PyTorch's.
        for part in whole.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eps, part.momentum = 1e-3, 0.03
        self.stem = whole.stem
        for stride, name in self._STAGES.items():
            if stride <= max(strides):
                setattr(self, name, getattr(whole, name))
        self.strides = tuple(strides)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        found, level = {}, self.stem(images)
        for stride, name in self._STAGES.items():
            if stride > max(self.strides):
                break
            level = getattr(self, name)(level)
            if stride in self.strides:
                found[str(stride)] = level
        return found


#: The node of torchvision's graph that gives each stride.
_RESNET = {4: "layer1", 8: "layer2", 16: "layer3", 32: "layer4"}
_MOBILENET = {4: "features.3", 8: "features.6", 16: "features.12", 32: "features.15"}


def make_backbone(name: BackboneName, strides: Sequence[int]) -> Backbone:
    """A backbone with random weights, as deep as `strides` need."""
    wanted = sorted(set(strides))
    if name == "yolox_nano":
        return YoloxBackbone(_Darknet(wanted), {s: 8 * s for s in wanted})
    whole = getattr(torchvision.models, name)(weights=None)
    nodes = _MOBILENET if name.startswith("mobilenet") else _RESNET
    net = create_feature_extractor(whole, {nodes[s]: str(s) for s in wanted})
    with torch.no_grad():
        shapes = net.eval()(torch.zeros(1, 3, 64, 64))
    return Backbone(net, {int(stride): level.shape[1] for stride, level in shapes.items()})
