"""The parts of the config of YOLOX and what stands on it: fields, defaults and bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from faim.typed import Between

Variant = Literal["nano", "tiny", "s", "m", "l", "x"]
Architecture = Literal["yolox", "faim", "yolov", "yolov_ifem"]
TrainablePart = Literal["base", "video_branch", "ifem", "ticam", "mask_head"]
MaskLevel = Literal["P3", "P4", "P5", "own"]
MaskLoss = Literal["bce", "dice"]
JoinKind = Literal["replace", "correction", "mean"]
Upsampling = Literal["bilinear", "deconvolution", "none"]
#: depth and width multipliers of YOLOX, and whether its 3x3 convolutions are depthwise.
Scale = tuple[float, float, bool]

NEW_PARTS: tuple[TrainablePart, ...] = ("video_branch", "ifem", "ticam", "mask_head")
#: In the place of an IoU: that of the architecture, see `NMS_TEST`.
THE_ARCHITECTURES = -1.0
SHARE, COSINE, WEIGHT = Between(0.0, 1.0), Between(-1.0, 1.0), Between(0.0, 1e4)


@dataclass(frozen=True)
class BasePart:
    """The base detector and its input.

    Attributes:
        variant: size of the YOLOX base detector; with `scale`, the named size nearest to it.
        class_names: names in the order of the class ids.
        architecture: "yolox" is a base detector alone, "faim" has the video modules too, "yolov"
            aggregates the base detector's regression features in the place of F_ins, and
            "yolov_ifem" is the same with instance masks learnt beside it (FAIM, Table 2).
        test_size: height and width of the network input at inference; multiples of 32.
        scale: depth, width and depthwise of a base detector that is none of the named sizes; None
            takes the variant's.
    """

    variant: Variant = "s"
    class_names: tuple[str, ...] = ()
    architecture: Architecture = "faim"
    test_size: tuple[int, int] = (576, 576)
    scale: Scale | None = None


@dataclass(frozen=True)
class SelectionPart:
    """FSPM (Sec. 3.2).

    Attributes:
        top_k: anchors of highest objectness that enter FSPM's NMS.
        num_proposals: n, proposals a frame.
        nms_train: IoU threshold of FSPM's class-aware NMS in training.
        nms_test: the same at inference; by default the architecture's, the public implementation's
            0.75 for YOLOV and 0.5 for the others (FAIM, Sec. 4).
    """

    top_k: Annotated[int, Between(1, 100_000)] = 750
    num_proposals: Annotated[int, Between(1, 1000)] = 30
    nms_train: Annotated[float, SHARE] = 0.75
    nms_test: Annotated[float, SHARE] = THE_ARCHITECTURES


@dataclass(frozen=True)
class AggregationPart:
    """TICAM, affinity, and how a decision joins the base detector's scores.

    Attributes:
        num_heads: attention heads of TICAM.
        attention_scale: factor on the cosine similarities before the softmax.
        similarity_threshold: cosine similarity of values above which two proposals are averaged
            in TICAM's second round.
        guide_cls: whether class scores guide the class attention (YOLOV); False is for ablations.
        guide_ins: whether objectness guides the instance attention, as class scores guide the
            class attention. The public YOLOV implementation did so until 2024, FAIM's reference
            among its versions; the later ones do not.
        affinity_average: whether TICAM has a second round, which averages over references alike
            (YOLOV's affinity average); without it, the first round decides.
        affinity_threshold: cosine similarity above which training-free aggregation averages.
        refined_classes: names of the classes that TICAM decides, none for all; the others keep the
            base detector's scores, as those must that a training never saw.
        join: how TICAM's decision and the base detector's class scores become one, see
            `Join`: "replace" is the paper's, "correction" and "mean" are for training data whose
            objects are few, or not all labelled.
        base_share: the base detector's share in a "mean", from 0 to 1; the least bad on halves of
            training videos with partial labels (docs/results.md).
        correction_up: factor on a "correction" where it raises a score. This and the next were
            chosen on halves of training videos (docs/results.md); training learns with 1 and 1.
        correction_down: factor where it lowers one. Partial labels hardly teach that: an object of
            another kind is no proof that what looks like it is none of the class.
    """

    num_heads: Annotated[int, Between(1, 1024)] = 4
    attention_scale: Annotated[float, WEIGHT] = 25.0
    similarity_threshold: Annotated[float, COSINE] = 0.75
    guide_cls: bool = True
    guide_ins: bool = True
    affinity_average: bool = True
    affinity_threshold: Annotated[float, COSINE] = 0.7
    refined_classes: tuple[str, ...] = ()
    join: JoinKind = "replace"
    base_share: Annotated[float, SHARE] = 0.9
    correction_up: Annotated[float, Between(0.0, 100.0)] = 2.0
    correction_down: Annotated[float, Between(0.0, 100.0)] = 0.0


@dataclass(frozen=True)
class MaskPart:
    """The mask head, which exists in training alone.

    Attributes:
        mask_levels: pyramid levels whose F_ins the mask head pools, the paper's is P5; or "own"
            alone, that of the anchor which proposed the box.
        mask_roi_size: side of the RoIAlign output.
        mask_upsampling: of the pooled features before the masks are predicted; the paper's is
            bilinear (Appendix C.3).
        mask_loss: binary cross entropy or Dice.
        class_agnostic_masks: one mask a proposal in the place of one a class, of which TICAM's
            class decides (Eq. 5; FAIM, Table 5c).
        mask_weight: lambda of Eq. III.
        max_mask_rois: proposals that a training step gives to the mask head, drawn of those that
            match an object with a mask.
    """

    mask_levels: tuple[MaskLevel, ...] = ("P5",)
    mask_roi_size: Annotated[int, Between(1, 256)] = 32
    mask_upsampling: Upsampling = "bilinear"
    mask_loss: MaskLoss = "bce"
    class_agnostic_masks: bool = False
    mask_weight: Annotated[float, WEIGHT] = 1.0
    max_mask_rois: Annotated[int, Between(1, 10_000)] = 128


@dataclass(frozen=True)
class InferencePart:
    """What is given out.

    Attributes:
        test_frames: m at inference; a stream looks back at m - 1 frames.
        score_threshold: detections below it are dropped.
        nms_final: IoU threshold of the last class-aware NMS.
    """

    test_frames: Annotated[int, Between(1, 1024)] = 32
    score_threshold: Annotated[float, SHARE] = 0.001
    nms_final: Annotated[float, SHARE] = 0.5


@dataclass(frozen=True)
class LearningPart:
    """What the second stage learns from, and which parts of the model do.

    Attributes:
        match_iou: IoU from which a proposal belongs to a ground truth.
        train_frames: m in training.
        train_parts: the parts that receive gradients in the second stage; those that the
            architecture does not have are left out.
        retention_weight: of the loss that keeps TICAM at the base detector's class scores of
            proposals that match no label; the paper has no such loss.
        identity_weight: of the loss that draws the instance attention to the same object in other
            frames, for data with instance ids; the paper has no such loss.
    """

    match_iou: Annotated[float, SHARE] = 0.6
    train_frames: Annotated[int, Between(1, 1024)] = 16
    train_parts: tuple[TrainablePart, ...] = NEW_PARTS
    retention_weight: Annotated[float, WEIGHT] = 0.0
    identity_weight: Annotated[float, WEIGHT] = 0.0
