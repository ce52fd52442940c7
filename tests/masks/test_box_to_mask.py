from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from boxvos_helpers import small_network
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from faim.errors import FaimError
from faim.families.boxvos.checkpoint import save_box_vos
from faim.families.boxvos.crop import Crop
from faim.families.boxvos.inference import TrackOptions, Window, plan_windows, segment_track
from faim.families.boxvos.network import BoxVos, FrameEncoding
from faim.families.boxvos.object_encoder import rasterize
from faim.masks.box_to_mask import VideoMasks, tracks
from faim.masks.methods import make_method
from faim.masks.protocol import ArrayFrames

OPTIONS = TrackOptions(frames=3, interval=2, crop=3.0, iterations=2, batch=2)


@given(st.integers(0, 400), st.integers(1, 12), st.integers(1, 30))
def test_windows(length: int, frames: int, interval: int) -> None:
    windows = plan_windows(length, frames, interval)
    masked = sorted(position for window in windows for position in window.new)
    assert masked == list(range(length))
    for window in windows:
        assert set(window.new) <= set(window.frames) <= set(range(length))
        assert len(window.frames) == min(frames, length)
        distances = {b - a for a, b in zip(window.frames, window.frames[1:], strict=False)}
        assert len(distances) <= 1
        # Δ wherever it fits; else the largest that does.
        if distances:
            assert distances == {min(interval, length // len(window.frames))}


@given(st.integers(1, 200), st.integers(1, 12), st.integers(1, 30))
def test_few_encodings_are_held(length: int, frames: int, interval: int) -> None:
    windows = plan_windows(length, frames, interval)
    last = {position: i for i, window in enumerate(windows) for position in window.frames}
    first = {p: i for i, window in reversed(list(enumerate(windows))) for p in window.frames}
    for i in range(len(windows)):
        assert sum(first[p] <= i <= last[p] for p in last) <= 2 * frames


def test_windows_by_hand() -> None:
    assert plan_windows(7, 3, 2) == [
        Window((0, 2, 4), (0, 2, 4)),
        Window((2, 4, 6), (6,)),
        Window((1, 3, 5), (1, 3, 5)),
    ]
    assert plan_windows(5, 3, 15) == [  # Δ shrinks to 1
        Window((0, 1, 2), (0, 1, 2)),
        Window((2, 3, 4), (3, 4)),
    ]
    assert plan_windows(2, 9, 15) == [Window((0, 1), (0, 1))]
    assert plan_windows(2, 1, 15) == [Window((0,), (0,)), Window((1,), (1,))]
    assert plan_windows(0, 9, 15) == []


class Rectangles(torch.nn.Module):
    """In the place of the network: the box itself, and a count of what is encoded."""

    def __init__(self) -> None:
        super().__init__()
        self.config = small_network().config
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.encoded: list[Tensor] = []

    def encode(self, images: Tensor, boxes: Tensor) -> FrameEncoding:
        self.encoded += list(images)
        masks = rasterize(boxes, *images.shape[-2:])
        none = masks[:, :0]
        return FrameEncoding(masks, none, none, none, ())

    def decode(self, window: FrameEncoding, iterations: int | None = None) -> list[Tensor]:
        masks = window.features[:, :, 0]
        return [torch.zeros_like(masks), masks - 0.5]


def moving_boxes(count: int) -> list[tuple[float, float, float, float]]:
    return [(5.0 + 7 * i, 8.0 + 3 * i, 25.0 + 7 * i, 20.0 + 3 * i) for i in range(count)]


def rectangle(box: Sequence[float], size: tuple[int, int] = (60, 100)) -> np.ndarray:
    x1, y1, x2, y2 = map(int, box)
    mask = np.zeros(size, bool)
    mask[y1:y2, x1:x2] = True
    return mask


def test_masks_lie_on_their_boxes_to_the_pixel_and_frames_are_encoded_once() -> None:
    model, boxes, reads = Rectangles(), moving_boxes(10), []

    def read(position: int) -> np.ndarray:
        reads.append(position)
        return np.full((60, 100, 3), position, np.uint8)

    model_as: Any = model
    found = dict(segment_track(model_as, read, boxes, OPTIONS))
    assert sorted(reads) == list(range(10))
    assert sorted(found) == list(range(10))
    for position, mask in found.items():
        assert np.array_equal(mask, rectangle(boxes[position]))
    shown = [round(float(image.median()) * 255) for image in model.encoded]
    assert sorted(shown) == list(range(10))


@pytest.fixture(scope="module")
def network() -> BoxVos:
    return small_network(seed=2)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (60, 100, 3), dtype=np.uint8) for _ in range(7)]


def test_a_window_gives_what_the_network_gives(network: BoxVos, images: list[np.ndarray]) -> None:
    boxes = moving_boxes(7)
    found = dict(segment_track(network, images.__getitem__, boxes, OPTIONS))
    crops = [Crop.around(box, (60, 100), network.config.size, 3.0) for box in boxes]
    window = (2, 4, 6)  # the one whose last frame is new
    inputs = np.stack([crops[i].image(images[i])[..., ::-1] for i in window])
    with torch.inference_mode():
        logits = network(
            torch.from_numpy(inputs.transpose(0, 3, 1, 2).copy())[None] / 255.0,
            torch.tensor([[crops[i].box(boxes[i]) for i in window]]),
            iterations=2,
        )[-1][0, 2]
    expected = crops[6].full_mask(logits.numpy())
    assert (found[6] ^ expected).mean() < 1e-3
    assert sorted(found) == list(range(7))


@pytest.fixture(scope="module")
def checkpoint(network: BoxVos, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("video") / "boxvos.safetensors"
    save_box_vos(path, network)
    return str(path)


def generate(
    method: VideoMasks, images: list[np.ndarray], objects: dict[int, list[int]]
) -> dict[tuple[int, int], np.ndarray]:
    """The masks by frame and object; `objects` are the frames of each."""
    boxes, ids = [], []
    for frame in range(len(images)):
        here = [number for number, frames in objects.items() if frame in frames]
        offset = {number: 4.0 * number for number in here}
        rows = [[5 + 7 * frame, 8 + offset[n], 25 + 7 * frame, 20 + offset[n]] for n in here]
        boxes.append(np.array(rows, np.float64).reshape(-1, 4))
        ids.append(np.array(here, np.int64))
    found = {}
    for each in method.generate(ArrayFrames(images), boxes, ids):
        assert each.mask is not None
        found[each.frame, int(ids[each.frame][each.index])] = each.mask
    assert len(found) == sum(map(len, ids))
    return found


def test_tracks_do_not_influence_each_other(checkpoint: str, images: list[np.ndarray]) -> None:
    method = VideoMasks(checkpoint, frames=3, interval=2, iterations=2)
    objects = {3: [0, 1, 2, 3, 4, 5, 6], 1: [1, 2, 5], 2: [4]}
    together = generate(method, images, objects)
    for number, frames in objects.items():
        alone = generate(method, images, {number: frames})
        for key, mask in alone.items():
            assert np.array_equal(together[key], mask)


def test_unknown_tracks_are_single_frames(checkpoint: str, images: list[np.ndarray]) -> None:
    several = VideoMasks(checkpoint, frames=3, interval=2, iterations=2)
    single = VideoMasks(checkpoint, frames=1, iterations=2)
    unknown = generate(several, images[:3], {-1: [0, 1, 2]})
    same = generate(single, images[:3], {-1: [0, 1, 2]})
    assert all(np.array_equal(unknown[key], same[key]) for key in same)


def test_tracks_of_ids() -> None:
    ids = [np.array(row) for row in ([4, -1], [4, 4, 9], [], [9, -1, 4])]
    assert tracks(ids) == [
        [(0, 0), (1, 0), (3, 2)],
        [(1, 2), (3, 0)],
        [(0, 1)],
        [(1, 1)],
        [(3, 1)],
    ]


def test_parameters_are_the_checkpoints_unless_given(checkpoint: str) -> None:
    made = make_method("video", [f"checkpoint={checkpoint}", "frames=5", "interval=none"])
    assert isinstance(made, VideoMasks)
    assert len(made.parameters.pop("sha256")) == 64
    assert made.parameters == {
        "checkpoint": "boxvos.safetensors",
        "frames": 5,
        "interval": 15,
        "crop": 4.0,
        "iterations": 15,
    }


def test_a_method_can_be_pickled_after_its_use(checkpoint: str, images: list[np.ndarray]) -> None:
    method = VideoMasks(checkpoint, frames=2, interval=1, iterations=1)
    before = generate(method, images[:2], {1: [0, 1]})
    text = pickle.dumps(method)
    assert len(text) < 1000
    after = generate(pickle.loads(text), images[:2], {1: [0, 1]})
    assert all(np.array_equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["frames=0"], "method video: frames is 0; expected at least 1"),
        (["crop=0.5"], "method video: crop is 0.5; expected at least 1"),
        (["batch=0"], "method video: batch is 0"),
    ],
)
def test_wrong_settings(settings: list[str], sentence: str, checkpoint: str) -> None:
    with pytest.raises(FaimError, match=sentence):
        make_method("video", [f"checkpoint={checkpoint}", *settings])


def test_wrong_checkpoints(tmp_path: Path, checkpoint: str, images: list[np.ndarray]) -> None:
    with pytest.raises(FaimError, match="checkpoint missing"):
        make_method("video")
    method = VideoMasks(str(tmp_path / "gone.safetensors"))
    with pytest.raises(FaimError, match="no such file"):
        _ = method.parameters
    with pytest.raises(FaimError, match="no such file"):
        generate(method, images, {1: [0]})
    with pytest.raises(FaimError, match="device: 'gpu' cannot be used here"):
        _ = VideoMasks(checkpoint, device="gpu").parameters
