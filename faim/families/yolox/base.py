"""The base detector: YOLOX, with its stem features handed out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.ops import box_convert
from yolox.models import YoloPafpn, YoloxHead

from faim.errors import FaimError
from faim.families.yolox.config import YOLOX_SCALES, Scale
from faim.nn.pyramid import STRIDES, Assignment
from faim.structures import FrameTargets, RawPredictions


@dataclass(frozen=True)
class DetectorOutput:
    """One pass of the base detector over B images.

    Attributes:
        raw: the decoded predictions of every anchor.
        maps: per level (B, 5 + C, H, W), undecoded: box offsets, objectness and class logits.
        stem_features: per level (B, D, H, W), what the head's two branches start from.
        cls_features: per level (B, D, H, W), end of YOLOX's classification branch.
        reg_features: per level (B, D, H, W), end of YOLOX's regression branch.
    """

    raw: RawPredictions
    maps: list[Tensor]
    stem_features: list[Tensor]
    cls_features: list[Tensor]
    reg_features: list[Tensor]


#: Is told of a training step's maps, targets and assignments: see `BaseDetector.detection_losses`.
Observer = Callable[[list[Tensor], list[FrameTargets], list[Assignment | None]], None]


class _RecordingHead(YoloxHead):
    """YOLOX's head, remembering the assignments that its loss makes."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.assignments: dict[int, Assignment] = {}

    def get_assignments(self, batch_idx: int, *args: object, **kwargs: object) -> tuple:
        assigned = super().get_assignments(batch_idx, *args, **kwargs)
        _, foreground, ious, targets, _ = assigned
        self.assignments[batch_idx] = Assignment(foreground.nonzero().flatten(), targets, ious)
        return assigned


class BaseDetector(nn.Module):
    """YOLOX of the `yolox` package (Ge et al., 2021), from nano to x.

    State-dict keys are the official checkpoints'. Input: (B, 3, H, W) float or uint8, BGR in
    [0, 255], H and W multiples of 32.

    Attributes:
        observer: called with what the losses of each training step are made of; None for nobody.
    """

    observer: Observer | None = None

    def __init__(self, size: str | Scale, num_classes: int) -> None:
        """Build with random weights; `size` is a variant's name, or its numbers."""
        super().__init__()
        depth, width, depthwise = YOLOX_SCALES[size] if isinstance(size, str) else size
        channels = [256, 512, 1024]
        self.backbone = YoloPafpn(depth, width, in_channels=channels, depthwise=depthwise)
        self.head = _RecordingHead(num_classes, width, in_channels=channels, depthwise=depthwise)
        self.num_classes = num_classes
        use_yolox_batch_norm(self)
        self.head.initialize_biases(1e-2)

    @property
    def use_l1(self) -> bool:
        """Whether the loss has YOLOX's L1 term (its last epochs, without augmentation)."""
        return self.head.use_l1

    @use_l1.setter
    def use_l1(self, value: bool) -> None:
        self.head.use_l1 = value

    def forward(self, images: Tensor) -> DetectorOutput:
        """Predict at every anchor and hand out the head's features."""
        stems, cls_features, reg_features, maps = [], [], [], []
        head = self.head
        images = images.to(head.obj_preds[0].weight.dtype)
        for level, feature in enumerate(self.backbone(images)):
            stem = head.stems[level](feature)
            cls_feature = head.cls_convs[level](stem)
            reg_feature = head.reg_convs[level](stem)
            maps.append(
                torch.cat(
                    [
                        head.reg_preds[level](reg_feature),
                        head.obj_preds[level](reg_feature),
                        head.cls_preds[level](cls_feature),
                    ],
                    dim=1,
                )
            )
            stems.append(stem)
            cls_features.append(cls_feature)
            reg_features.append(reg_feature)
        return DetectorOutput(self.decode(maps), maps, stems, cls_features, reg_features)

    @staticmethod
    def decode(maps: list[Tensor]) -> RawPredictions:
        """Boxes and scores from the undecoded maps of the three levels."""
        # In float32: half precision would round boxes by whole pixels.
        maps = [m.float() for m in maps]
        flat = torch.cat([m.flatten(2) for m in maps], dim=2).transpose(1, 2)
        cells, strides = _anchor_grid(maps)
        centres = (flat[..., :2] + cells) * strides
        halves = flat[..., 2:4].exp() * (strides / 2)
        scores = flat[..., 4:].sigmoid()
        return RawPredictions(
            boxes=torch.cat([centres - halves, centres + halves], dim=-1),
            objectness=scores[..., 0],
            class_scores=scores[..., 1:],
        )

    def losses(self, images: Tensor, targets: list[FrameTargets]) -> dict[str, Tensor]:
        """YOLOX's losses of a batch, for the base stage: see `detection_losses`."""
        losses, _ = self.detection_losses(self(images), targets)
        return losses

    def detection_losses(
        self, output: DetectorOutput, targets: list[FrameTargets]
    ) -> tuple[dict[str, Tensor], list[Assignment | None]]:
        """L_det, and which anchors SimOTA assigned.

        Args:
            output: of `forward` on B images.
            targets: B ground truths.

        Returns:
            Scalars `total`, `iou`, `objectness`, `classification`, `l1`; and an assignment an
            image, None where it has no ground truth.

        Raises:
            FaimError: predictions that are not finite.
        """
        head, maps = self.head, output.maps
        decoded, origin, x_shifts, y_shifts, strides = [], [], [], [], []
        for level, stride in enumerate(STRIDES):
            # The head decodes in place, and wants the raw offsets besides for its L1 term.
            logits = maps[level].float()
            out, grid = head.get_output_and_grid(logits.clone(), level, stride, logits.type())
            decoded.append(out)
            x_shifts.append(grid[:, :, 0])
            y_shifts.append(grid[:, :, 1])
            strides.append(torch.full_like(grid[:, :, 0], stride))
            origin.append(logits[:, :4].flatten(2).transpose(1, 2))
        if not all(tensor.isfinite().all() for tensor in decoded):
            # SimOTA would fail at them with an error of its own.
            raise FaimError(
                "training: the base detector's predictions are not finite; expected numbers (try a "
                "lower basic_lr_per_img, or grad_clip=35)"
            )
        head.assignments = {}
        total, iou, objectness, classification, l1, _ = head.get_losses(
            None,
            x_shifts,
            y_shifts,
            strides,
            _to_yolox_labels(targets, maps[0]),
            torch.cat(decoded, dim=1),
            origin,
            dtype=torch.float32,
        )
        losses = {
            "total": total,
            "iou": iou,
            "objectness": objectness,
            "classification": classification,
            "l1": torch.as_tensor(l1, device=total.device),
        }
        assignments = [head.assignments.get(index) for index in range(len(targets))]
        if self.training and self.observer is not None:
            self.observer(maps, targets, assignments)
        return losses, assignments


def use_yolox_batch_norm(module: nn.Module) -> None:
    """Set YOLOX's epsilon and momentum on every batch norm in `module`."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eps, part.momentum = 1e-3, 0.03


def _anchor_grid(maps: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Cell coordinates (A, 2) and strides (A, 1) of the anchors of all levels."""
    cells, strides = [], []
    for feature, stride in zip(maps, STRIDES, strict=True):
        height, width = feature.shape[-2:]
        y, x = torch.meshgrid(
            torch.arange(height, device=feature.device, dtype=feature.dtype),
            torch.arange(width, device=feature.device, dtype=feature.dtype),
            indexing="ij",
        )
        cells.append(torch.stack([x, y], dim=-1).view(-1, 2))
        strides.append(feature.new_full((height * width, 1), stride))
    return torch.cat(cells), torch.cat(strides)


def _to_yolox_labels(targets: list[FrameTargets], like: Tensor) -> Tensor:
    """Ground truth as (B, g_max, 5): class, centre x, centre y, width, height; 0 on padding."""
    most = max((len(target.labels) for target in targets), default=0)
    labels = torch.zeros(len(targets), max(most, 1), 5, device=like.device)
    for row, target in zip(labels, targets, strict=True):
        count = len(target.labels)
        row[:count, 0] = target.labels
        row[:count, 1:] = box_convert(target.boxes, "xyxy", "cxcywh")
    return labels
