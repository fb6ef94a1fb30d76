"""The trained networks of a run, as an export needs them."""

from __future__ import annotations

from dataclasses import dataclass

from edge_asd.errors import UsageError
from edge_asd.scoring.ensemble import ReferenceSets
from edge_asd_export.bundling.export_job import ExportJob
from edge_asd_export.calibration.scoring import SCORINGS, centre_banks
from edge_asd_export.training.learner import Learner
from edge_asd_export.training.recipes import recipe_of
from edge_asd_export.training.train import load_learner
from edge_asd_export.training.training_set import ClassName

__all__ = ["TrainedNetwork", "load_networks"]


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A trained network and what its run knows of it."""

    learner: Learner
    classes: tuple[ClassName, ...]

    def centres(self, machine: str, view: str) -> ReferenceSets:
        """Class centres of a machine and view, by domain; empty if the network has none."""
        centres = self.learner.centres()
        rows = None if centres is None else centres.detach().numpy()
        return centre_banks(rows, self.classes, machine, view)


def load_networks(job: ExportJob) -> dict[str, TrainedNetwork]:
    """Load every network that the job's system needs, by its name in the run.

    Raises
    ------
    DataError
        When one has not been trained to its end.
    UsageError
        When the run was not to train one, or one cannot be scored as the job says.
    """
    run, system = job.run, job.system
    _check_scorings(job)
    names = dict.fromkeys(n for machine in job.clips for n in job.networks(machine).values())
    absent = sorted({n.partition("/")[0] for n in names if n not in run.record.tasks})
    if absent:
        raise UsageError(
            f"{system.name} needs {', '.join(absent)}, {run.path} was trained for "
            f"{', '.join(run.record.config.systems)}: train {system.name}, or choose another system"
        )
    return {
        name: TrainedNetwork(load_learner(run, name), run.record.tasks[name].classes)
        for name in names
    }


def _check_scorings(job: ExportJob) -> None:
    for branch in job.system.branches:
        possible = [
            name
            for name, scoring in SCORINGS.items()
            if scoring.references in recipe_of(branch.extractor).references
        ]
        found = next(name for name, s in SCORINGS.items() if s == job.scorings[branch.name])
        if found not in possible:
            raise UsageError(
                f"{branch.extractor} cannot be scored by {found!r}, only by: {', '.join(possible)}"
            )
