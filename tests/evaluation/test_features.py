from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from evaluation_cases import MakeData

from faim.data.coco_vid import Annotation, FrameRecord
from faim.data.transforms import LetterboxGeometry
from faim.detector import BoxFeatures
from faim.errors import FaimError
from faim.evaluation.features import MOST, FeatureSample
from faim.evaluation.modes import ModeRunner
from faim.families.yolox.config import FaimConfig
from faim.families.yolox.faim import build_model

GEOMETRY = LetterboxGeometry.fit((100, 200), (50, 100))  # half as large


def frame(*annotations: Annotation) -> FrameRecord:
    return FrameRecord(1, Path("1.png"), 200, 100, 0, annotations)


def of_frame(boxes: list[list[float]], valid: list[bool]) -> BoxFeatures:
    """With a leading 1, of one frame."""
    count = len(boxes)
    before = torch.arange(count, dtype=torch.float32)[:, None].repeat(1, 3)
    return BoxFeatures(
        boxes=torch.tensor(boxes)[None],
        valid=torch.tensor(valid)[None],
        before=before[None],
        after=torch.zeros(1, count, 0),
    )


def test_proposals_that_overlap_an_object_by_half() -> None:
    sample = FeatureSample()
    boxes = [[0, 0, 20, 20], [0, 0, 20, 10.2], [0, 0, 20, 9.8], [60, 20, 80, 40], [0, 0, 20, 20]]
    found = of_frame([[float(v) for v in box] for box in boxes], [True] * 4 + [False])
    objects = (Annotation((0, 0, 40, 40), 5), Annotation((120, 40, 160, 80), 3))
    sample.take([frame(*objects)], [GEOMETRY], found)
    sample.take([frame()], [GEOMETRY], found)
    assert sample.labels.tolist() == [5, 5, 3]
    assert sample.before[:, 0].tolist() == [0, 1, 3]
    assert sample.after.numel() == 0


def test_a_fair_draw_of_at_most_so_many(tmp_path: Path) -> None:
    sample = FeatureSample(seed=1)
    found = of_frame([[0.0, 0.0, 20.0, 20.0]] * 500, [True] * 500)
    for label in range(20):
        sample.take([frame(Annotation((0, 0, 40, 40), label))], [GEOMETRY], found)
    counts = torch.bincount(sample.labels, minlength=20)
    assert int(counts.sum()) == MOST
    assert 60 < int(counts.min()) <= int(counts.max()) < 140  # a hundred each, by chance
    sample.write(tmp_path / "features.npz")
    with np.load(tmp_path / "features.npz") as arrays:
        assert sorted(arrays) == ["before", "labels"]
        assert arrays["labels"].tolist() == sample.labels.tolist()
    with pytest.raises(FaimError, match="cannot be written"):
        sample.write(tmp_path / "nowhere" / "features.npz")
    FeatureSample().write(tmp_path / "empty.npz")
    assert not (tmp_path / "empty.npz").exists()


@pytest.mark.parametrize("modes", [("frame", "global"), ("frame",)])
def test_what_the_classifier_reads(
    make_data: MakeData, tmp_path: Path, modes: tuple[str, ...]
) -> None:
    """The sampled `after`, put through the classifier, gives the model's own logits."""
    for number in range(1, 4):
        noise = np.random.default_rng(number).integers(0, 256, (100, 200, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), noise)
    config = FaimConfig(
        variant="nano", class_names=("cat", "dog"), test_size=(64, 128), num_proposals=6
    )
    model = build_model(config).eval()
    for layer in model.detector.head.obj_preds:  # random weights find no objects
        torch.nn.init.constant_(layer.bias, 1.0)
    # Every proposal of the first frame is an object.
    plain = ModeRunner(model, make_data([[(0, (1, 1, 9, 9), 1)]] * 3, ("cat", "dog")), ("frame",))
    boxes = plain.run()["frame"].detections[1].boxes
    wide = [box for box in boxes.unique(dim=0).tolist() if box[2] - box[0] > 1 < box[3] - box[1]]
    data = make_data([[(1, tuple(box), i) for i, box in enumerate(wide)], [], []], ("cat", "dog"))
    sample = FeatureSample()
    logits: list[torch.Tensor] = []
    handle = model.ticam.classifier.register_forward_hook(lambda *call: logits.append(call[2]))
    ModeRunner(model, data, modes, features=sample).run()  # type: ignore[arg-type]
    handle.remove()
    assert len(sample.labels) >= len(wide) > 0
    assert set(sample.labels.tolist()) == {1}
    if "global" not in modes:
        assert sample.after.numel() == 0
        return
    assert sample.after.shape == (len(sample.labels), 4 * sample.before.shape[1])
    with torch.inference_mode():
        again = model.ticam.classifier(sample.after)
        distance = torch.cdist(again, torch.cat(logits)).min(dim=1).values
    assert float(distance.max()) < 1e-4
