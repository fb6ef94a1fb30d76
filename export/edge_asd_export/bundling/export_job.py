"""What is to be exported and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np

from edge_asd.alarm.promise import FALSE_ALARMS_PER_MONTH
from edge_asd.bundle.record import Domain
from edge_asd.bundle.system import System
from edge_asd.errors import DataError, UsageError
from edge_asd.scoring.ensemble import KNOWN_TO_ALL
from edge_asd.scoring.held_out import MOST_GROUPS, Groups
from edge_asd_export.bundling.graph_check import Tolerance
from edge_asd_export.calibration.scoring import Scoring
from edge_asd_export.data.clips import (
    Clip,
    Inventory,
    require_clean_train,
    require_enough,
    scan,
)
from edge_asd_export.data.problems import finding_lines
from edge_asd_export.training.run import Run
from edge_asd_export.training.tasks import network_name

__all__ = [
    "DEFAULT_WEIGHT_RULES",
    "Clips",
    "DomainClips",
    "ExportJob",
    "ExportOptions",
    "ExportProgress",
    "Quantize",
    "Target",
    "training_clips",
    "training_inventory",
]

# The near microphone stands at the machine; of models nothing is known beforehand.
DEFAULT_WEIGHT_RULES: Mapping[str, str] = {"channels": "mostly-first", "models": "equal"}
Say = Callable[[str], None]
Clips = Mapping[str, tuple[Clip, ...]]  # by machine
DomainClips = Mapping[Domain, Sequence[Clip]]  # of one machine
Quantize = Literal["int8", "int8-always", "none"]
Target = Literal["x86-64", "arm64"]  # processor family of the device


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Options of an export."""

    system: str | None = None  # None: the first that the run was trained for
    quantize: Quantize = "int8"
    target: Target = "x86-64"
    scorers: Mapping[str, str] = field(default_factory=dict)  # see scoring.scorings_of
    window_hop_frames: int | None = None  # of extractors that see segments; None: as trained
    false_alarms_per_month: float = FALSE_ALARMS_PER_MONTH
    false_alarm_rate: float | None = None  # of windows; None: as the false alarms a month allow
    hop_s: float | None = None  # None: a quarter of the shortest window
    weight_rules: Mapping[str, str] = field(default_factory=lambda: DEFAULT_WEIGHT_RULES)
    tolerance: Tolerance = field(default_factory=Tolerance)


@dataclass(frozen=True, slots=True)
class ExportProgress:
    """Who hears of each step of an export, and of each embedded clip."""

    say: Say
    on_clip: Callable[[int, int], None]  # clips embedded, clips in all

    def clip_counter(self, clips: Clips) -> Callable[[], None]:
        """What to call after each of these clips."""
        done, total = count(1), sum(map(len, clips.values()))
        return lambda: self.on_clip(next(done), total)


@dataclass(frozen=True, slots=True)
class ExportJob:
    """One bundle to be made."""

    run: Run
    system: System
    scorings: Mapping[str, Scoring]  # by branch
    clips: Clips  # training clips of every machine
    options: ExportOptions
    progress: ExportProgress
    # Clips that share sound are one take. A clip that is absent is one of its own.
    takes: Mapping[Clip, str] = field(default_factory=dict)
    # Clips of a fold are held out together, and never a part of a take. A member of an ensemble
    # was trained without that of its number; absent: all know the clip.
    folds: Mapping[Clip, int] = field(default_factory=dict)

    def networks(self, machine: str) -> dict[str, str]:
        """Which network of the run is each of the system's extractors for this machine."""
        return {name: network_name(name, machine) for name in self.system.extractors}

    def takes_of(self, domains: DomainClips) -> Groups:
        """Return the number of the take of each clip of a machine, by domain."""
        names = {d: [self.takes.get(clip, clip) for clip in own] for d, own in domains.items()}
        known = dict.fromkeys(name for own in names.values() for name in own)
        number = {name: i for i, name in enumerate(known)}
        return {domain: np.array([number[name] for name in own]) for domain, own in names.items()}

    def folds_of(self, domains: DomainClips) -> Groups:
        """Return the fold of each clip of a machine, by domain."""
        return {
            domain: np.array([self.folds.get(clip, KNOWN_TO_ALL) for clip in own])
            for domain, own in domains.items()
        }

    def groups_of(self, domains: DomainClips) -> Groups:
        """Return which clips of a machine are held out together, by domain.

        They are those of a fold; without folds, up to `MOST_GROUPS` groups of takes.
        """
        takes, folds = self.takes_of(domains), self.folds_of(domains)
        return {
            domain: np.where(folds[domain] == KNOWN_TO_ALL, own % MOST_GROUPS, folds[domain])
            for domain, own in takes.items()
        }

    def clips_of(self, network: str) -> list[Clip]:
        """Training clips of a network: of its own machine, or of all."""
        machine = network.partition("/")[2]
        own = [self.clips[machine]] if machine else self.clips.values()
        return [clip for clips in own for clip in clips]


def training_clips(run: Run, say: Say) -> dict[str, tuple[Clip, ...]]:
    """The training clips of every machine, as :func:`training_inventory` finds them."""
    return {name: one.train for name, one in training_inventory(run, say=say).machines.items()}


def training_inventory(
    run: Run,
    data: Sequence[Path] | None = None,
    *,
    say: Say,
    progress: Callable[[int, int], None] | None = None,
) -> Inventory:
    """Every machine that a run was trained on, by the rules of a training.

    Parameters
    ----------
    data
        Folders of recordings; None: those that the run was trained on.
    say
        Is told in lines of excluded and doubtful clips.
    progress
        See :func:`edge_asd_export.data.clips.scan`.

    Raises
    ------
    UsageError
        When a folder is missing.
    DataError
        When a machine is missing, or its clips are too few, unusable or of another length.
    """
    folders = data or [Path(folder) for folder in run.record.data]
    missing = [folder for folder in folders if not folder.is_dir()]
    if missing:
        raise UsageError(f"no recordings at {missing[0]}: name them with 'edge-asd export --data'")
    inventory = scan(folders, progress=progress)
    require_clean_train(inventory)
    for line in (*inventory.notes, *finding_lines(inventory.findings)):
        say(line)
    machines = inventory.machines
    absent = [name for name in run.record.machines if name not in machines]
    if absent:
        raise DataError(f"no recordings of {', '.join(absent)}, which {run.path} was trained on")
    for name, window_samples in run.record.machines.items():
        found = machines[name]
        if found.window_samples != window_samples:
            raise DataError(
                f"clips of {name!r} are {found.window_samples} samples long, {run.path} was "
                f"trained on {window_samples}: give the same recordings, or train again"
            )
        require_enough(found)
    return replace(inventory, machines={name: machines[name] for name in run.record.machines})
