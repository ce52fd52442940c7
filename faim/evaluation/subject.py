"""The model that an evaluation runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from faim.checks import resolve_device
from faim.errors import FaimError
from faim.evaluation.request import EvalOptions
from faim.families.yolox.aggregation import NoAggregation
from faim.families.yolox.checkpoint import Aggregate, load_model
from faim.families.yolox.faim import VideoDetector
from faim.families.yolox.graph_detector import GraphDetector
from faim.families.yolox.ticam_detector import VideoModel
from faim.nn.affinity import Affinity
from faim.runtime.select import BackendOptions, open_detector

if TYPE_CHECKING:
    from faim.training.experiment import Experiment


def open_models(
    options: EvalOptions,
    experiment: Experiment | None,
    size: tuple[int, int] | None,
    *,
    with_base: bool,
) -> tuple[VideoDetector, VideoDetector | None]:
    """The model and, where it computes more than its base detector, that alone.

    Raises:
        FaimError: there are no such weights, or they do not fit the options or the experiment.
    """
    model = _open(options, options.aggregate, size)
    if experiment and experiment.variant != model.config.variant:
        raise FaimError(
            f"{options.weights}: weights of variant {model.config.variant}; expected "
            f"{experiment.variant}, the variant of {options.exp_file}"
        )
    if with_base and not isinstance(model.aggregator, (Affinity, NoAggregation)):
        return model, _open(options, "none", size)
    return model, None


def _open(
    options: EvalOptions, aggregate: Aggregate, size: tuple[int, int] | None
) -> VideoDetector:
    if options.weights is None:
        raise FaimError("--ckpt: not given; expected weights, or --detections FILE")
    run = BackendOptions(
        options.backend, options.device, options.precision, options.threads, options.compile
    )
    if run == BackendOptions("torch", options.device):
        # The modules themselves: in float32 on a GPU too, as training sees them.
        model = load_model(
            options.weights, aggregate=aggregate, device=resolve_device(options.device)
        )
        _set_selection(model, options)
        return model
    detector = open_detector(options.weights, run, aggregate=aggregate, size=size)
    _set_selection(detector, options)
    return detector


def _set_selection(model: VideoModel | GraphDetector, options: EvalOptions) -> None:
    """What the options ask of FSPM."""
    if options.proposals is not None:
        set_proposals(model, options.proposals)
    if options.proposal_nms is not None:
        model.config = replace(model.config, nms_test=options.proposal_nms)
        model.fspm.nms_test = options.proposal_nms


def set_proposals(model: VideoModel | GraphDetector, count: int) -> None:
    """Another number of proposals a frame; FaimError where exported graphs hold it."""
    if isinstance(model, GraphDetector) and model.runner.backend != "torch":
        raise FaimError(
            f"--proposals: {count} given with backend {model.runner.backend}, whose graphs hold "
            f"the model's own {model.config.num_proposals}; expected --backend torch"
        )
    model.config = replace(model.config, num_proposals=count)
    model.fspm.num_proposals = count
