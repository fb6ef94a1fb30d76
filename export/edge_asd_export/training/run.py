"""The run folder: what was trained, on what, and the state to go on from.

runs/<name>/run.json            configuration, data, classes, machines
runs/<name>/<network>/checkpoint.pt
runs/<name>/<network>/log.csv   one row per epoch
runs/<name>/<network>/loss.png
runs/<name>/without-fold-0/...  calibration networks: the same, trained without a fold
runs/latest                     link to the newest run

A network is called by its extractor, or ``extractor/machine`` where every machine has its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import ValidationError

from edge_asd.bundle.record import Record
from edge_asd.errors import DataError, UsageError
from edge_asd.state.atomic import atomic_file, write_atomically
from edge_asd_export.data.clip_file import fingerprint
from edge_asd_export.data.clips import Clip
from edge_asd_export.data.folds import NO_FOLD
from edge_asd_export.training.config import TrainConfig
from edge_asd_export.training.training_set import ClassName

__all__ = ["Run", "RunRecord", "TaskRecord", "clips_record", "point_latest_at", "save_checkpoint"]

RECORD_NAME = "run.json"

_T = TypeVar("_T")


class TaskRecord(Record):
    """What one network of a run is trained on."""

    n_channels: int
    classes: tuple[ClassName, ...]
    n_items: int  # clips times views


class RunRecord(Record):
    """What a run folder says of itself."""

    config: TrainConfig
    data: tuple[str, ...]  # data set folders, absolute
    beside: tuple[str, ...] = ()  # folders of machines that are classes only
    n_samples: int  # of the longest machine's clips, or the configured length
    sample_rate_hz: int
    machines: dict[str, int]  # window length in samples, by machine
    tasks: dict[str, TaskRecord]  # by network
    tools: dict[str, str]
    # By machine, then fingerprint of the clip; of the training clips.
    folds: Mapping[str, Mapping[str, int]] = {}
    takes: Mapping[str, Mapping[str, str]] = {}  # those of runs before there were takes: none


class Run:
    """A run folder and its record."""

    def __init__(self, path: Path, record: RunRecord) -> None:
        self.path = path
        self.record = record

    def write(self) -> None:
        """Write the record, making the folder if there is none."""
        self.path.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.record.model_dump(mode="json"), indent=1) + "\n"
        write_atomically(self.path / RECORD_NAME, text)

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

    def folder(self, network: str) -> Path:
        """Folder of one network."""
        return self.path / network

    def without_fold(self, fold: int) -> Run:
        """Return where the networks are that were trained without a fold, to calibrate with."""
        return Run(self.path / f"without-fold-{fold}", self.record)

    def folds(self, clips: Iterable[Clip]) -> dict[Clip, int]:
        """Return the fold that each clip was in when the networks were trained."""
        every = list(clips)
        return dict.fromkeys(every, NO_FOLD) | _known(every, self.record.folds)

    def takes(self, clips: Iterable[Clip]) -> dict[Clip, str]:
        """Return the take that each clip belonged to, where it is known.

        Clips are known by their content: others of the same names are not, wherever they are.
        """
        return _known(clips, self.record.takes)

    def n_epochs(self, network: str) -> int:
        """How long a network is to be trained."""
        return self.record.config.of(network).epochs

    def n_samples(self, network: str) -> int:
        """Length of the audio that a network takes: of its own machine's clips if it has one."""
        machine = network.partition("/")[2]
        if machine and self.record.config.clip_s is None:
            return self.record.machines[machine]
        return self.record.n_samples

    def checkpoint(self, network: str) -> dict[str, Any] | None:
        """Newest training state of a network, or None before the first epoch's end."""
        file = self.folder(network) / "checkpoint.pt"
        if not file.is_file():
            return None
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return state

    def is_complete(self, network: str) -> bool:
        """Whether all epochs of a network are done."""
        state = self.checkpoint(network)
        return state is not None and state["epoch"] >= self.n_epochs(network)


def clips_record(values: Mapping[Clip, _T]) -> dict[str, dict[str, _T]]:
    """Return folds or takes as a run records them: by machine, then by the clip's fingerprint."""
    record: dict[str, dict[str, _T]] = {}
    for clip, value in values.items():
        record.setdefault(clip.machine, {})[fingerprint(clip.path)] = value
    return record


def _known(clips: Iterable[Clip], record: Mapping[str, Mapping[str, _T]]) -> dict[Clip, _T]:
    """What is recorded of some clips."""
    keys = {clip: fingerprint(clip.path) for clip in clips if clip.machine in record}
    return {c: record[c.machine][key] for c, key in keys.items() if key in record[c.machine]}


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint that is either whole or absent, even when the power fails.

    Raises
    ------
    OSError
        As the system does, for instance on a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # torch hides Ctrl-C and a full disk behind its own
            raise error.__context__ or error from None


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
