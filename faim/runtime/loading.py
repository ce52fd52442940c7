"""What `faim.load` does."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from faim.checks import check_batch, check_iou, check_size
from faim.choices import Classes
from faim.groups import BackendOptions, MemoryOptions, PostOptions, SelectionOptions
from faim.postprocess.pairs import PairModel
from faim.runtime.pipeline import Detector
from faim.runtime.select import open_detector
from faim.threads import share_processors
from faim.weights import default_weights


def load(
    weights: str | Path | None = None,
    *,
    aggregate: Literal["auto", "ticam", "affinity", "none"] = "auto",
    size: int | tuple[int, int] | None = None,
    conf: float = 0.3,
    device: str = "auto",
    backend: Literal["auto", "torch", "onnxruntime", "openvino", "tensorrt"] = "auto",
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    threads: int | None = None,
    compile: bool = False,
    bank_frames: int | None = None,
    bank_policy: Literal["recent", "spread"] = "spread",
    scene_cuts: bool = True,
    post: Literal["auto", "none", "repp", "causal"] = "auto",
    post_model: str | Path | None = None,
    classes: Classes | None = None,
    iou: float | None = None,
    max_det: int | None = None,
    agnostic: bool = False,
    roi: object = None,
    batch: int = 8,
) -> Detector:
    """A detector from a file or name of weights, or from a folder that `faim export` wrote.

    Args:
        weights: a faim checkpoint (.safetensors), a plain YOLOX .pth, which then aggregates
            without training, a folder of exported files, or a name that `faim weights` lists, such
            as "yolox_s", whose file is fetched once. What exists as a path is a path. The embedded
            FAIM-Nano by default.
        aggregate: how frames help each other; "auto" takes the best that the weights allow.
        size: side, or (height, width), of the network input in pixels, multiples of 32; the
            model's own by default.
        conf: detections below this score are dropped, in [0, 1].
        device: "auto" is a GPU where there is one, else the CPU; or a name that torch knows.
        backend: what runs the networks; "auto" is the fastest that is installed and fits.
        precision: what the base detector computes in; "auto" is the backend's choice.
        threads: processor threads of the networks; all by default.
        compile: with backend "torch", pass the networks through `torch.compile`.
        bank_frames: past frames that a stream remembers.
        bank_policy: "recent" the last of them; "spread" half of them the last, half over all of the
            past.
        scene_cuts: whether a stream forgets its past at a hard cut.
        post: post-processing: "repp" with the modes global and frame, "causal" with mode stream;
            "auto" is "causal" in streams and "repp" in mode global, where frames help each other.
        post_model: its pair model, a file that `faim repp fit` wrote; the published one by default.
        classes: the classes to detect, by name or number: "person, car" or ["person", 2]; all by
            default.
        iou: of two boxes of a class that overlap by more, the weaker is left out, in [0, 1]; the
            model's own by default.
        max_det: most detections of a frame, the best; all by default.
        agnostic: leave out the weaker of two boxes of different classes too.
        roi: detect only what has the centre of its box in this region: polygons in pixels or in
            shares of the frame, a mask, or a file of either; see docs/predict.md.
        batch: frames that go through the base detector at once in the modes global and frame.

    Raises:
        FaimError: no such file, no such checkpoint, weights that cannot be fetched, or an option
            out of its range.

    Example:
        >>> detector = load(conf=0.5, classes="stripes, dots")  # or load("yolox_s"), load("a.pth")
        >>> detector.size, detector.score_threshold, detector.class_names[:3]
        ((256, 256), 0.5, ('stripes', 'checks', 'dots'))
    """
    return load_grouped(
        default_weights() if weights is None else weights,
        aggregate=aggregate,
        size=size,
        conf=conf,
        batch=batch,
        backend=BackendOptions(backend, device, precision, threads, compile),
        memory=MemoryOptions(bank_frames, bank_policy, scene_cuts),
        post=PostOptions(post, post_model),
        selection=SelectionOptions(classes, iou, max_det, agnostic, roi),
    )


def load_grouped(
    weights: str | Path,
    *,
    aggregate: Literal["auto", "ticam", "affinity", "none"],
    size: int | tuple[int, int] | None,
    conf: float,
    batch: int,
    backend: BackendOptions,
    memory: MemoryOptions,
    post: PostOptions,
    selection: SelectionOptions,
) -> Detector:
    """`load` for those that have its options in their groups."""
    share_processors()
    check_batch(batch)
    if selection.iou is not None:
        check_iou(selection.iou)
    pair_model = None if post.model is None else PairModel.from_json(post.model)
    model = open_detector(
        weights,
        backend,
        aggregate=aggregate,
        size=None if size is None else check_size(size),
        least_nms=selection.iou,
    )
    return Detector(
        model,
        size=size,
        score_threshold=conf,
        device=model.device,
        batch_size=batch,
        memory=memory,
        post=post.name,
        post_model=pair_model,
        selection=selection,
    )
