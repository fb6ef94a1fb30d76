"""The trained networks of a run, as an export needs them."""

from __future__ import annotations

from dataclasses import dataclass

from edge_asd.errors import UsageError
from edge_asd.scoring.ensemble import ReferenceSets
from edge_asd_export.bundling.export_job import ExportJob, ExportOptions
from edge_asd_export.calibration.scoring import SCORINGS, centre_banks
from edge_asd_export.training.learner import Learner, TrainableExtractor
from edge_asd_export.training.recipes import recipe_of
from edge_asd_export.training.run import Run
from edge_asd_export.training.train import load_learner
from edge_asd_export.training.training_set import ClassName

__all__ = ["TrainedNetwork", "load_network", "load_networks"]


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

    def exported(self, options: ExportOptions) -> TrainableExtractor:
        """Return the extractor that is exported, with the hop between segments that is wanted."""
        extractor = self.learner.inference_extractor()
        if extractor.segments is not None and options.window_hop_frames is not None:
            hop = {"hop_frames": options.window_hop_frames}
            extractor.segments = extractor.segments.model_copy(update=hop)
        return extractor


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
    return {name: load_network(run, name) for name in names}


def load_network(run: Run, name: str) -> TrainedNetwork:
    """Load a network of a run.

    Raises
    ------
    DataError
        When it has not been trained to its end.
    """
    return TrainedNetwork(load_learner(run, name), run.record.tasks[name].classes)


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
