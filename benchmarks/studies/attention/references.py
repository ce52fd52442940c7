"""What TICAM takes from the other frames of a video for one proposal, and whose that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torchvision.ops import box_iou

from faim.data.coco_vid import FrameRecord, VideoRecord, read_frame
from faim.data.transforms import letterbox, to_batch
from faim.families.yolox.ticam_detector import TicamDetector
from faim.stream.steps import frame_groups
from faim.structures import Proposals
from studies.attention.keys import Key

#: Which weights of TICAM: those of a round, or of one of the two maps that are the first.
Weights = Literal["first", "class", "instance", "second"]
#: What a reference shows. From IoU 0.5 on it belongs to the key's object, or else to the object it
#: overlaps most; below 0.3 with every object it is background, between the two a part.
KINDS = ("same object", "same class", "other class", "part", "background")
SAME, SAME_CLASS, OTHER_CLASS, PART, BACKGROUND = range(len(KINDS))
IOU_OBJECT, IOU_BACKGROUND = 0.5, 0.3
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Reference:
    """A proposal of another frame.

    Attributes:
        place: of its frame in the video.
        box: x1 y1 x2 y2 in source pixels.
        weight: in (0, 1], its share of all that the key proposal takes, its own frame's included.
        kind: place in `KINDS`.
        iou: with the key's object if it is the same, else with the object it overlaps most.
    """

    place: int
    box: Box
    weight: float
    kind: int
    iou: float


@dataclass(frozen=True)
class View:
    """What a model's key proposal takes from other frames.

    Attributes:
        box: the key proposal, x1 y1 x2 y2 in source pixels.
        top: the references with the largest weight, largest first; none of weight 0.
        mass: (5,) float64, share of each kind in the weight of all references; NaN without any.
        pool: (5,) float64, share of each kind in the number of all references.
        elsewhere: in [0, 1], share of the references in all that the key proposal takes.
    """

    box: Box
    top: tuple[Reference, ...]
    mass: Tensor
    pool: Tensor
    elsewhere: float

    @property
    def top_shares(self) -> Tensor:
        """(5,) float64, share of each kind in the number of `top`; NaN without any."""
        kinds = torch.tensor([each.kind for each in self.top], dtype=torch.long)
        return shares(kinds, torch.ones(len(kinds)))


#: What the kinds of weights say of one key proposal.
Views = Mapping[Weights, View]


@dataclass(frozen=True)
class Scene:
    """Frames of a video that TICAM sees together.

    Attributes:
        places: m, of the frames in the video, ascending.
        frames: m.
        boxes: (m, n, 4) float32, proposals in source pixels.
        valid: (m, n) bool.
        weights: (m * n, m * n) float32 of each kind, see `Attention`.
    """

    places: Sequence[int]
    frames: Sequence[FrameRecord]
    boxes: Tensor
    valid: Tensor
    weights: Mapping[Weights, Tensor]

    def views(self, key: Key, count: int) -> Views | None:
        """The `count` top references of the key's proposal; None where no proposal shows it."""
        at, n = self.places.index(key.place), self.valid.shape[1]
        overlap = _overlap(self.boxes[at], self.valid[at], [key.annotation.box])[:, 0]
        best = int(overlap.argmax())
        if overlap[best] < IOU_OBJECT:
            return None
        counted = self.valid.clone()
        counted[at] = False
        kinds, iou = self._judge(key)
        made: dict[Weights, View] = {}
        for name, every in self.weights.items():
            weights = every[at * n + best] * counted.flatten()
            made[name] = View(
                box=_numbers(self.boxes[at, best]),
                top=tuple(self._top(weights, kinds, iou, count)),
                mass=shares(kinds, weights),
                pool=shares(kinds, counted.flatten()),
                elsewhere=float(weights.sum()),
            )
        return made

    def _top(self, weights: Tensor, kinds: Tensor, iou: Tensor, count: int) -> Iterator[Reference]:
        """The references of largest weight above 0; all arguments (m * n,)."""
        boxes, n = self.boxes.flatten(0, 1), self.valid.shape[1]
        for index in weights.argsort(descending=True, stable=True)[:count].tolist():
            if weights[index] > 0:
                yield Reference(
                    place=self.places[index // n],
                    box=_numbers(boxes[index]),
                    weight=float(weights[index]),
                    kind=int(kinds[index]),
                    iou=float(iou[index]),
                )

    def _judge(self, key: Key) -> tuple[Tensor, Tensor]:
        """Kind (m * n,) long and IoU (m * n,) of every proposal, seen from the key."""
        judged = [
            _judge_frame(key, frame, boxes, valid)
            for frame, boxes, valid in zip(self.frames, self.boxes, self.valid, strict=True)
        ]
        kinds, iou = zip(*judged, strict=True)
        return torch.cat(kinds), torch.cat(iou)


def _judge_frame(
    key: Key, frame: FrameRecord, boxes: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor]:
    if not frame.annotations:
        return torch.full((len(boxes),), BACKGROUND), torch.zeros(len(boxes))
    overlap = _overlap(boxes, valid, [each.box for each in frame.annotations])
    iou, best = overlap.max(dim=1)
    like = torch.tensor(
        [each.category_id == key.annotation.category_id for each in frame.annotations]
    )
    kinds = torch.where(like[best], SAME_CLASS, OTHER_CLASS)
    kinds[iou < IOU_OBJECT] = PART
    kinds[iou < IOU_BACKGROUND] = BACKGROUND
    own = [each.instance_id == key.annotation.instance_id for each in frame.annotations]
    if any(own):
        same = overlap[:, torch.tensor(own)].amax(dim=1)
        kinds[same >= IOU_OBJECT] = SAME
        iou = torch.where(same >= IOU_OBJECT, same, iou)
    return kinds, iou


def _overlap(boxes: Tensor, valid: Tensor, objects: Sequence[Sequence[float]]) -> Tensor:
    """(n, g) IoU; 0 for padding."""
    return box_iou(boxes, torch.tensor(objects)) * valid[:, None]


def shares(kinds: Tensor, weights: Tensor) -> Tensor:
    """(5,) float64: each kind's part of the sum of `weights` (r,); NaN where that is 0."""
    sums = torch.bincount(kinds, weights=weights.double(), minlength=len(KINDS))
    return sums / sums.sum()


@torch.inference_mode()
def views(
    model: TicamDetector, video: VideoRecord, keys: Sequence[Key], count: int
) -> list[Views | None]:
    """What the model takes for each key of one video, seen as in global mode.

    Args:
        model: in eval mode.
        video: of the keys.
        keys: k of its objects.
        count: top references of each.

    Returns:
        k, None where no proposal shows the object.

    Raises:
        FaimError: an image cannot be read.
    """
    found: dict[int, Views | None] = {}
    frames = model.config.test_frames
    for group in frame_groups(len(video.frames), frames, "uniform", seed=0):
        wanted = [index for index, key in enumerate(keys) if key.place in group]
        if wanted:
            scene = look(model, video, group)
            found |= {index: scene.views(keys[index], count) for index in wanted}
    return [found[index] for index in range(len(keys))]


def look(model: TicamDetector, video: VideoRecord, places: Sequence[int]) -> Scene:
    """Run the model over frames of a video that it sees together."""
    frames = [video.frames[place] for place in places]
    device = next(model.parameters()).device
    proposals, boxes = [], []
    for frame in frames:
        pixels, geometry = letterbox(read_frame(frame), model.config.test_size)
        proposals.append(model.propose(to_batch([pixels]).to(device))[0])
        boxes.append(geometry.to_source(proposals[-1].boxes.float().cpu()))
    together = Proposals.stack(proposals)
    found = model.ticam.attention(together)
    weights: dict[Weights, Tensor] = {
        "first": found.first.cpu(),
        "class": found.cls.cpu(),
        "instance": found.ins.cpu(),
        "second": found.second.cpu(),
    }
    return Scene(places, frames, torch.stack(boxes), together.valid.cpu(), weights)


def _numbers(box: Tensor) -> Box:
    x1, y1, x2, y2 = box.tolist()
    return x1, y1, x2, y2
