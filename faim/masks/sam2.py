"""`sam2`: Segment Anything 2, which follows each track from its boxes through the video."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from faim.devices import resolve_device
from faim.errors import FaimError
from faim.extras import missing_package
from faim.masks.prompts import (
    Masks,
    batches,
    best_masks,
    check_at_least,
    frame_by_frame,
    to_rgb,
)
from faim.masks.protocol import Boxes, Frames, ObjectMask, TrackIds
from faim.masks.weight_files import identity
from faim.pictures.image import Image
from faim.state_dicts import load_weights, read_weights

_WHERE = (
    "a file such as sam2.1_hiera_large.pt of "
    "https://github.com/facebookresearch/sam2#download-checkpoints, or a name such as "
    "facebook/sam2.1-hiera-large"
)
#: Sides of the three levels of features, in parts of the network input's side.
_STRIDES = (4, 8, 16)


@dataclass
class Sam2Masks:
    """Segment Anything 2 (Ravi et al., 2024) by `sam2`.

    In video mode a track's first box tells what to cut out, the network's memory follows it, and a
    box tells anew every `prompt_every` frames; all tracks go through the video together. Boxes
    whose track is unknown are cut out of their frame alone, which is then embedded once more.

    Attributes:
        checkpoint: a file of the project's own, or its name on the Hugging Face hub.
        model: as the project's files are called, sam2.1_hiera_tiny to sam2_hiera_large; auto goes
            by the name of the checkpoint.
        video: follow the tracks; else every box is cut out of its frame alone.
        prompt_every: frames from one box of a track that is used to the next.
        batch: boxes of unknown tracks at once.
        device: auto, cpu or a GPU as torch names it.

    Raises:
        FaimError: a value out of its range.
    """

    checkpoint: str | Path = "facebook/sam2.1-hiera-large"
    model: str = "auto"
    video: bool = True
    prompt_every: int = 8
    batch: int = 16
    device: str = "auto"

    name: ClassVar[str] = "sam2"
    version: ClassVar[int] = 1
    needs_frames: ClassVar[bool] = True
    parallel: ClassVar[bool] = False
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Validate."""
        check_at_least(self.name, "batch", self.batch, 1)
        check_at_least(self.name, "prompt_every", self.prompt_every, 1)

    @property
    def parameters(self) -> dict[str, Any]:
        """The checkpoint by name and content, and how the video is gone through."""
        how = {"prompt_every": self.prompt_every} if self.video else {}
        return {**identity(self.checkpoint), "model": self.model, "video": self.video, **how}

    @cached_property
    def network(self) -> Any:
        """The library's `SAM2VideoPredictor`, loaded; FaimError as `generate`."""
        try:
            from sam2.build_sam import HF_MODEL_ID_TO_FILENAMES, build_sam2_video_predictor
        except ImportError as error:
            raise missing_package(f"method {self.name}", "sam2", "sam2") from error
        device = resolve_device(self.device)
        models = {
            Path(file).stem: (settings, hub)
            for hub, (settings, file) in HF_MODEL_ID_TO_FILENAMES.items()
        }
        model = self._model_among({name: hub for name, (_, hub) in models.items()})
        settings, hub = models[model]
        path = self._file(hub, f"{model}.pt")
        network = build_sam2_video_predictor(settings, device="cpu")
        # The library fills holes by a CUDA extension that its wheel lacks.
        network.fill_hole_area = 0
        load_weights(network, read_weights(path, _WHERE), path, f"weights of {model}")
        return network.to(device).eval()

    @cached_property
    def predictor(self) -> Any:
        """The library's `SAM2ImagePredictor` of the network."""
        network = self.network
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of torch.jit.script, which it uses
            predictor = SAM2ImagePredictor(network)
        # The library has those of an input of 1024 pixels.
        predictor._bb_feat_sizes = [(network.image_size // stride,) * 2 for stride in _STRIDES]
        return predictor

    def generate(
        self, frames: Frames, boxes: Sequence[Boxes], track_ids: Sequence[TrackIds]
    ) -> Iterator[ObjectMask]:
        """See `MaskMethod`."""
        if not self.video:
            yield from frame_by_frame(frames, boxes, self.predict)
            return
        from faim.masks.sam2_video import Followed, follow

        tracks = [_tracks_in(ids) for ids in track_ids]
        followed = Followed(frames, boxes, tracks)
        yield from follow(self.network, self.predictor._transforms, followed, self.prompt_every)
        for index, (here, known) in enumerate(zip(boxes, tracks, strict=True)):
            alone = sorted(set(range(len(here))) - set(known.values()))
            if alone:
                masks = self.predict(to_rgb(frames[index]), here[alone])
                for number, mask in zip(alone, masks, strict=True):
                    yield ObjectMask(index, number, mask)

    @torch.inference_mode()
    def predict(self, image: Image, boxes: Boxes) -> Masks:
        """Masks of one frame alone.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: (k, 4), x1 y1 x2 y2 in pixels; k at least 1.

        Returns:
            (k, H, W).
        """
        self.predictor.set_image(image)
        found = []
        for part in batches(len(boxes), self.batch):
            masks, scores, _ = self.predictor.predict(box=boxes[part], multimask_output=False)
            rows = len(boxes[part])
            # One box comes back without its dimension.
            by_box = torch.from_numpy(masks.reshape(rows, -1, *image.shape[:2]) > 0)
            found.append(best_masks(by_box, torch.from_numpy(scores.reshape(rows, -1))))
        return np.concatenate(found)

    def _model_among(self, models: dict[str, str]) -> str:
        """Which of the models, given with their names on the hub, is meant."""
        named = {hub: model for model, hub in models.items()}
        given = str(self.checkpoint)
        model = named.get(given, Path(given).stem) if self.model == "auto" else self.model
        if model not in models:
            what = f"model={self.model}"
            if self.model == "auto":
                what = f"{given}: its name does not tell the model"
            raise FaimError(f"method sam2: {what}; expected model=…, one of {', '.join(models)}")
        return model

    def _file(self, hub: str, name: str) -> Path:
        """The checkpoint's file, downloaded where only its name on the hub is given."""
        if Path(self.checkpoint).is_file():
            return Path(self.checkpoint)
        if str(self.checkpoint) != hub:
            raise FaimError(f"{self.checkpoint}: no such file; expected {_WHERE}")
        try:
            from huggingface_hub import hf_hub_download
        except ImportError as error:
            raise missing_package(f"method {self.name}", "huggingface-hub", "sam2") from error
        try:
            return Path(hf_hub_download(repo_id=hub, filename=name))
        except Exception as error:  # of the network, of every kind
            raise FaimError(
                f"{hub}: cannot be downloaded ({type(error).__name__}); expected a connection to "
                f"huggingface.co, or {_WHERE}"
            ) from error


def _tracks_in(ids: TrackIds) -> dict[int, int]:
    """The known tracks of a frame, with their boxes' numbers; of one twice, the first box."""
    tracks: dict[int, int] = {}
    for number, track in enumerate(ids.tolist()):
        if track != -1:
            tracks.setdefault(track, number)
    return tracks
