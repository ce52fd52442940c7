"""Training data, served in an order that an interrupted run repeats."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import cv2
import lightning
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from faim.data.sampling import derive_seed
from faim.errors import FaimError
from faim.experiments.stage import Stage

#: How long a process that loads data outlives a SIGTERM that did not end the training.
SECONDS_TO_END = 30


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

    def __init__(self, dataset: Dataset[Any], stage: Stage[Any, Any]) -> None:
        """Serve `dataset` as the stage and its experiment say."""
        super().__init__()
        self.dataset = dataset
        self.stage = stage

    @property
    def batches_per_epoch(self) -> int:
        """Batches a process loads in one epoch."""
        experiment = self.stage.experiment
        return len(self._batches(0, experiment.devices * experiment.num_nodes))

    def train_dataloader(self) -> DataLoader[Any]:
        """Called once; later epochs iterate it again."""
        assert self.trainer is not None
        workers = min(self.stage.experiment.workers, processors())
        return DataLoader(
            Guarded(self.dataset, self.stage.collate),
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
            self.stage.experiment.process_batch,
            seed=self.stage.experiment.seed,
            position=self._batches_done,
            start_epoch=lambda epoch: self.stage.start_epoch(self.dataset, epoch),
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
