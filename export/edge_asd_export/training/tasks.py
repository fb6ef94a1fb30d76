"""What has to be trained for some systems: one task for each network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_asd.audio.view import VIEWS
from edge_asd.bundle.system import System, system_named
from edge_asd.errors import UsageError
from edge_asd_export.data.clips import Clip, MachineClips
from edge_asd_export.training.config import TrainConfig
from edge_asd_export.training.learner import ClassifierSettings
from edge_asd_export.training.recipes import recipe_of
from edge_asd_export.training.run import TaskRecord
from edge_asd_export.training.training_set import Item, training_items

__all__ = ["PlannedTask", "network_name", "plan_tasks", "views_of"]


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """The items of one network, and what the run folder says of them."""

    items: list[Item]
    record: TaskRecord


def plan_tasks(
    config: TrainConfig,
    machines: Mapping[str, MachineClips],
    folds: Mapping[Clip, int] | None = None,
    beside: Mapping[str, MachineClips] | None = None,
) -> dict[str, PlannedTask]:
    """Return the task of each network of the configured systems, in the order of training.

    A network is called by its extractor, or ``extractor/machine`` where every machine has
    one of its own.

    Parameters
    ----------
    beside : other machines, whose classes the networks of all machines learn to tell, too
    """
    others = list((beside or {}).values())
    systems = [system_named(name) for name in config.systems]
    names = dict.fromkeys(name for system in systems for name in system.extractors)
    tasks = {}
    for name in names:
        per_machine = recipe_of(name).per_machine
        groups = [[machine] for machine in machines] if per_machine else [list(machines)]
        for group in groups:
            own = [machines[machine] for machine in group]
            clips = [
                clip
                for machine in (own if per_machine else [*own, *others])
                for clip in machine.train
            ]
            network = network_name(name, group[0])
            tasks[network] = _task(network, clips, views_of(name, systems), config, folds)
    return tasks


def network_name(extractor: str, machine: str) -> str:
    """Which network of a run serves a machine's branches of `extractor`."""
    return f"{extractor}/{machine}" if recipe_of(extractor).per_machine else extractor


def views_of(extractor: str, systems: Sequence[System]) -> list[str]:
    """Views that an extractor is trained on for some systems; all have as many channels.

    Raises
    ------
    UsageError
        When they have not.
    """
    views = dict.fromkeys(v for system in systems for v in system.training_views(extractor))
    seen = dict.fromkeys(
        branch.view for system in systems for branch in system.branches_of(extractor)
    )
    if len({VIEWS[view].n_channels for view in views | seen}) > 1:
        raise UsageError(
            f"{extractor!r} cannot take views of different numbers of channels at once: "
            f"{', '.join(views | seen)}; train the systems in separate runs"
        )
    return list(views)


def _task(
    network: str,
    clips: Sequence[Clip],
    views: Sequence[str],
    config: TrainConfig,
    folds: Mapping[Clip, int] | None,
) -> PlannedTask:
    settings = config.of(network)
    warps: tuple[float, ...] = ()
    if isinstance(settings, ClassifierSettings):
        warps = settings.chosen_warps(len({clip.class_key for clip in clips}))
    items, classes = training_items(
        clips, views, view_classes=config.view_classes, folds=folds, warps=warps
    )
    record = TaskRecord(
        n_channels=VIEWS[views[0]].n_channels, classes=tuple(classes), n_items=len(items)
    )
    return PlannedTask(items, record)
