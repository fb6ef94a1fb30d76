"""The trained networks of a run, as an export needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_asd.errors import UsageError
from edge_asd.system import System
from edge_asd_export.learner import Learner
from edge_asd_export.references import centre_banks
from edge_asd_export.run import Run
from edge_asd_export.scoring import Banks
from edge_asd_export.tasks import network_name
from edge_asd_export.train import load_learner
from edge_asd_export.training_set import ClassName

__all__ = ["TrainedNetwork", "load_networks"]


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


def load_networks(run: Run, system: System, machines: Sequence[str]) -> dict[str, TrainedNetwork]:
    """Load every network that a system needs for some machines, by its name in the run.

    Raises
    ------
    DataError
        When one has not been trained to its end.
    UsageError
        When the run was not to train one.
    """
    names = {
        network_name(extractor, machine): None
        for extractor in system.extractors
        for machine in machines
    }
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
