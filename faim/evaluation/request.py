"""What may be asked of `faim eval`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from faim.choices import Aggregate, PostName
from faim.errors import FaimError
from faim.evaluation.modes import MODES, Mode
from faim.groups import BackendOptions, MemoryOptions, PostOptions
from faim.postprocess.post import check_post
from faim.stream.steps import Sampling, check_sampling

Modes = Literal["frame", "stream", "global", "all"]
#: Where post-processing works; the other modes run without it, but stream, which repp leaves out.
POST_MODES: dict[PostName, tuple[Mode, ...]] = {
    "auto": ("stream",),
    "none": (),
    "repp": ("frame", "global"),
    "causal": ("stream",),
}
#: What evaluating a file of detections has a use for.
_WITH_A_FILE = ("data", "exp_file", "json", "out", "detections")
#: Flags that are not the fields' own names; of what is in a group, behind the group's name.
_FLAGS = {
    "weights": "--ckpt",
    "memory.frames": "--bank",
    "memory.policy": "--bank-policy",
    "post.name": "--post",
    "post.model": "--post-model",
}


@dataclass(frozen=True)
class EvalOptions:
    """The options of `faim eval`.

    Attributes:
        weights: a faim checkpoint, or a YOLOX or YOLOV `.pth`.
        data: CocoVID annotations; those of the experiment by default.
        exp_file: experiment file, read for its data and network input.
        mode: one mode, or all.
        aggregate: see `load_model`.
        size: height and width of the network input; the model's own by default.
        json: file for the figures.
        sampling: frames that global mode looks at together: "uniform" or "shuffled" over the whole
            video ("global" is "uniform"), or "local" stretches of it.
        seed: of shuffled sampling.
        backend: what runs the networks; torch on the CPU unless another is asked for.
        memory: past frames of a stream, `frames` - 1 by default; its cuts are not looked for.
        frames: m, frames that global mode looks at together; the model's own by default.
        proposals: n, proposals a frame; the model's own by default.
        proposal_nms: IoU threshold of FSPM's NMS; the model's own by default.
        probe_time: measure too whether the model uses time, see `faim.evaluation.time_probe`.
        post: post-processing of every video: "repp" in the modes frame and global, "causal" in
            stream; "auto" is "causal" in streams whose frames help each other, and else "none".
        out: folder for the figures, the detections of every mode and proposal features.
        detections: COCO's list of results to evaluate in the place of a model.
    """

    weights: str | Path | None = None
    data: Path | None = None
    exp_file: Path | None = None
    mode: Modes = "all"
    aggregate: Aggregate = "auto"
    size: int | tuple[int, int] | None = None
    json: Path | None = None
    sampling: Sampling | Literal["global"] = "uniform"
    seed: int = 0
    backend: BackendOptions = BackendOptions("torch", "cpu")
    memory: MemoryOptions = MemoryOptions()
    frames: int | None = None
    proposals: int | None = None
    proposal_nms: float | None = None
    probe_time: bool = False
    post: PostOptions = PostOptions()
    out: Path | None = None
    detections: Path | None = None

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes to run, in their order; FaimError if there is no such mode."""
        _one_of("--mode", self.mode, get_args(Modes))
        if self.mode != "all":
            return (self.mode,)
        return POST_MODES["repp"] if self.post.name == "repp" else MODES

    def post_of(self, mode: Mode) -> PostName:
        """What post-processing a mode gets."""
        return self.post.name if mode in POST_MODES[self.post.name] else "none"

    @property
    def notes(self) -> list[str]:
        """A sentence for what is left out of all modes."""
        if self.mode == "all" and self.post.name == "repp":
            return ["mode stream is left out: post repp needs the whole video"]
        return []

    @property
    def grouping(self) -> Sampling:
        """`sampling` by the name of `frame_groups`."""
        return "uniform" if self.sampling == "global" else self.sampling

    def check(self) -> None:
        """Raise FaimError for a value that is none of its choices, or that has no use."""
        _ = self.modes
        self._check_file()
        check_sampling(self.grouping, self.seed)
        _one_of("--post", self.post.name, get_args(PostName))
        if self.post.model is not None and self.post.name == "none":
            raise FaimError(
                f"--post-model: {self.post.model} given; expected --post repp or causal beside it"
            )
        if self.mode != "all":
            check_post(self.post.name, self.mode)
        if self.proposal_nms is not None and not 0 <= self.proposal_nms <= 1:
            raise FaimError(f"--proposal-nms: {self.proposal_nms!r} given; expected 0 to 1")
        for name, value in (("--frames", self.frames), ("--proposals", self.proposals)):
            if value is not None and value < 1:
                raise FaimError(f"{name}: {value!r} given; expected 1 or more")

    def _check_file(self) -> None:
        """Refuse what needs a model beside a file of detections."""
        if self.detections is None:
            return
        for name, value, default in _every(self, EvalOptions()):
            if name not in _WITH_A_FILE and value != default:
                flag = _FLAGS.get(name, "--" + name.rpartition(".")[2].replace("_", "-"))
                raise FaimError(
                    f"{flag}: {value} given with --detections; expected it without, as no model is "
                    "run"
                )


def _every(options: Any, defaults: Any) -> Iterator[tuple[str, object, object]]:
    """Every option by name, `group.name` in a group, with its value and its default."""
    for each in fields(options):
        value, default = getattr(options, each.name), getattr(defaults, each.name)
        if is_dataclass(value):
            for name, own, other in _every(value, default):
                yield f"{each.name}.{name}", own, other
        else:
            yield each.name, value, default


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise FaimError(f"{name}: {value!r} given; expected one of {', '.join(choices)}")
