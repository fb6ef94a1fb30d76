"""Calibration networks: the same training without a fold, to hear how new sound would score.

What a network was trained with lies closer to what it knows than new sound does, and a threshold
from such scores is too low. A calibration network is never shipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_asd_export.data.folds import N_FOLDS
from edge_asd_export.training.recipes import recipe_of
from edge_asd_export.training.run import Run
from edge_asd_export.training.tasks import PlannedTask
from edge_asd_export.training.training_set import Item

__all__ = ["CalibrationTask", "calibration_tasks", "trained_without"]


@dataclass(frozen=True, slots=True)
class CalibrationTask:
    """One calibration network of a run."""

    network: str  # that it is like
    fold: int  # that it does not hear
    items: list[Item]


def calibration_tasks(tasks: Mapping[str, PlannedTask], n_folds: int) -> list[CalibrationTask]:
    """Return the calibration networks of a run, `n_folds` of each network.

    An ensemble needs none, since each of its members is trained without a fold, and a network
    whose clips cannot be divided has none.
    """
    return [
        CalibrationTask(name, fold, items)
        for name, task in tasks.items()
        if not recipe_of(name).is_ensemble
        for fold in range(n_folds)
        if 2 <= len(items := [i for i in task.items if i.fold != fold]) < len(task.items)
    ]


def trained_without(run: Run, network: str) -> list[int]:
    """Return the folds of which a run has a finished calibration network."""
    return [fold for fold in range(N_FOLDS) if run.without_fold(fold).is_complete(network)]
