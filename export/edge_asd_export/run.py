"""The run folder: what was trained, on what, and the state to go on from.

runs/<name>/run.json              configuration, data, classes, machines
runs/<name>/<extractor>/checkpoint.pt
runs/<name>/<extractor>/log.csv   one row per epoch
runs/<name>/<extractor>/loss.png
runs/latest                       link to the newest run
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from edge_asd.errors import DataError, UsageError
from edge_asd_export.config import TrainConfig

__all__ = ["Run", "RunRecord", "point_latest_at", "save_checkpoint"]

RECORD_NAME = "run.json"


class RunRecord(BaseModel):
    """What a run folder says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: TrainConfig
    data: tuple[str, ...]  # data set folders, absolute
    n_samples: int  # fixed input length of the extractors
    sample_rate_hz: int
    machines: dict[str, int]  # window length in samples, by machine
    classes: tuple[tuple[str, str, str, str], ...]  # machine, domain, attributes, view
    n_items: int  # clips times views
    tools: dict[str, str]


class Run:
    """A run folder and its record."""

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self.record = record

    @classmethod
    def create(cls, path: Path, record: RunRecord) -> Run:
        """Write a new run folder."""
        path.mkdir(parents=True, exist_ok=True)
        text = json.dumps(record.model_dump(mode="json"), indent=1) + "\n"
        (path / RECORD_NAME).write_text(text, encoding="utf-8")
        return cls(path, record)

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open an existing run folder.

        Raises
        ------
        UsageError
            When there is no run at `path`.
        DataError
            When its record cannot be read.
        """
        file = path / RECORD_NAME
        if not file.is_file():
            raise UsageError(f"no run at {path}: make one with 'edge-asd train DATA --out {path}'")
        try:
            record = RunRecord.model_validate_json(file.read_text(encoding="utf-8"))
        except (ValidationError, UnicodeDecodeError) as error:
            first = str(error).splitlines()[0]
            raise DataError(f"{file} is not a run record of this version: {first}") from error
        return cls(path, record)

    def folder(self, extractor: str) -> Path:
        """Folder of one extractor."""
        return self.path / extractor

    def checkpoint(self, extractor: str) -> dict[str, Any] | None:
        """Newest training state of an extractor, or None before the first epoch's end."""
        file = self.folder(extractor) / "checkpoint.pt"
        if not file.is_file():
            return None
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return state

    def is_complete(self, extractor: str) -> bool:
        """Whether all epochs of an extractor are done."""
        state = self.checkpoint(extractor)
        return state is not None and state["epoch"] >= self.record.config.epochs


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint that is either whole or absent, even when the power fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def point_latest_at(path: Path) -> None:
    """Make the link ``latest`` beside `path` point at it."""
    link = path.parent / "latest"
    if link.exists() and not link.is_symlink():
        return  # the user has a real folder of that name; leave it alone
    if path.name == "latest":
        return
    temporary = path.parent / f".latest-{os.getpid()}"
    temporary.symlink_to(path.name)
    temporary.replace(link)
