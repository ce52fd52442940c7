"""What is measured after an epoch of the box-to-mask network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from faim.data.coco_vid import CocoVid
from faim.data.mask_encoding import tight_box
from faim.data.records import read_frame, read_mask
from faim.families.boxvos.experiment import BoxVosExperiment
from faim.families.boxvos.inference import TrackOptions, plan_windows, segment_track
from faim.families.boxvos.network import BoxVos
from faim.families.boxvos.tracks import Track, tracks_of
from faim.masks.evaluation.jaccard import jaccard
from faim.training.validation import EpochEvaluation


class ValidateMasks(EpochEvaluation):
    """The mean Jaccard index, in percent: the mean over objects of the mean over their frames."""

    experiment: BoxVosExperiment

    def evaluate(
        self, model: Any, weights: Path, device: str, frames: int | None = None
    ) -> tuple[float, dict[str, float]]:
        """See `EpochEvaluation`; objects are chosen."""
        tracks = tracks_of(CocoVid(self.annotation_file))
        stride = 1 if frames is None else -(-sum(map(len, tracks)) // frames)
        training = model.training
        model.eval()
        try:
            objects = [
                np.mean(list(track_overlaps(model, track, self.experiment)))
                for track in tracks[::stride]
            ]
        finally:
            model.train(training)
        mean = 100 * float(np.mean(objects))
        return mean, {"j": mean}


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
