"""A detector whose networks are graphs of some backend; selection stays on the host."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from faim.backends.base import GraphRunner
from faim.backends.info import ExportInfo
from faim.backends.opened import OpenedDetector
from faim.detector import Timing, Traits, Tuning, VideoDetector
from faim.errors import FaimError
from faim.families.yolox import patches
from faim.families.yolox.aggregation import Aggregator, NoAggregation
from faim.families.yolox.fspm import FSPM
from faim.families.yolox.graphs import (
    CELLS,
    ENTRY,
    FEATURES,
    KEY,
    MADE,
    RAW,
    REGRESSION,
    empty_bank,
)
from faim.families.yolox.join import Join
from faim.families.yolox.patches import BUCKET, locate
from faim.families.yolox.proposal_detector import ProposalDetector, tuned
from faim.families.yolox.ticam_detector import make_proposals
from faim.nn.affinity import Affinity
from faim.nn.ticam import TicamEntry
from faim.structures import Picks, Proposals, RawPredictions, TensorRecord

#: The proposal's own cell among those around it.
MIDDLE = patches.CELLS // 2


class GraphDetector(ProposalDetector, OpenedDetector):
    """A YOLOX, FAIM or YOLOV over a `GraphRunner`, for several threads at once."""

    def __init__(self, runner: GraphRunner, *, aggregate: str = "auto") -> None:
        """`runner` runs the graphs; `aggregate` "none" leaves every frame to itself."""
        self.runner = runner
        self.config = runner.info.config
        config = self.config
        self.fspm = FSPM(config.top_k, config.num_proposals, config.nms_train, config.nms_test)
        self.fspm.eval()
        self.aggregator: Aggregator = NoAggregation() if aggregate == "none" else self._aggregator()

    @property
    def traits(self) -> Traits:
        """See `VideoDetector`."""
        runs_on = f"{self.runner.backend} {self.runner.precision}"
        return replace(super().traits, runs_on=runs_on)

    @property
    def device(self) -> torch.device:
        """See `VideoDetector`."""
        return self.runner.device

    def fingerprint(self) -> str:
        """See `VideoDetector`."""
        return self.runner.info.weights

    def _aggregator(self) -> Aggregator:
        if self.runner.info.aggregation == "ticam":
            return GraphTicam(self.runner)
        if self.runner.info.aggregation == "affinity":
            return Affinity(self.config.affinity_threshold)
        return NoAggregation()

    def propose(self, images: Tensor) -> Proposals:
        """See `ProposalDetector`; images are uint8.

        Raises:
            FaimError: they are of another size than the graphs.
        """
        info = self.runner.info
        if not info.dynamic_size and tuple(images.shape[2:]) != info.config.test_size:
            asked, has = ("x".join(map(str, s)) for s in (images.shape[2:], info.config.test_size))
            raise FaimError(f"size: {asked} asked of a model exported for {has}; expected {has}")
        if info.batch is None or len(images) == info.batch:
            return self._propose(images)
        return Proposals.concatenate([self._propose(batch) for batch in images.split(info.batch)])

    def tune(self, tuning: Tuning) -> None:
        """See `VideoDetector`.

        Raises:
            FaimError: the graphs hold another size, or number of proposals.
        """
        size = tuning.size
        if size is not None and not self.runner.info.dynamic_size and size != self.config.test_size:
            asked, has = ("x".join(map(str, sides)) for sides in (size, self.config.test_size))
            raise FaimError(f"size: {asked} asked of a model exported for {has}; expected {has}")
        if tuning.proposals is not None:
            raise FaimError(
                f"--proposals: {tuning.proposals} given with backend {self.runner.backend}, whose "
                f"graphs hold the model's own {self.config.num_proposals}; expected --backend torch"
            )
        self.config = tuned(self.config, self.fspm, tuning)

    def timed(self, timing: Timing) -> VideoDetector:
        """See `VideoDetector`."""
        other = object.__new__(type(self))
        vars(other).update({**vars(self), "timing": timing})
        return other

    @classmethod
    def graphs_needed(cls, info: ExportInfo) -> tuple[str, ...]:
        """See `OpenedDetector`."""
        return ("describe", "step", "refine") if info.aggregation == "ticam" else ()

    def warm_up(self) -> None:
        """Meet every number of proposals that a level may have.

        Otherwise each costs the first frame that has it some milliseconds, and memory, which would
        seem to leak for hours.
        """
        config, info = self.config, self.runner.info
        height, width = config.test_size
        images = torch.zeros(
            info.batch or 1, 3, height, width, dtype=torch.uint8, device=self.runner.device
        )
        with torch.inference_mode():
            found = self.runner.run("frame", {"images": images.permute(0, 2, 3, 1).contiguous()})
            if info.aggregation != "ticam":
                return
            features = {name: found[name] for name in FEATURES}
            order = torch.zeros(config.num_proposals, dtype=torch.long, device=images.device)
            for count in range(BUCKET, config.num_proposals + BUCKET, BUCKET):
                cells = torch.zeros(count, patches.CELLS, dtype=torch.long, device=images.device)
                self.runner.run(
                    "describe", features | dict.fromkeys(CELLS, cells) | {"order": order}
                )

    def _propose(self, images: Tensor) -> Proposals:
        count = len(images)
        pixels = images.permute(0, 2, 3, 1)
        if self.runner.info.batch and count < self.runner.info.batch:
            padding = pixels.new_zeros(self.runner.info.batch - count, *pixels.shape[1:])
            pixels = torch.cat([pixels, padding])
        with self.timing("frame"):
            found = self.runner.run("frame", {"images": pixels.contiguous()})
        raw = RawPredictions(*(found[name] for name in RAW))
        picks = self.fspm(raw if len(pixels) == count else raw[:count])
        return make_proposals(picks, *self._features(picks, found))

    def _features(self, picks: Picks, found: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        if self.runner.info.aggregation == "none":
            nothing = picks.boxes[..., :0]
            return nothing, nothing
        features = [found[name] for name in FEATURES]
        sizes = [(feature.shape[1], feature.shape[2]) for feature in features]
        cells, order = locate(picks.index, sizes, multiple=BUCKET)
        if self.runner.info.aggregation == "affinity":
            picked = _at(features, cells, order).unflatten(0, picks.index.shape)
            return picked, picked[..., :0]
        inputs = dict(zip(FEATURES, features, strict=True)) | dict(zip(CELLS, cells, strict=True))
        with self.timing("describe"):
            described = self.runner.run("describe", inputs | {"order": order})
        if REGRESSION[0] in found:  # YOLOV has them in the place of F_ins
            regression = _at([found[name] for name in REGRESSION], cells, order)
            described = {**described, "ins_features": regression}
        shape = picks.index.shape
        cls_features, ins_features = (
            described[name].clone().unflatten(0, shape) for name in KEY[:2]
        )
        return cls_features, ins_features


def _at(features: list[Tensor], cells: list[Tensor], order: Tensor) -> Tensor:
    """Features (N, D) at the proposals themselves; see `faim.families.yolox.patches.locate`."""
    picked = [f.flatten(0, 2)[around[:, MIDDLE]] for f, around in zip(features, cells, strict=True)]
    return torch.cat(picked)[order]


class GraphTicam:
    """What `TicamAggregator` is, by the graphs "step" and "refine"."""

    name, padded = "ticam", True

    def __init__(self, runner: GraphRunner) -> None:
        """`runner` has the two graphs."""
        self.runner = runner
        config = runner.info.config
        self.guide_ins = config.guide_ins
        marks = config.refined
        self.refined = None if marks is None else torch.tensor(marks, device=runner.device)
        self.join = Join.of(config)

    def refine(self, proposals: Proposals) -> Tensor:
        """See `Aggregator.refine`."""
        found = self.runner.run("refine", self._key(proposals))
        return self._probabilities(found["logits"], proposals)

    def step(self, key: Proposals, bank: TensorRecord | None) -> tuple[Tensor, TensorRecord]:
        """See `Aggregator.step`."""
        inputs = self._key(key)
        past = (
            bank
            if isinstance(bank, TicamEntry)
            else empty_bank(self.runner.info.config, 1, key.valid.device)
        )
        references = {f"bank_{name}": getattr(past, name) for name in ENTRY}
        found = self.runner.run("step", inputs | references)
        entry = TicamEntry(**{name: found[name] for name in MADE}, valid=inputs["valid"])
        return self._probabilities(found["logits"], key), entry

    def _probabilities(self, logits: Tensor, of: Proposals) -> Tensor:
        return self.join.probabilities(logits, of.class_scores, self.refined)

    def _key(self, proposals: Proposals) -> dict[str, Tensor]:
        objectness = proposals.objectness
        tensors = (
            proposals.cls_features,
            proposals.ins_features,
            proposals.class_scores.amax(dim=-1),
            objectness if self.guide_ins else torch.ones_like(objectness),
            proposals.valid,
        )
        return {name: tensor.contiguous() for name, tensor in zip(KEY, tensors, strict=True)}
