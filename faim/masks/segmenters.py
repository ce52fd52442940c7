"""Instance masks of other tools: result files, and torchvision's Mask R-CNN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from faim.data.mask_encoding import tight_box
from faim.data.records import Annotation, read_mask
from faim.data.rules import is_finite
from faim.errors import FaimError
from faim.masks.protocol import Boxes
from faim.pictures.image import Image, Mask
from faim.reading import read_json_list
from faim.state_dicts import load_weights, read_weights

#: torchvision's models that give masks.
MODELS = ("maskrcnn_resnet50_fpn_v2", "maskrcnn_resnet50_fpn")
#: A weight whose first dimension is the number of classes.
_CLASSES_ARE_IN = "roi_heads.box_predictor.cls_score.weight"
#: Certainty from which a pixel of torchvision's soft masks is the object's.
_PIXEL = 0.5


@dataclass(frozen=True)
class Found:
    """The objects that a segmenter found in one frame.

    Attributes:
        boxes: (n, 4), x1 y1 x2 y2 in pixels.
        scores: (n,).
        mask: from the number of an object to its mask, (H, W).
    """

    boxes: Boxes
    scores: npt.NDArray[np.float64]
    mask: Callable[[int], Mask]


@dataclass(frozen=True)
class Results:
    """COCO's list of results with masks, by image.

    Attributes:
        path: of the file, for errors.
        rows: each with its number in the file; those of one image in the file's order.
    """

    path: Path
    rows: dict[int, list[tuple[int, dict[str, Any]]]]

    def found(self, image_id: int, size: tuple[int, int], min_score: float) -> Found:
        """The objects of one image of height and width `size` that score at least `min_score`.

        Raises:
            FaimError: a mask that is looked at is damaged, or not of this size.
        """
        rows = [each for each in self.rows.get(image_id, ()) if each[1]["score"] >= min_score]
        boxes = [self._box(number, row, size) for number, row in rows]

        def mask(index: int) -> Mask:
            return self._mask(*rows[index], size)

        scores = [row["score"] for _, row in rows]
        return Found(np.array(boxes, float).reshape(-1, 4), np.array(scores, float), mask)

    def _box(self, number: int, row: dict[str, Any], size: tuple[int, int]) -> list[float]:
        if row.get("bbox") is not None:
            x, y, width, height = row["bbox"]
            return [x, y, x + width, y + height]
        return list(tight_box(self._mask(number, row, size)))

    def _mask(self, number: int, row: dict[str, Any], size: tuple[int, int]) -> Mask:
        annotation = Annotation((0.0, 0.0, 0.0, 0.0), 0, -1, row["segmentation"])
        try:
            return read_mask(annotation, *size)
        except FaimError as error:
            reason = str(error).partition(": ")[2]
            raise FaimError(f"{self.path}: entry {number}: {reason}") from error


def read_results(path: Path) -> Results:
    """Read COCO's list of results, of which each has `image_id`, `segmentation` and `score`.

    `bbox` may be absent; category ids are not looked at.

    Raises:
        FaimError: the file is missing or no such list.
    """
    content = read_json_list(path, "results, each with image_id, segmentation and score")
    rows: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    for number, row in enumerate(content):
        problem = _problem(row)
        if problem:
            raise FaimError(f"{path}: entry {number} {problem}")
        rows.setdefault(row["image_id"], []).append((number, row))
    return Results(path, rows)


def _problem(row: Any) -> str | None:
    """What is wrong with one entry of the list, its mask apart; None if nothing."""
    if not isinstance(row, dict):
        return f"is a {type(row).__name__}; expected an object"
    missing = [key for key in ("image_id", "segmentation", "score") if key not in row]
    if missing:
        return f"has no {missing[0]}; expected image_id, segmentation and score"
    if type(row["image_id"]) is not int:
        return f"has image_id {row['image_id']!r:.80}; expected a whole number"
    if not isinstance(row["segmentation"], (dict, list)):
        return f"has segmentation {row['segmentation']!r:.80}; expected RLE or polygons"
    if not is_finite(row["score"]):
        return f"has score {row['score']!r:.80}; expected a finite number"
    bbox = row.get("bbox")
    sound = isinstance(bbox, list) and len(bbox) == 4 and all(map(is_finite, bbox))
    if bbox is not None and (not sound or min(bbox[2:]) < 0):
        return f"has bbox {bbox!r:.80}; expected finite x, y, width and height"
    return None


def load_mask_rcnn(checkpoint: str, model: str, device: torch.device) -> nn.Module:
    """One of torchvision's `MODELS` with the weights of a file, or its own.

    Args:
        checkpoint: a .pth of the network's weights, with any number of classes; or the name of a
            model, whose weights torchvision downloads.
        model: which network the file is of.
        device: to run on.

    Raises:
        FaimError: the weights cannot be had, or are of another network.
    """
    from torchvision.models import get_model

    if Path(checkpoint).is_file():
        expected = f"weights of torchvision's {model}"
        state = read_weights(Path(checkpoint), expected)
        if _CLASSES_ARE_IN not in state:
            raise FaimError(
                f"{checkpoint}: no weights of Mask R-CNN (no {_CLASSES_ARE_IN}); expected "
                f"{expected}"
            )
        classes = len(state[_CLASSES_ARE_IN])
        network = get_model(model, weights=None, weights_backbone=None, num_classes=classes)
        load_weights(network, state, checkpoint, expected)
    elif checkpoint in MODELS:
        try:
            network = get_model(checkpoint, weights="DEFAULT")
        except (OSError, RuntimeError) as error:  # no connection, or a broken download
            raise FaimError(
                f"{checkpoint}: its weights cannot be downloaded ({type(error).__name__}); "
                "expected a connection to download.pytorch.org, or checkpoint=FILE"
            ) from error
    else:
        raise FaimError(
            f"{checkpoint}: no such file; expected weights of torchvision's Mask R-CNN, or one of "
            f"{', '.join(MODELS)}"
        )
    return network.to(device).eval()


@torch.inference_mode()
def run_mask_rcnn(network: nn.Module, image: Image, min_score: float) -> Found:
    """What the network finds in a frame, (H, W, 3) uint8 RGB, with at least `min_score`."""
    device = next(network.parameters()).device
    pixels = torch.from_numpy(image).to(device).permute(2, 0, 1).float() / 255
    [found] = network([pixels])
    rows = found["scores"] >= min_score
    masks = (found["masks"][rows, 0] >= _PIXEL).cpu().numpy()
    boxes = found["boxes"][rows].double().cpu().numpy()
    return Found(boxes, found["scores"][rows].double().cpu().numpy(), lambda index: masks[index])
