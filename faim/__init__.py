"""FAIM: video object detection by feature aggregation with instance masks, in real time.

Example:
    >>> import faim  # doctest: +SKIP
    >>> detector = faim.load("yolox_nano")  # doctest: +SKIP
    >>> for result in detector.stream("video.mp4"):  # doctest: +SKIP
    ...     print(result.frame.index, result.detections["class_name"])
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Literal

from faim.errors import FaimError
from faim.extras import DISTRIBUTION
from faim.threads import share_processors

if TYPE_CHECKING:
    from pathlib import Path

    from faim.runtime.pipeline import Detector

try:
    __version__ = version(DISTRIBUTION)
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["FaimError", "__version__", "load"]


def load(
    weights: str | Path,
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
) -> Detector:
    """A detector from a file or name of weights, or from a folder that `faim export` wrote.

    Args:
        weights: a faim checkpoint (.safetensors), a plain YOLOX .pth, which then aggregates
            without training, a folder of exported files, or a name that `faim weights` lists, such
            as "yolox_s", whose file is fetched once. What exists as a path is a path.
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
            "auto" is "causal" in streams whose frames help each other.
        post_model: its pair model, a file that `faim repp fit` wrote; the published one by default.

    Raises:
        FaimError: no such file, no such checkpoint, weights that cannot be fetched, or an option
            out of its range.
    """
    share_processors()
    # torch and the rest are imported here, so that `import faim` takes no time.
    from faim.postprocess.pairs import PairModel
    from faim.runtime.backends.select import BackendOptions, open_detector
    from faim.runtime.checks import check_size
    from faim.runtime.pipeline import Detector

    pair_model = None if post_model is None else PairModel.from_json(post_model)
    model = open_detector(
        weights,
        BackendOptions(backend, device, precision, threads, compile),
        aggregate=aggregate,
        size=None if size is None else check_size(size),
    )
    return Detector(
        model,
        size=size,
        score_threshold=conf,
        device=model.runner.device,
        bank_frames=bank_frames,
        bank_policy=bank_policy,
        scene_cuts=scene_cuts,
        post=post,
        post_model=pair_model,
    )
