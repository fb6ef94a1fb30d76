"""Training: one network at a time, over all machines and views that it is for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler

from edge_asd.errors import DataError, UsageError
from edge_asd_export.training.distributed import ALONE, Processes
from edge_asd_export.training.learner import Learner, Task
from edge_asd_export.training.recipes import recipe_of
from edge_asd_export.training.run import Run, save_checkpoint
from edge_asd_export.training.training_log import EpochLog, append_log
from edge_asd_export.training.training_set import EpochDataset, Item, OnItem, ignore

__all__ = ["load_learner", "new_learner", "train_network"]


def train_network(
    run: Run,
    name: str,
    items: list[Item],
    *,
    device: torch.device,
    processes: Processes = ALONE,
    n_workers: int = 0,
    on_item: OnItem = ignore,
    on_batch: Callable[[int, int, float], None] | None = None,
    on_epoch: Callable[[EpochLog], None] | None = None,
) -> Learner:
    """Train one network of a run to its last epoch, going on where it stopped.

    Every random draw is a function of the seed, the epoch and the process, so a run that
    was interrupted between epochs ends with the weights of one that was not.

    Parameters
    ----------
    name : a key of the run's tasks
    processes : that share each batch; the first one writes
    on_item : called where a network reads all items before its first epoch
    on_batch : called with (batches done, batches of the epoch, loss)
    on_epoch : called after each epoch's checkpoint is on disk

    Raises
    ------
    DataError
        When there are fewer items than two, or the loss is no longer finite.
    UsageError
        When a batch is too small to be shared.
    """
    if len(items) < 2:
        raise DataError(f"training needs at least 2 clips, found {len(items)}")
    session = _Session(run, name, items, device, processes, on_item)
    for epoch in range(session.epoch, session.n_epochs):
        started = time.monotonic()
        with _threads(session.learner.n_threads):
            loss = _run_epoch(session, epoch, n_workers, on_batch)
        if epoch + 1 == session.n_epochs:
            session.learner.finish(items)
        log = EpochLog(
            epoch + 1,
            processes.mean(loss, device),
            session.optimizer.param_groups[-1]["lr"],
            time.monotonic() - started,
            session.learner.log_figures(),
        )
        if processes.is_first:
            session.save(epoch + 1)
            append_log(run.folder(name) / "log.csv", log)
        processes.wait()
        if on_epoch:
            on_epoch(log)
    return session.learner.eval()


def new_learner(run: Run, name: str) -> Learner:
    """Build a network of a run as its training starts."""
    return _build(run, name, is_new=True)


def load_learner(run: Run, name: str) -> Learner:
    """Rebuild a trained network from its run folder, in evaluation mode on the CPU.

    Raises
    ------
    DataError
        When the training has not finished.
    """
    state = run.checkpoint(name)
    n_epochs = run.n_epochs(name)
    if state is None or state["epoch"] < n_epochs:
        done = 0 if state is None else state["epoch"]
        raise DataError(
            f"{name!r} of {run.path} has {done} of {n_epochs} epochs: "
            f"finish it with 'edge-asd train --resume {run.path}'"
        )
    learner = _build(run, name, is_new=False)
    learner.load_state_dict(state["learner"])
    return learner.eval()


def _build(run: Run, name: str, *, is_new: bool) -> Learner:
    record = run.record
    own = record.tasks[name]
    torch.manual_seed(record.config.seed)
    task = Task(run.n_samples(name), own.n_channels, record.sample_rate_hz, own.classes, is_new)
    return recipe_of(name).learner(task, record.config.of(name))


class _Session:
    """Learner and optimiser of one training, restored from the run when it has state."""

    def __init__(
        self,
        run: Run,
        name: str,
        items: list[Item],
        device: torch.device,
        processes: Processes,
        on_item: OnItem,
    ) -> None:
        settings = run.record.config.of(name)
        self.seed = run.record.config.seed
        self.device = device
        self.processes = processes
        self.n_epochs = settings.epochs
        state = run.checkpoint(name)
        self.learner = _build(run, name, is_new=state is None).to(device)
        self.dataset: EpochDataset = self.learner.dataset(items, self.seed, on_item)
        self.batch_size = _share(min(settings.batch_size, len(self.dataset)), processes.n)
        self.optimizer = self.learner.optimizer()
        n_items = -(-len(self.dataset) // processes.n)  # of this process, as its sampler counts
        n_batches = n_items // self.batch_size + (n_items % self.batch_size > 1)
        self.schedule = self.learner.schedule(self.optimizer, n_batches * self.n_epochs)
        self.epoch = 0
        self._path = run.folder(name) / "checkpoint.pt"
        if state is not None:
            self._restore(state)
        self.model: nn.Module = processes.wrap(self.learner, device)

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.learner.load_state_dict(state["learner"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.epoch = state["epoch"]

    def loader(self, epoch: int, n_workers: int) -> tuple[DataLoader[Any], torch.Generator]:
        """Batches of one epoch, and the source of what else is drawn in it."""
        self.dataset.set_epoch(epoch)
        seed = self.seed * 1_000_003 + epoch
        torch.manual_seed(seed + self.processes.rank)  # dropout draws from there
        generator = torch.Generator().manual_seed(seed + 7919 * self.processes.rank)
        sampler: DistributedSampler[Any] | None = None
        if self.processes.n > 1:
            sampler = DistributedSampler(
                self.dataset, self.processes.n, self.processes.rank, seed=self.seed
            )
            sampler.set_epoch(epoch)
        n_items = len(self.dataset) if sampler is None else len(sampler)
        loader = DataLoader(
            self.dataset,
            self.batch_size,
            shuffle=sampler is None,
            sampler=sampler,
            drop_last=n_items % self.batch_size == 1,  # batch normalisation needs two
            num_workers=n_workers,
            generator=generator,
        )
        return loader, generator

    def save(self, epoch: int) -> None:
        save_checkpoint(
            self._path,
            {
                "epoch": epoch,
                "learner": self.learner.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict() if self.schedule else None,
            },
        )


def _run_epoch(
    session: _Session,
    epoch: int,
    n_workers: int,
    on_batch: Callable[[int, int, float], None] | None,
) -> float:
    loader, generator = session.loader(epoch, n_workers)
    session.model.train()
    total = 0.0
    for i, (audio, label) in enumerate(loader, 1):
        loss = session.model(audio.to(session.device), label.to(session.device), generator)
        if not torch.isfinite(loss):
            raise DataError("the training loss is no longer finite; lower the learning rate")
        session.optimizer.zero_grad()
        loss.backward()
        if session.learner.clip_norm is not None:
            nn.utils.clip_grad_norm_(session.learner.parameters(), session.learner.clip_norm)
        session.optimizer.step()
        session.learner.after_step()
        if session.schedule is not None:
            session.schedule.step()
        total += loss.item()
        if on_batch:
            on_batch(i, len(loader), loss.item())
    return total / len(loader)


@contextmanager
def _threads(n: int | None) -> Iterator[None]:
    """As many CPU threads as given, then as many as before; None: those there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(n or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _share(batch_size: int, n_processes: int) -> int:
    """Items of a batch that each process takes."""
    share = batch_size // n_processes
    if share < 2:  # batch normalisation needs two
        raise UsageError(
            f"a batch of {batch_size} cannot be shared by {n_processes} processes: "
            "each needs at least 2 items"
        )
    return share
