"""The network: a window of frames with a box each, to a mask each (Fig. 2 of the paper)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from faim.families.boxvos.aggregation import SpatioTemporalAggregation
from faim.families.boxvos.backbone import make_backbone
from faim.families.boxvos.config import BoxVosConfig
from faim.families.boxvos.decoder import Decoder
from faim.families.boxvos.object_encoder import (
    EmbeddingEncoder,
    SecondaryEncoder,
    SingleFrameEncoder,
    WeightHead,
    rasterize,
)


@dataclass(frozen=True)
class FrameEncoding:
    """What depends on one frame alone; with N frames first, or B sequences of T.

    Attributes:
        features: x, (N, D, H, W), of unit energy; see `BoxVos.deep_features`.
        embedding: e, (N, C, H, W).
        weight: w, (N, C, H, W).
        single: m, (N, C, H, W).
        levels: the decoder's features, deepest first, each (N, d, h, w).

    Parts that the configuration does not use are empty, (N, 0, H, W).
    """

    features: Tensor
    embedding: Tensor
    weight: Tensor
    single: Tensor
    levels: tuple[Tensor, ...]

    def map(self, function: Callable[[Tensor], Tensor]) -> FrameEncoding:
        """The same function of every tensor."""
        return FrameEncoding(
            function(self.features),
            function(self.embedding),
            function(self.weight),
            function(self.single),
            tuple(function(level) for level in self.levels),
        )

    @classmethod
    def stack(cls, frames: Sequence[FrameEncoding]) -> FrameEncoding:
        """Encodings one after the other, joined along their first dimension."""
        levels = zip(*(frame.levels for frame in frames), strict=True)
        return cls(
            torch.cat([frame.features for frame in frames]),
            torch.cat([frame.embedding for frame in frames]),
            torch.cat([frame.weight for frame in frames]),
            torch.cat([frame.single for frame in frames]),
            tuple(torch.cat(level) for level in levels),
        )


class BoxVos(nn.Module):
    """Masks of one object in several frames of a video, from its boxes.

    Attributes:
        config: its numbers.
        freeze_backbone: whether F keeps its weights and statistics in training, as in the paper.
    """

    def __init__(self, config: BoxVosConfig) -> None:
        """Random weights; see `load_backbone` for those of F."""
        super().__init__()
        self.config = config
        self.freeze_backbone = False
        size, stride, channels = config.mask_dim, config.stride, config.encoding_dim
        backbone = make_backbone(config.backbone, (stride, *config.decoder_strides))
        self.reduce = nn.Conv2d(backbone.channels[stride], config.feature_dim, 3, 1, 1)
        dim, given = config.feature_dim, 0
        if config.single_frame:
            self.single_encoder = SingleFrameEncoder(dim, size, channels, stride)
            given += channels
        if config.multi_frame:
            self.encoder = EmbeddingEncoder(dim, size, channels, stride)
            self.aggregation = SpatioTemporalAggregation(config.kernel)
            given += channels
        if config.iterative:
            self.secondary_encoder = SecondaryEncoder(size, channels, stride)
            self.secondary_aggregation = SpatioTemporalAggregation(config.kernel)
        self.decoder = Decoder(
            backbone.channels, config.decoder_strides, config.decoder_dims, given
        )
        self.apply(_initialize)
        self.backbone = backbone  # only now: F keeps how its own family starts

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`; a frozen backbone keeps its batch statistics."""
        super().train(mode)
        if self.freeze_backbone:
            self.backbone.eval()
        return self

    def forward(
        self,
        images: Tensor,
        boxes: Tensor,
        iterations: int | None = None,
    ) -> list[Tensor]:
        """Logits of each pass, (B, T, h, w): the first, and the refined where there is one.

        Args:
            images: (B, T, 3, h, w) float, RGB in [0, 1].
            boxes: (B, T, 4), x1 y1 x2 y2 in pixels of these images.
            iterations: of the descent; None takes the configuration's for this mode.
        """
        batch = images.shape[:2]
        encoded = self.encode(images.flatten(0, 1), boxes.flatten(0, 1))
        return self.decode(encoded.map(lambda value: value.unflatten(0, batch)), iterations)

    def encode(self, images: Tensor, boxes: Tensor) -> FrameEncoding:
        """F and B on frames (N, 3, h, w) with boxes (N, 4)."""
        if self.freeze_backbone:
            with torch.no_grad():
                pyramid = self.backbone(images)
        else:
            pyramid = self.backbone(images)
        features = self.deep_features(pyramid[self.config.stride])
        masks = rasterize(boxes.to(images.dtype), images.shape[-2], images.shape[-1])
        none = features[:, :0]
        embedding = weight = single = none
        if self.config.multi_frame:
            embedding, weight = self.encoder(features, masks)
        if self.config.single_frame:
            single = self.single_encoder(features, masks)
        return FrameEncoding(
            features, embedding, weight, single, tuple(self.decoder.reduce(pyramid))
        )

    def deep_features(self, level: Tensor) -> Tensor:
        """x: reduced to D channels, and scaled so that a K×K patch has length 1 on average.

        With that λ and the steps of the descent do not depend on how large the backbone's features
        happen to be.
        """
        reduced = self.reduce(level)
        places = reduced.shape[-2] * reduced.shape[-1]
        patch = places / self.config.kernel**2
        energy = reduced.square().sum((1, 2, 3), keepdim=True)
        return reduced * (patch / (energy + 1e-6)).sqrt()

    def decode(self, window: FrameEncoding, iterations: int | None = None) -> list[Tensor]:
        """S and D, twice where the configuration is iterative.

        Args:
            window: encodings of (B, T) frames.
            iterations: see `forward`.

        Returns:
            See `forward`.
        """
        if iterations is None:
            config = self.config
            iterations = config.train_iterations if self.training else config.test_iterations
        encoding = window.single
        if self.config.multi_frame:
            found = self.aggregation(window.features, window.embedding, window.weight, iterations)
            encoding = torch.cat([found, encoding], 2)
        passes = [self._decode(window, encoding)]
        if self.config.iterative:
            batch = passes[0].shape[:2]
            masks = passes[0].sigmoid().flatten(0, 1).unsqueeze(1)
            embedding, weight = (
                value.unflatten(0, batch) for value in self.secondary_encoder(masks)
            )
            found = self.secondary_aggregation(window.features, embedding, weight, iterations)
            passes.append(self._decode(window, torch.cat([found, window.single], 2)))
        return passes

    def _decode(self, window: FrameEncoding, encoding: Tensor) -> Tensor:
        """D on encodings (B, T, C, H, W); logits (B, T, h, w)."""
        levels = [level.flatten(0, 1) for level in window.levels]
        logits = self.decoder(encoding.flatten(0, 1), levels, self.config.size)
        return logits.float().unflatten(0, encoding.shape[:2])


def _initialize(part: nn.Module) -> None:
    """As the paper's [21] (He et al., 2015); parts come before what they are parts of."""
    if isinstance(part, WeightHead):
        part.trust_all()
    elif isinstance(part, nn.Conv2d):
        nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
        if part.bias is not None:
            nn.init.zeros_(part.bias)
