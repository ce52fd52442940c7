"""Every number of the model in one validated place."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from faim.checks import is_side
from faim.choices import LONGEST_SIDE
from faim.errors import FaimError
from faim.families.yolox.config_parts import (
    NEW_PARTS,
    THE_ARCHITECTURES,
    AggregationPart,
    Architecture,
    BasePart,
    InferencePart,
    JoinKind,
    LearningPart,
    MaskLevel,
    MaskPart,
    Scale,
    SelectionPart,
    TrainablePart,
    Upsampling,
    Variant,
)
from faim.reading import parse_json, shown
from faim.typed import check_fields

__all__ = [
    "NEW_PARTS",
    "Architecture",
    "FaimConfig",
    "JoinKind",
    "MaskLevel",
    "Scale",
    "TrainablePart",
    "Upsampling",
    "Variant",
]

YOLOX_SCALES: dict[str, Scale] = {
    "nano": (0.33, 0.25, True),
    "tiny": (0.33, 0.375, False),
    "s": (0.33, 0.50, False),
    "m": (0.67, 0.75, False),
    "l": (1.0, 1.0, False),
    "x": (1.33, 1.25, False),
}
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
#: Of the base detector's depth and width; below the least width no layer has a channel.
_MOST_SCALE, _LEAST_WIDTH = 4.0, 1 / 64
_TITLES = {"yolox": "YOLOX", "faim": "FAIM", "yolov": "YOLOV", "yolov_ifem": "YOLOV with IFEM"}


@dataclass(frozen=True)
class FaimConfig(LearningPart, InferencePart, MaskPart, AggregationPart, SelectionPart, BasePart):
    """The model's numbers; stored as JSON in every checkpoint.

    Defaults are the paper's (FAIM, Sec. 4 and Appendix A.1) where it names one, and the public
    YOLOV implementation's where it is silent. The fields are those of the parts, beginning with
    the base's.

    Raises:
        FaimError: a value of the wrong kind or out of its range; names the field, the value and
            what is allowed.
    """

    def __post_init__(self) -> None:
        """Validate each part by its hints, and then what its fields have to do with each other."""
        if self.nms_test in (None, THE_ARCHITECTURES):
            _one_of("architecture", self.architecture, get_args(Architecture))
            object.__setattr__(self, "nms_test", NMS_TEST[self.architecture])
        for part in reversed(type(self).__bases__):
            check_fields(self, part, "config")
        has = PARTS[self.architecture]
        object.__setattr__(self, "train_parts", tuple(p for p in self.train_parts if p in has))
        if self.scale is not None:
            object.__setattr__(self, "scale", _scale(self.scale))
        _class_names(self.class_names)
        self._check_refined()
        self._check_together()
        _test_size(self.test_size)

    def _check_refined(self) -> None:
        refined = self.refined_classes
        if not all(isinstance(name, str) for name in refined):
            raise FaimError(f"config: refined_classes is {shown(refined)}; expected strings")
        if not set(refined) <= set(self.class_names) or len(set(refined)) != len(refined):
            raise FaimError(
                f"config: refined_classes is {shown(refined)}; expected some of class_names, each "
                "once"
            )

    def _check_together(self) -> None:
        """What one field allows another."""
        if not self.mask_levels or ("own" in self.mask_levels and len(self.mask_levels) > 1):
            raise FaimError(
                f"config: mask_levels is {self.mask_levels!r}; expected some of P3, P4, P5, or own "
                "alone"
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


def _test_size(size: tuple[int, ...]) -> None:
    if len(size) != 2 or not all(type(side) is int and is_side(side) for side in size):
        raise FaimError(
            f"config: test_size is {shown(size)}; expected height and width, multiples of 32 up to "
            f"{LONGEST_SIDE}"
        )
