from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faim.data.coco_vid import CocoVid
from faim.errors import FaimError
from faim.experiments.data import read_data
from faim.experiments.stage import stage_of
from faim.training.data_module import ResumableBatches
from faim.training.experiment import BaseExperiment, FaimExperiment


def batches(
    length: int, size: int, *, done: int = 0, rank: int = 0, world: int = 1, seed: int = 0
) -> list[list[int]]:
    return list(
        ResumableBatches(
            length,
            size,
            seed=seed,
            position=lambda: done,
            start_epoch=lambda epoch: None,
            rank=rank,
            world_size=world,
        )
    )


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), st.integers(1, 8), st.integers(1, 3), st.integers(0, 100))
def test_a_resumed_epoch_is_the_rest_of_the_whole_one(
    length: int, size: int, world: int, done: int
) -> None:
    steps = max(length // (size * world), 1)
    epoch, first = divmod(done, steps)
    for rank in range(world):
        whole = batches(length, size, done=epoch * steps, rank=rank, world=world)
        assert len(whole) == steps
        assert all(len(batch) == size for batch in whole)
        assert batches(length, size, done=done, rank=rank, world=world) == whole[first:]


def test_processes_share_an_epoch_without_overlap() -> None:
    parts = [batches(24, 4, rank=rank, world=3) for rank in range(3)]
    assert [len(part) for part in parts] == [2, 2, 2]
    seen = [index for part in parts for batch in part for index in batch]
    assert sorted(seen) == list(range(24))
    together = batches(24, 12)
    for step in range(2):
        assert sorted(chain(*(part[step] for part in parts))) == sorted(together[step])


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    first, second = batches(16, 4), batches(16, 4, done=4)
    assert first != second
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(16))
    assert batches(16, 4, seed=1) != first
    assert batches(16, 4) == first


def test_few_items_are_repeated_to_fill_a_batch() -> None:
    (batch,) = batches(3, 8)
    assert len(batch) == 8
    assert set(batch) == {0, 1, 2}


def test_the_epoch_is_announced_before_its_items() -> None:
    started: list[int] = []
    sampler = ResumableBatches(8, 4, seed=0, position=lambda: 5, start_epoch=started.append)
    assert next(iter(sampler))
    assert started == [2]


def test_missing_data() -> None:
    with pytest.raises(FaimError, match=r"gone\.json: no training data there; put .*`faim synth"):
        read_data("gone.json", "training", "--data")


def test_a_video_gives_as_many_samples_as_its_frames_fill(annotations: Path) -> None:
    data = CocoVid(annotations)  # 4 videos of 4 frames
    for frames, stride, samples in [(4, 1, 4), (3, 1, 8), (1, 1, 16), (1, 2, 8), (16, 1, 4)]:
        experiment = FaimExperiment(
            model={"train_frames": frames}, frame_stride=stride, sizes=(64,)
        )
        dataset = stage_of(experiment).dataset(data)
        assert len(dataset) == samples
        assert len(dataset[0].targets) == frames
    assert len(data.videos[0].frames) == 4


def test_samples_of_one_video_differ(annotations: Path) -> None:
    experiment = FaimExperiment(model={"train_frames": 1}, frame_stride=1, sizes=(64,), flip=False)
    dataset = stage_of(experiment).dataset(CocoVid(annotations))
    images = [dataset[index].images for index in range(4)]
    assert any(not images[0].equal(other) for other in images[1:])


def test_strong_augmentation_ends_before_the_last_epochs(annotations: Path) -> None:
    experiment = BaseExperiment(variant="nano", input_size=(64, 64), frame_stride=1)
    dataset = stage_of(experiment).dataset(CocoVid(annotations))
    enabled = []
    for epoch in range(7):
        stage_of(experiment).start_epoch(dataset, epoch)
        assert dataset.augment is not None
        enabled.append(dataset.augment.enabled)
    assert enabled == [True] * 5 + [False] * 2


def test_augmentation_is_overridden_by_name(annotations: Path) -> None:
    experiment = BaseExperiment(variant="nano", augment={"mosaic_prob": 0.25})
    dataset = stage_of(experiment).dataset(CocoVid(annotations))
    assert dataset.augment is not None
    assert dataset.augment.mosaic_prob == 0.25
    experiment.augment = {"mosiac": 1}
    with pytest.raises(FaimError, match="mosiac"):
        stage_of(experiment).dataset(CocoVid(annotations))
