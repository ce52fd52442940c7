"""What is measured after an epoch of the box-to-mask network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from faim.data.jaccard import jaccard
from faim.data.mask_encoding import tight_box
from faim.data.records import read_frame, read_mask
from faim.families.boxvos.experiment import BoxVosExperiment
from faim.families.boxvos.inference import TrackOptions, plan_windows, segment_track
from faim.families.boxvos.network import BoxVos
from faim.families.boxvos.tracks import Track
from faim.nn.modes import evaluating


def mean_overlap(model: BoxVos, tracks: Sequence[Track], experiment: BoxVosExperiment) -> float:
    """The mean over objects of the mean Jaccard index over their frames, in [0, 1]."""
    with evaluating(model):
        return float(
            np.mean([np.mean(list(track_overlaps(model, track, experiment))) for track in tracks])
        )


def track_overlaps(model: BoxVos, track: Track, experiment: BoxVosExperiment) -> Iterator[float]:
    """The Jaccard index of each frame of the windows that validation looks at."""
    truths = [
        read_mask(annotation, frame.height, frame.width)
        for frame, annotation in zip(track.frames, track.annotations, strict=True)
    ]
    config = model.config
    options = TrackOptions(
        experiment.val_frames,
        experiment.val_interval,
        config.crop_factor,
        config.test_iterations,
    )
    windows = plan_windows(len(track), options.frames, options.interval)
    found = segment_track(
        model,
        lambda position: read_frame(track.frames[position]),
        [tight_box(truth) for truth in truths],
        options,
        windows[:: experiment.val_stride],
    )
    for position, mask in found:
        yield jaccard(mask, truths[position])
