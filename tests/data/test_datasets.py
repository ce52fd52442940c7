from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from faim.data.coco_vid import CocoVid, read_image
from faim.data.datasets import FrameDataset, VideoDataset, collate_frames
from faim.data.transforms import letterbox, to_tensor
from faim.errors import FaimError
from faim.families.yolox.augmentation import BaseStageAugment, jitter_hsv
from faim.structures import VideoSample


@pytest.fixture(scope="module")
def data(small_set: Path) -> CocoVid:
    return CocoVid(small_set)


def _equal(a: VideoSample, b: VideoSample) -> bool:
    return (
        a.images.shape == b.images.shape
        and torch.equal(a.images, b.images)
        and all(
            torch.equal(x.boxes, y.boxes) and torch.equal(x.masks, y.masks)
            for x, y in zip(a.targets, b.targets, strict=True)
        )
    )


def test_frames_without_augmentation(data: CocoVid) -> None:
    frames = FrameDataset(data, (64, 96))
    assert len(frames) == 7
    image, targets = frames[1]
    source = read_image(data.frames[1].path)
    assert torch.equal(image, to_tensor(letterbox(source, (64, 96))[0]))
    expected = torch.tensor([[14.0, 20.0, 44.0, 36.0]]) * 0.96
    assert torch.allclose(targets.boxes, expected)
    assert (targets.labels.tolist(), targets.instance_ids.tolist()) == ([1], [101])
    images, batch = collate_frames([frames[0], frames[1]])
    assert images.shape == (2, 3, 64, 96)
    assert torch.equal(batch[1].boxes, targets.boxes)
    with pytest.raises(IndexError):
        frames[7]


def test_cache_changes_no_result(data: CocoVid) -> None:
    plain = FrameDataset(data, 64, BaseStageAugment(), seed=2)
    cached = FrameDataset(data, 64, BaseStageAugment(), seed=2, cache=True)
    for _ in range(2):  # a second round would see images changed in place
        for index in range(7):
            assert torch.equal(plain[index][0], cached[index][0])
    cached.augment = plain.augment = None
    assert torch.equal(plain[3][0], cached[3][0])
    videos = [
        VideoDataset(data, 3, [64], hsv_prob=1.0, jitter=jitter_hsv, cache=cache)
        for cache in (False, True)
    ]
    assert _equal(videos[0][0], videos[1][0])


def test_frame_augmentation_derives_from_seed_epoch_and_index(data: CocoVid) -> None:
    frames = FrameDataset(data, 64, BaseStageAugment(), seed=1)
    first = frames[2][0]
    frames[5]
    assert torch.equal(frames[2][0], first)
    frames.set_epoch(1)
    assert not torch.equal(frames[2][0], first)
    frames.set_epoch(0)
    assert torch.equal(pickle.loads(pickle.dumps(frames))[2][0], first)
    assert not torch.equal(FrameDataset(data, 64, BaseStageAugment(), seed=2)[2][0], first)


def test_a_sample_is_m_frames_of_one_video(data: CocoVid) -> None:
    videos = VideoDataset(data, 4, [64], flip=False)
    assert len(videos) == 2
    sample = videos[0]
    assert sample.images.shape == (4, 3, 64, 64)
    sources = [
        to_tensor(letterbox(read_image(frame.path), (64, 64))[0]) for frame in data.videos[0].frames
    ]
    found = [
        next(i for i, source in enumerate(sources) if torch.equal(source, image))
        for image in sample.images
    ]
    assert found == sorted(set(found))
    for index, targets in zip(found, sample.targets, strict=True):
        expected = torch.tensor([[10.0 + 4 * index, 20, 40 + 4 * index, 36]]) * 0.64
        assert torch.allclose(targets.boxes, expected)
        assert targets.masks.shape == (1, 64, 64)
    short = videos[1]  # two frames, each used twice
    assert torch.equal(short.images[0], short.images[1])
    assert not torch.equal(short.images[1], short.images[2])
    assert VideoDataset(data, 2, [64], with_masks=False)[0].targets[0].masks is None


def test_samples_derive_from_seed_epoch_and_index(data: CocoVid) -> None:
    def videos(seed: int) -> VideoDataset:
        return VideoDataset(data, 3, [64, 96, 128], seed=seed)

    one, same, other = videos(4), videos(4), videos(5)
    drawn = []
    for epoch in range(12):
        for dataset in (one, same, other):
            dataset.set_epoch(epoch)
        assert _equal(one[0], same[0])
        drawn.append((one[0], other[0]))
    assert {sample.images.shape[-1] for sample, _ in drawn} == {64, 96, 128}
    assert not all(_equal(a, b) for a, b in drawn)


def test_flip_mirrors_the_whole_sample(data: CocoVid) -> None:
    plain = VideoDataset(data, 4, [(64, 96)], flip=False, seed=1)
    mirrored = VideoDataset(data, 4, [(64, 96)], flip=True, seed=1)
    flips = 0
    for epoch in range(10):
        plain.set_epoch(epoch)
        mirrored.set_epoch(epoch)
        a, b = plain[0], mirrored[0]
        if _equal(a, b):
            continue
        flips += 1
        # 60x100 at scale 0.96 fills 57 rows and all 96 columns.
        assert (a.images.flip(3) - b.images).abs().max() <= 1
        for x, y in zip(a.targets, b.targets, strict=True):
            assert torch.equal(x.masks.flip(2), y.masks)
            mirror = 96 - x.boxes[:, [2, 1, 0, 3]]
            assert torch.allclose(mirror[:, [0, 2]], y.boxes[:, [0, 2]], atol=1e-4)
            assert torch.equal(x.boxes[:, [1, 3]], y.boxes[:, [1, 3]])
    assert 2 <= flips <= 8


def test_jitter_is_the_same_on_all_frames(data: CocoVid) -> None:
    videos = VideoDataset(data, 4, [64], hsv_prob=1.0, jitter=jitter_hsv, flip=False)
    changed = 0
    for epoch in range(4):
        videos.set_epoch(epoch)
        images = videos[1].images  # frames 0, 0, 1, 1
        assert torch.equal(images[0], images[1])
        original = to_tensor(letterbox(read_image(data.videos[1].frames[0].path), (64, 64))[0])
        changed += not torch.equal(images[0], original)
    assert changed >= 2


def test_workers_see_a_new_epoch_and_give_the_same_items(data: CocoVid) -> None:
    videos = VideoDataset(data, 2, [64], seed=3)
    loader = DataLoader(
        videos, batch_size=None, num_workers=1, persistent_workers=True, shuffle=False
    )
    for epoch in range(3):
        videos.set_epoch(epoch)
        assert all(_equal(sample, videos[i]) for i, sample in enumerate(loader))


def test_workers_see_a_closed_mosaic(data: CocoVid) -> None:
    frames = FrameDataset(data, 64, BaseStageAugment(hsv_prob=0.0, flip_prob=0.0))
    loader = DataLoader(frames, batch_size=None, num_workers=1, persistent_workers=True)
    assert frames.augment is not None
    before = [image for image, _ in loader]
    frames.augment.enabled = False
    after = [image for image, _ in loader]
    plain = [image for image, _ in (FrameDataset(data, 64)[i] for i in range(7))]
    assert all(torch.equal(a, b) for a, b in zip(after, plain, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(before, plain, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampling": "far"}, "sampling is 'far'"),
        ({"m": 0}, "m is 0"),
        ({"sizes": []}, "sizes is empty"),
        ({"sizes": [100]}, "size is 100; expected multiples of 32"),
    ],
)
def test_wrong_options_are_named(data: CocoVid, options: dict, message: str) -> None:
    with pytest.raises(FaimError, match=message):
        VideoDataset(data, **{"m": 2, **options})


def test_local_sampling_takes_neighbours(data: CocoVid) -> None:
    videos = VideoDataset(data, 3, [64], sampling="local", flip=False)
    starts = []
    for epoch in range(8):
        videos.set_epoch(epoch)
        left = np.array([target.boxes[0, 0] / 0.64 for target in videos[0].targets])
        assert np.allclose(np.diff(left), 4, atol=1e-3)
        starts.append(round(float(left[0])))
    assert set(starts) == {10, 14, 18}
