"""Training: one extractor at a time, over all machines and views of a system."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from edge_asd.errors import DataError
from edge_asd_export.config import TrainConfig
from edge_asd_export.extractors import TrainableExtractor, build_extractor
from edge_asd_export.loss import SubclusterAdaCos
from edge_asd_export.mixup import mix_batch, n_label_columns
from edge_asd_export.run import Run, save_checkpoint
from edge_asd_export.training_set import Item, TrainingSet

__all__ = ["EpochLog", "load_extractor", "train_extractor"]

LOG_FIELDS = ("epoch", "loss", "scale", "learning_rate", "seconds")


@dataclass(frozen=True, slots=True)
class EpochLog:
    """One row of ``log.csv``."""

    epoch: int  # 1 is the first
    loss: float  # mean over the epoch
    scale: float  # of the adaptive cosine logits, at the epoch's end
    learning_rate: float
    seconds: float


def train_extractor(
    run: Run,
    name: str,
    items: list[Item],
    *,
    device: torch.device,
    n_workers: int = 0,
    on_batch: Callable[[int, int, float], None] | None = None,
    on_epoch: Callable[[EpochLog, TrainableExtractor], None] | None = None,
) -> TrainableExtractor:
    """Train one extractor of a run to its last epoch, going on where it stopped.

    Every random draw is a function of the seed and the epoch, so a run that was
    interrupted between epochs ends with the weights of one that was not.

    Parameters
    ----------
    on_batch : called with (batches done, batches of the epoch, loss)
    on_epoch : called after each epoch's checkpoint is on disk

    Raises
    ------
    DataError
        When there are fewer items than two, or the loss is no longer finite.
    """
    config = run.record.config
    if len(items) < 2:
        raise DataError(f"training needs at least 2 clips, found {len(items)}")
    session = _Session(run, name, device)
    dataset = TrainingSet(items, run.record.n_samples, config.seed)
    batch_size = min(config.batch_size, len(items))
    for epoch in range(session.epoch, config.epochs):
        started = time.monotonic()
        dataset.set_epoch(epoch)
        generator = torch.Generator().manual_seed(_epoch_seed(config, epoch))
        loader = DataLoader(
            dataset,
            batch_size,
            shuffle=True,
            drop_last=len(items) % batch_size == 1,  # batch normalisation needs two
            num_workers=n_workers,
            generator=generator,
        )
        loss = _run_epoch(session, loader, generator, on_batch)
        log = EpochLog(
            epoch + 1, loss, session.head.scale.item(), config.learning_rate,
            time.monotonic() - started,
        )  # fmt: skip
        session.save(epoch + 1)
        _append_log(run.folder(name) / "log.csv", log)
        if on_epoch:
            on_epoch(log, session.extractor)
    session.extractor.eval()
    return session.extractor


def load_extractor(run: Run, name: str) -> TrainableExtractor:
    """Rebuild a trained extractor from its run folder, in evaluation mode on the CPU.

    Raises
    ------
    DataError
        When the training has not finished.
    """
    config = run.record.config
    state = run.checkpoint(name)
    if state is None or state["epoch"] < config.epochs:
        done = 0 if state is None else state["epoch"]
        raise DataError(
            f"extractor {name!r} of {run.path} has {done} of {config.epochs} epochs: "
            f"finish it with 'edge-asd train --resume {run.path}'"
        )
    extractor = build_extractor(name, run.record.n_samples, config)
    extractor.encoder.load_state_dict(state["encoder"])
    return extractor.eval()


class _Session:
    """Model, loss and optimiser of one training, restored from the run when it has state."""

    def __init__(self, run: Run, name: str, device: torch.device) -> None:
        config = run.record.config
        self.config = config
        self.device = device
        self.n_classes = len(run.record.classes)
        self._path = run.folder(name) / "checkpoint.pt"
        torch.manual_seed(config.seed)
        self.extractor = build_extractor(name, run.record.n_samples, config)
        self.head = SubclusterAdaCos(
            self.extractor.embedding_dim,
            n_label_columns(config.fkie.mixup, self.n_classes),
            config.fkie.n_subclusters,
        )
        self.extractor.to(device)
        self.head.to(device)
        self.optimizer = torch.optim.Adam(
            _parameter_groups(self.extractor.encoder, config.l2), lr=config.learning_rate
        )
        self.epoch = 0
        state = run.checkpoint(name)
        if state is not None:
            self.extractor.encoder.load_state_dict(state["encoder"])
            self.head.load_state_dict(state["head"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.epoch = state["epoch"]

    def save(self, epoch: int) -> None:
        state: dict[str, Any] = {
            "epoch": epoch,
            "encoder": self.extractor.encoder.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        save_checkpoint(self._path, state)


def _run_epoch(
    session: _Session,
    loader: DataLoader[tuple[torch.Tensor, int]],
    generator: torch.Generator,
    on_batch: Callable[[int, int, float], None] | None,
) -> float:
    session.extractor.train()
    session.head.train()
    total = 0.0
    for i, (audio, label) in enumerate(loader, 1):
        mixed, soft_label = mix_batch(
            audio, label, session.n_classes, session.config.fkie.mixup, generator
        )
        # bfloat16 keeps float32's range, so no loss scaling is needed.
        with torch.autocast(session.device.type, torch.bfloat16, session.device.type == "cuda"):
            embedding = session.extractor(mixed.to(session.device))
        loss = session.head(embedding.float(), soft_label.to(session.device))
        if not torch.isfinite(loss):
            raise DataError("the training loss is no longer finite; lower the learning rate")
        session.optimizer.zero_grad()
        loss.backward()
        session.optimizer.step()
        total += loss.item()
        if on_batch:
            on_batch(i, len(loader), loss.item())
    return total / len(loader)


def _parameter_groups(encoder: nn.Module, l2: float) -> list[dict[str, Any]]:
    """L2 on kernels only; torch's decay multiplies the weight itself, hence the factor 2."""
    kernels = [p for p in encoder.parameters() if p.ndim > 1]
    others = [p for p in encoder.parameters() if p.ndim <= 1]
    return [{"params": kernels, "weight_decay": 2 * l2}, {"params": others, "weight_decay": 0.0}]


def _epoch_seed(config: TrainConfig, epoch: int) -> int:
    return config.seed * 1_000_003 + epoch


def _append_log(path: Path, log: EpochLog) -> None:
    """Add one row; rows of epochs that a resumed run repeats are replaced."""
    rows: list[list[str]] = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in list(csv.reader(file))[1:] if int(row[0]) < log.epoch]
    rows.append([str(log.epoch), f"{log.loss:.6f}", f"{log.scale:.4f}",
                 f"{log.learning_rate:g}", f"{log.seconds:.2f}"])  # fmt: skip
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([LOG_FIELDS, *rows])
