"""The trained networks of a run, as an export needs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_asd.errors import UsageError
from edge_asd_export.bundling.encoder_choice import CheckData, ExportedGraphs, export_graphs
from edge_asd_export.bundling.export_job import ExportJob
from edge_asd_export.calibration.scoring import SCORINGS, Banks, centre_banks
from edge_asd_export.data.clips import Clip
from edge_asd_export.training.learner import Learner
from edge_asd_export.training.recipes import recipe_of
from edge_asd_export.training.train import load_learner
from edge_asd_export.training.training_set import ClassName

__all__ = ["TrainedNetwork", "export_network", "load_networks"]


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A trained network and what its run knows of it."""

    learner: Learner
    classes: tuple[ClassName, ...]

    def centres(self, machine: str, view: str) -> Banks:
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


def export_network(
    job: ExportJob,
    name: str,
    network: TrainedNetwork,
    bundle_dir: Path,
    read: Callable[[Clip], NDArray[np.float32]],
) -> ExportedGraphs:
    """Write the graphs of a network, the encoder quantized only where that pays.

    Parameters
    ----------
    read : gives the audio (2, n_samples) of a training clip
    """
    extractor = name.partition("/")[0]
    trained = network.learner.inference_extractor()
    if trained.segments is not None and job.options.window_hop_frames is not None:
        trained.segments = replace(trained.segments, hop_frames=job.options.window_hop_frames)
    branches = job.system.branches_of(extractor)
    return export_graphs(
        trained,
        name,
        job.run.record.config.of(name).variant or extractor,
        bundle_dir,
        CheckData(
            job.clips_of(name),
            {branch.view: job.scorings[branch.name] for branch in branches},
            network.centres,
            read,
        ),
        job.options,
        job.progress.say,
    )
