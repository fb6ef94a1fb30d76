"""Several processes that train one network together, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from edge_asd.errors import UsageError
from edge_asd_export.training.learner import Learner

__all__ = ["ALONE", "Processes", "is_first_process", "is_shared", "local_device", "process_group"]


@dataclass(frozen=True, slots=True)
class Processes:
    """Which of how many processes this one is; the first writes the run folder."""

    rank: int = 0
    n: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def wrap(self, learner: Learner, device: torch.device) -> nn.Module:
        """The learner, or its distributed form: gradients are averaged over processes."""
        if self.n == 1:
            return learner
        if device.type == "cuda":  # torch has synchronised batch statistics on GPUs only
            nn.SyncBatchNorm.convert_sync_batchnorm(learner)
        ids = [device.index] if device.index is not None else None
        return DistributedDataParallel(learner, device_ids=ids)

    def mean(self, value: float, device: torch.device) -> float:
        """The mean of a number over the processes."""
        if self.n == 1:
            return value
        total: Tensor = torch.tensor(value, dtype=torch.float64, device=device)
        dist.all_reduce(total)
        return total.item() / self.n

    def wait(self) -> None:
        """Wait until every process has come here."""
        if self.n > 1:
            dist.barrier()


ALONE = Processes()


def is_shared() -> bool:
    """Whether ``torchrun`` started this process."""
    return dist.is_torchelastic_launched()


def is_first_process() -> bool:
    """Whether this process speaks for all, known before they have joined."""
    return not is_shared() or os.environ["RANK"] == "0"


def local_device(name: str | None) -> torch.device:
    """The device called `name`, once it has held a number; None: CUDA where there is one.

    Under ``torchrun`` each process has a GPU of its own.

    Raises
    ------
    UsageError
        When this PyTorch cannot use it.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and is_shared():
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch raises either, by kind of device
        reason = str(error).splitlines()[0]
        raise UsageError(f"--device {name}: this PyTorch cannot use it: {reason}") from error
    return device


@contextmanager
def process_group(device: torch.device) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started; without it there is this one."""
    if not is_shared():
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    yield Processes(dist.get_rank(), dist.get_world_size())
    # Not after an error: it could wait for processes that wait for this one. Instead this one
    # ends, and `torchrun` ends the others.
    dist.destroy_process_group()
