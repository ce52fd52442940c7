"""Every number of the model in one validated place."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from faim.checks import is_side
from faim.choices import LONGEST_SIDE
from faim.errors import FaimError
from faim.reading import parse_json, shown

Variant = Literal["nano", "tiny", "s", "m", "l", "x"]
Architecture = Literal["yolox", "faim", "yolov", "yolov_ifem"]
TrainablePart = Literal["base", "video_branch", "ifem", "ticam", "mask_head"]
MaskLevel = Literal["P3", "P4", "P5", "own"]
JoinKind = Literal["replace", "correction", "mean"]
Upsampling = Literal["bilinear", "deconvolution", "none"]
#: depth and width multipliers of YOLOX, and whether its 3x3 convolutions are depthwise.
Scale = tuple[float, float, bool]

YOLOX_SCALES: dict[str, Scale] = {
    "nano": (0.33, 0.25, True),
    "tiny": (0.33, 0.375, False),
    "s": (0.33, 0.50, False),
    "m": (0.67, 0.75, False),
    "l": (1.0, 1.0, False),
    "x": (1.33, 1.25, False),
}
NEW_PARTS: tuple[TrainablePart, ...] = ("video_branch", "ifem", "ticam", "mask_head")
#: The parts that each architecture has.
PARTS: dict[str, tuple[TrainablePart, ...]] = {
    "yolox": ("base",),
    "faim": ("base", *NEW_PARTS),
    "yolov": ("base", "video_branch", "ticam"),
    "yolov_ifem": ("base", *NEW_PARTS),
}
#: Fields that say how TICAM's decision and the base detector's scores become one.
JOINING = ("join", "base_share", "correction_up", "correction_down")
#: IoU threshold of FSPM's NMS at inference, where none is named.
NMS_TEST: dict[str, float] = {"yolox": 0.5, "faim": 0.5, "yolov": 0.75, "yolov_ifem": 0.75}
#: What files without these fields mean, written before there was a choice.
_BEFORE: dict[str, Any] = {
    "guide_ins": False,
    "base_share": 0.5,
    "correction_up": 1.0,
    "correction_down": 1.0,
}
#: Bounds of what a file may claim: far above any use, and within the memory of a machine.
MOST_CLASSES, LONGEST_CLASS_NAME = 10_000, 1000
MOST_PROPOSALS_TOGETHER = 16_384
_MOST = {
    "top_k": 100_000,
    "num_proposals": 1000,
    "num_heads": 1024,
    "mask_roi_size": 256,
    "max_mask_rois": 10_000,
    "train_frames": 1024,
    "test_frames": 1024,
}
#: Of the base detector's depth and width; below the least width no layer has a channel.
_MOST_SCALE, _LEAST_WIDTH = 4.0, 1 / 64
_TITLES = {"yolox": "YOLOX", "faim": "FAIM", "yolov": "YOLOV", "yolov_ifem": "YOLOV with IFEM"}


@dataclass(frozen=True)
class FaimConfig:
    """The model's numbers; stored as JSON in every checkpoint.

    Defaults are the paper's (FAIM, Sec. 4 and Appendix A.1) where it names one, and the public
    YOLOV implementation's where it is silent.

    Attributes:
        variant: size of the YOLOX base detector; with `scale`, the named size nearest to it.
        scale: depth, width and depthwise of a base detector that is none of the named sizes; None
            takes the variant's.
        class_names: names in the order of the class ids.
        refined_classes: names of the classes that TICAM decides, none for all; the others keep the
            base detector's scores, as those must that a training never saw.
        architecture: "yolox" is a base detector alone, "faim" has the video modules too, "yolov"
            aggregates the base detector's regression features in the place of F_ins, and
            "yolov_ifem" is the same with instance masks learnt beside it (FAIM, Table 2).
        test_size: height and width of the network input at inference; multiples of 32.
        top_k: anchors of highest objectness that enter FSPM's NMS.
        num_proposals: n, proposals a frame.
        nms_train: IoU threshold of FSPM's class-aware NMS in training.
        nms_test: the same at inference; None takes the architecture's, the public implementation's
            0.75 for YOLOV and 0.5 for the others (FAIM, Sec. 4).
        num_heads: attention heads of TICAM.
        attention_scale: factor on the cosine similarities before the softmax.
        similarity_threshold: cosine similarity of values above which two proposals are averaged
            in TICAM's second round.
        guide_cls: whether class scores guide the class attention (YOLOV); False is for ablations.
        guide_ins: whether objectness guides the instance attention, as class scores guide the
            class attention. The public YOLOV implementation did so until 2024, FAIM's reference
            among its versions; the later ones do not.
        join: how TICAM's decision and the base detector's class scores become one, see
            `Join`: "replace" is the paper's, "correction" and "mean" are for training data whose
            objects are few, or not all labelled.
        base_share: the base detector's share in a "mean", from 0 to 1; the least bad on halves of
            training videos with partial labels (docs/results.md).
        correction_up: factor on a "correction" where it raises a score. This and the next were
            chosen on halves of training videos (docs/results.md); training learns with 1 and 1.
        correction_down: factor where it lowers one. Partial labels hardly teach that: an object of
            another kind is no proof that what looks like it is none of the class.
        affinity_average: whether TICAM has a second round, which averages over references alike
            (YOLOV's affinity average); without it, the first round decides.
        affinity_threshold: cosine similarity above which training-free aggregation averages.
        mask_levels: pyramid levels whose F_ins the mask head pools, the paper's is P5; or "own"
            alone, that of the anchor which proposed the box.
        mask_roi_size: side of the RoIAlign output.
        mask_upsampling: of the pooled features before the masks are predicted; the paper's is
            bilinear (Appendix C.3).
        mask_loss: binary cross entropy or Dice.
        class_agnostic_masks: one mask a proposal in the place of one a class, of which TICAM's
            class decides (Eq. 5; FAIM, Table 5c).
        mask_weight: lambda of Eq. III.
        retention_weight: of the loss that keeps TICAM at the base detector's class scores of
            proposals that match no label; the paper has no such loss.
        identity_weight: of the loss that draws the instance attention to the same object in other
            frames, for data with instance ids; the paper has no such loss.
        max_mask_rois: proposals that a training step gives to the mask head, drawn of those that
            match an object with a mask.
        match_iou: IoU from which a proposal belongs to a ground truth.
        train_frames: m in training.
        test_frames: m at inference; a stream looks back at m - 1 frames.
        score_threshold: detections below it are dropped.
        nms_final: IoU threshold of the last class-aware NMS.
        train_parts: the parts that receive gradients in the second stage; those that the
            architecture does not have are left out.
    """

    variant: Variant = "s"
    class_names: tuple[str, ...] = ()
    architecture: Architecture = "faim"
    test_size: tuple[int, int] = (576, 576)
    top_k: int = 750
    num_proposals: int = 30
    nms_train: float = 0.75
    nms_test: float = None  # type: ignore[assignment]  # __post_init__ sets it
    num_heads: int = 4
    attention_scale: float = 25.0
    similarity_threshold: float = 0.75
    guide_cls: bool = True
    guide_ins: bool = True
    affinity_average: bool = True
    affinity_threshold: float = 0.7
    mask_levels: tuple[MaskLevel, ...] = ("P5",)
    mask_roi_size: int = 32
    mask_upsampling: Upsampling = "bilinear"
    mask_loss: Literal["bce", "dice"] = "bce"
    class_agnostic_masks: bool = False
    mask_weight: float = 1.0
    max_mask_rois: int = 128
    match_iou: float = 0.6
    train_frames: int = 16
    test_frames: int = 32
    score_threshold: float = 0.001
    nms_final: float = 0.5
    train_parts: tuple[TrainablePart, ...] = NEW_PARTS
    scale: Scale | None = None
    refined_classes: tuple[str, ...] = ()
    join: JoinKind = "replace"
    base_share: float = 0.9
    correction_up: float = 2.0
    correction_down: float = 0.0
    retention_weight: float = 0.0
    identity_weight: float = 0.0

    def __post_init__(self) -> None:
        """Validate; raises FaimError naming the field, its value and what is allowed."""
        lists = ("class_names", "refined_classes", "test_size", "mask_levels", "train_parts")
        for name in lists:
            value = getattr(self, name)
            if not isinstance(value, (list, tuple)):
                raise FaimError(f"config: {name} is {shown(value)}; expected a list")
            object.__setattr__(self, name, tuple(value))
        _one_of("variant", self.variant, tuple(YOLOX_SCALES))
        _one_of("architecture", self.architecture, get_args(Architecture))
        _one_of("join", self.join, get_args(JoinKind))
        _one_of("mask_loss", self.mask_loss, ("bce", "dice"))
        _one_of("mask_upsampling", self.mask_upsampling, get_args(Upsampling))
        for level in self.mask_levels:
            _one_of("mask_levels", level, get_args(MaskLevel))
        for part in self.train_parts:
            _one_of("train_parts", part, get_args(TrainablePart))
        if self.nms_test is None:
            object.__setattr__(self, "nms_test", NMS_TEST[self.architecture])
        has = PARTS[self.architecture]
        object.__setattr__(self, "train_parts", tuple(p for p in self.train_parts if p in has))
        if self.scale is not None:
            object.__setattr__(self, "scale", _scale(self.scale))
        _class_names(self.class_names)
        refined = self.refined_classes
        if not all(isinstance(name, str) for name in refined):
            raise FaimError(f"config: refined_classes is {shown(refined)}; expected strings")
        if not set(refined) <= set(self.class_names) or len(set(refined)) != len(refined):
            raise FaimError(
                f"config: refined_classes is {shown(refined)}; expected some of class_names, each "
                "once"
            )
        if not self.mask_levels or ("own" in self.mask_levels and len(self.mask_levels) > 1):
            raise FaimError(
                f"config: mask_levels is {self.mask_levels!r}; expected some of P3, P4, P5, or own "
                "alone"
            )
        if len(self.test_size) != 2 or any(
            type(side) is not int or not is_side(side) for side in self.test_size
        ):
            raise FaimError(
                f"config: test_size is {shown(self.test_size)}; expected height and width, "
                f"multiples of 32 up to {LONGEST_SIDE}"
            )
        for name, most in _MOST.items():
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise FaimError(
                    f"config: {name} is {shown(value)}; expected a whole number from 1 to {most}"
                )
        switches = (
            "guide_cls",
            "guide_ins",
            "affinity_average",
            "class_agnostic_masks",
        )
        for name in switches:
            if not isinstance(getattr(self, name), bool):
                raise FaimError(
                    f"config: {name} is {shown(getattr(self, name))}; expected true or false"
                )
        if self.num_proposals > self.top_k:
            raise FaimError(
                f"config: num_proposals is {self.num_proposals}; expected at most top_k "
                f"({self.top_k})"
            )
        for name in ("train_frames", "test_frames"):
            together = getattr(self, name) * self.num_proposals
            if together > MOST_PROPOSALS_TOGETHER:
                raise FaimError(
                    f"config: {name} is {getattr(self, name)} and num_proposals "
                    f"{self.num_proposals}, {together} together; expected at most "
                    f"{MOST_PROPOSALS_TOGETHER}"
                )
        thresholds = ("nms_train", "nms_test", "nms_final", "match_iou", "score_threshold")
        for name in (*thresholds, "base_share"):
            _in_range(name, getattr(self, name), 0.0, 1.0)
        _in_range("affinity_threshold", self.affinity_threshold, -1.0, 1.0)
        _in_range("similarity_threshold", self.similarity_threshold, -1.0, 1.0)
        _in_range("attention_scale", self.attention_scale, 0.0, 1e4)
        _in_range("mask_weight", self.mask_weight, 0.0, 1e4)
        _in_range("retention_weight", self.retention_weight, 0.0, 1e4)
        _in_range("identity_weight", self.identity_weight, 0.0, 1e4)
        for name in ("correction_up", "correction_down"):
            _in_range(name, getattr(self, name), 0.0, 100.0)
        if self.feature_dim % self.num_heads:
            raise FaimError(
                f"config: num_heads is {self.num_heads}; expected a divisor of the feature "
                f"dimension {self.feature_dim} of {self.title}"
            )

    @property
    def delicate(self) -> bool:
        """Whether half precision costs much, as it does the few channels of small detectors."""
        return self.variant in ("nano", "tiny")

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.class_names)

    @property
    def refined(self) -> tuple[bool, ...] | None:
        """Of every class, whether TICAM decides it; None where it decides all."""
        if not self.refined_classes:
            return None
        return tuple(name in self.refined_classes for name in self.class_names)

    @property
    def scales(self) -> Scale:
        """Depth and width multipliers of the base detector, and whether it is depthwise."""
        return YOLOX_SCALES[self.variant] if self.scale is None else self.scale

    @property
    def feature_dim(self) -> int:
        """D: channels of the stem features, F_cls and F_ins."""
        return int(256 * self.scales[1])

    @property
    def mask_classes(self) -> int:
        """Masks that the mask head predicts of a proposal: 1 or C."""
        return 1 if self.class_agnostic_masks else self.num_classes

    @property
    def learns_masks(self) -> bool:
        """Whether training has a mask loss, and so needs masks."""
        return "mask_head" in PARTS[self.architecture] and self.mask_weight > 0

    @property
    def title(self) -> str:
        """What people call the model, such as "FAIM-s"."""
        joint = "-" if self.scale is None else " "
        return _TITLES[self.architecture] + joint + self.size

    @property
    def size(self) -> str:
        """The base detector's size in words: the variant, or the multipliers of `scale`."""
        if self.scale is None:
            return self.variant
        depth, width, depthwise = self.scale
        kind = ", depthwise" if depthwise else ""
        return f"(depth {depth:.3g}, width {width:.3g}{kind})"

    def to_json(self) -> str:
        """The config as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> FaimConfig:
        """Read what `to_json` wrote.

        Raises:
            FaimError: not JSON, an unknown field, or a value out of range.
        """
        return cls.from_values(parse_json(text, "config"))

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> FaimConfig:
        """Of the fields in a JSON object; FaimError as `from_json`."""
        known = {field.name for field in fields(cls)}
        if isinstance(values.get("residual"), bool):
            # The name of two of today's three rules, when there were no more.
            values = {name: value for name, value in values.items() if name != "residual"} | {
                "join": "correction" if values["residual"] else "replace"
            }
        if not values.keys() <= known:
            raise FaimError(
                f"config: unknown fields {shown(sorted(values.keys() - known))}; expected some of "
                f"{sorted(known)}"
            )
        return cls(**(_BEFORE | values))


def _class_names(names: tuple[object, ...]) -> None:
    """Raise FaimError unless they are different texts, each short enough, and not too many."""
    if not all(isinstance(name, str) and len(name) <= LONGEST_CLASS_NAME for name in names):
        raise FaimError(
            f"config: class_names is {shown(names)}; expected strings of at most "
            f"{LONGEST_CLASS_NAME} characters"
        )
    if not 1 <= len(names) <= MOST_CLASSES or len(set(names)) != len(names):
        raise FaimError(
            f"config: class_names is {shown(names)}; expected 1 to {MOST_CLASSES} names, each once"
        )
    try:
        "".join(map(str, names)).encode()
    except UnicodeEncodeError as error:
        name = next(name for name in names if error.object[error.start] in str(name))
        raise FaimError(
            f"config: class_names holds {name!a}, with half a character; expected text"
        ) from error


def _scale(value: object) -> Scale:
    """A checked `FaimConfig.scale`, a tuple whatever JSON made of it."""
    if isinstance(value, (list, tuple)) and len(value) == 3 and isinstance(value[2], bool):
        depth, width, depthwise = value
        numbers = all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in value[:2])
        if numbers and 0 < depth <= _MOST_SCALE and _LEAST_WIDTH <= width <= _MOST_SCALE:
            return float(depth), float(width), depthwise
    raise FaimError(
        f"config: scale is {shown(value)}; expected depth, above 0, and width, from "
        f"{_LEAST_WIDTH:g}, each at most {_MOST_SCALE:g}, and whether it is depthwise"
    )


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise FaimError(f"config: {name} is {shown(value)}; expected one of {', '.join(allowed)}")


def _in_range(name: str, value: object, low: float, high: float) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
        raise FaimError(
            f"config: {name} is {shown(value)}; expected a number from {low:g} to {high:g}"
        )
