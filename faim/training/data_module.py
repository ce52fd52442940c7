"""Training data: read, checked, and served in an order that an interrupted run repeats."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import cv2
import lightning
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from faim.data.coco_vid import CocoVid
from faim.data.sampling import derive_seed
from faim.errors import FaimError
from faim.training.common import CommonExperiment

#: How long a process that loads data outlives a SIGTERM that did not end the training.
SECONDS_TO_END = 30


def read_data(annotation_file: str | Path, what: str, option: str) -> CocoVid:
    """Read a CocoVID file; if it is absent, the sentence says how to come by one.

    Raises:
        FaimError: no such file, or see `CocoVid`.
    """
    path = Path(annotation_file)
    if not os.path.isfile(path):  # noqa: PTH113 - is_file raises for names too long
        raise FaimError(
            f"{path}: no {what} data there; put a CocoVID annotation file with its images there, "
            f"name another with {option} ANN.json, or generate one with `faim synth --out "
            f"data/synthvid --videos 200` and give {option} data/synthvid/annotations.json"
        )
    return CocoVid(path)


def data_identity(data: CocoVid) -> dict[str, Any]:
    """What tells a data set from another when a training is resumed, wherever its file lies."""
    counts = len(data.videos), len(data.frames), sum(len(f.annotations) for f in data.frames)
    return {"videos, frames and objects in the data": counts}


class ResumableBatches(Sampler[list[int]]):
    """Batches of indices in an order that depends on (seed, epoch) alone.

    Iterating starts at whatever batch the training has come to, so a resumed run goes on exactly
    where its checkpoint was written.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        *,
        seed: int,
        position: Callable[[], int],
        start_epoch: Callable[[int], None],
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Cut the items into batches.

        Args:
            length: number of items; fewer than a batch of all processes are repeated to fill it.
            batch_size: items a process.
            seed: of the order.
            position: tells how many batches the training has done since its first epoch.
            start_epoch: called with the epoch before its indices are handed out.
            rank: this process.
            world_size: number of processes; each takes its share of every batch.
        """
        self.length = length
        self.batch_size = batch_size * world_size
        self.seed = seed
        self.position = position
        self.start_epoch = start_epoch
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        """Batches an epoch; the last, incomplete one is left out."""
        return max(self.length // self.batch_size, 1)

    def __iter__(self) -> Iterator[list[int]]:
        """The rest of the epoch that the training is in."""
        epoch, first = divmod(self.position(), len(self))
        self.start_epoch(epoch)
        generator = torch.Generator().manual_seed(derive_seed(self.seed, epoch))
        order = torch.randperm(self.length, generator=generator).tolist()
        order *= -(-self.batch_size // self.length)
        for batch in range(first, len(self)):
            items = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield items[self.rank :: self.world_size]


class Guarded(Dataset[Any]):
    """Whole batches of a dataset; one that fails comes as its FaimError.

    Raised in a worker process it would come out wrapped in a traceback; and raised in the loader
    of one of several processes it would leave the others waiting.
    """

    def __init__(self, dataset: Dataset[Any], collate: Callable[[Sequence[Any]], Any]) -> None:
        """Serve `dataset` in batches made by `collate`."""
        self.dataset = dataset
        self.collate = collate

    def __getitems__(self, indices: list[int]) -> Any:
        """The batch of these items."""
        try:
            return self.collate([self.dataset[index] for index in indices])
        except FaimError as error:
            return error


def _as_it_is(batch: Any) -> Any:
    return batch


class TrainingData(lightning.LightningDataModule):
    """The loader of the training items."""

    def __init__(self, dataset: Dataset[Any], experiment: CommonExperiment) -> None:
        """Serve `dataset` as the experiment says."""
        super().__init__()
        self.dataset = dataset
        self.experiment = experiment

    @property
    def batches_per_epoch(self) -> int:
        """Batches a process loads in one epoch."""
        return len(self._batches(0, self.experiment.devices * self.experiment.num_nodes))

    def train_dataloader(self) -> DataLoader[Any]:
        """Called once; later epochs iterate it again."""
        assert self.trainer is not None
        workers = min(self.experiment.workers, processors())
        return DataLoader(
            Guarded(self.dataset, self.experiment.collate),
            batch_sampler=self._batches(self.trainer.global_rank, self.trainer.world_size),
            num_workers=workers,
            collate_fn=_as_it_is,
            persistent_workers=workers > 0,
            worker_init_fn=_start_worker,
            pin_memory=torch.cuda.is_available(),
        )

    def _batches(self, rank: int, world_size: int) -> ResumableBatches:
        return ResumableBatches(
            len(self.dataset),  # type: ignore[arg-type]
            self.experiment.process_batch,
            seed=self.experiment.seed,
            position=self._batches_done,
            start_epoch=lambda epoch: self.experiment.start_epoch(self.dataset, epoch),
            rank=rank,
            world_size=world_size,
        )

    def _batches_done(self) -> int:
        assert self.trainer is not None
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed


def processors() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start_worker(worker: int) -> None:
    # Ctrl-C goes to the whole process group, and so may SIGTERM; the training process decides when
    # to stop, and still needs batches until the end of its step.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_worker_later)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)


def _end_worker_later(number: int, frame: FrameType | None) -> None:
    """At the second SIGTERM, or when it is long past the time of the training process to end it."""
    for later in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(later, lambda *_: os._exit(0))
    signal.alarm(SECONDS_TO_END)
