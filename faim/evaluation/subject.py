"""The model that an evaluation runs."""

from __future__ import annotations

from torch import nn

from faim.choices import Aggregate
from faim.detector import Tuning, VideoDetector
from faim.devices import resolve_device
from faim.errors import FaimError
from faim.evaluation.request import EvalOptions
from faim.experiments.common import DetectorExperiment
from faim.families.checkpoints import load_detector
from faim.groups import BackendOptions
from faim.runtime.select import open_detector


def open_models(
    options: EvalOptions,
    experiment: DetectorExperiment | None,
    size: tuple[int, int] | None,
    *,
    with_base: bool,
) -> tuple[VideoDetector, VideoDetector | None]:
    """The model and, where it computes more than its base detector, that alone.

    Raises:
        FaimError: there are no such weights, or they do not fit the options or the experiment.
    """
    model = _open(options, options.aggregate, size)
    variant = model.traits.details.get("variant")
    if experiment and experiment.variant != variant:
        raise FaimError(
            f"{options.weights}: weights of variant {variant}; expected {experiment.variant}, the "
            f"variant of {options.exp_file}"
        )
    if with_base and model.traits.more_than_base:
        return model, _open(options, "none", size)
    return model, None


def _open(
    options: EvalOptions, aggregate: Aggregate, size: tuple[int, int] | None
) -> VideoDetector:
    if options.weights is None:
        raise FaimError("--ckpt: not given; expected weights, or --detections FILE")
    run = options.backend
    tuning = Tuning(proposals=options.proposals, proposal_nms=options.proposal_nms)
    detector: VideoDetector
    if run == BackendOptions("torch", run.device):
        # The modules themselves: in float32 on a GPU too, as training sees them.
        detector = load_detector(options.weights, aggregate=aggregate)
        if isinstance(detector, nn.Module):
            detector.to(resolve_device(run.device))
    else:
        detector = open_detector(options.weights, run, aggregate=aggregate, size=size)
    detector.tune(tuning)
    return detector
