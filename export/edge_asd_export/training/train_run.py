"""A whole run: check the data, write the run folder, train every network of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import torch

from edge_asd.bundle.system import system_named
from edge_asd.command_line import as_typed
from edge_asd.errors import DataError, UsageError
from edge_asd_export.data.clips import (
    Clip,
    Inventory,
    MachineClips,
    require_clean_train,
    require_enough,
    scan,
)
from edge_asd_export.data.folds import assign_folds
from edge_asd_export.data.problems import finding_lines
from edge_asd_export.data.takes import divisible, takes_line, takes_of
from edge_asd_export.progress import progress_bar, training_bars
from edge_asd_export.training.calibration_networks import calibration_tasks
from edge_asd_export.training.config import TrainConfig
from edge_asd_export.training.distributed import Processes, is_first_process, is_shared
from edge_asd_export.training.learner import FEW_CLASSES
from edge_asd_export.training.recipes import recipe_of
from edge_asd_export.training.run import (
    RECORD_NAME,
    Run,
    RunRecord,
    TaskRecord,
    clips_record,
    point_latest_at,
)
from edge_asd_export.training.tasks import PlannedTask, plan_tasks
from edge_asd_export.training.train import new_learner, train_network
from edge_asd_export.training.training_log import draw_loss_curve
from edge_asd_export.training.training_set import Item

__all__ = ["RunPlan", "new_run", "resumed_run", "train_all"]


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A run, perhaps not on disk yet, and what its networks are trained on."""

    run: Run
    tasks: Mapping[str, PlannedTask]


def new_run(
    out: Path | None,
    settings: TrainConfig,
    data: list[Path],
    takes: Path | None = None,
    beside: Sequence[Path] = (),
) -> RunPlan:
    """Return a new run on all machines of the data.

    Parameters
    ----------
    takes : a table of the takes of all clips; None: those beside the clips, found where missing
    beside : folders of other machines, whose clips are classes to tell apart and nothing else

    Raises
    ------
    DataError
        When a training clip cannot be used (all problems are told at once), or a machine has
        too few, or they are too short for a network.
    UsageError
        When `out` is a run already or is not given to several processes, or a network cannot
        be built as it is set, or a machine is in the data and beside it.
    """
    if out is None and is_shared():
        raise UsageError("several processes need one run folder: name it with --out")
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    path = (out or Path("runs") / f"{'-'.join(settings.systems)}-{stamp}").resolve()
    if (path / RECORD_NAME).exists():
        raise UsageError(f"{path} is a run already: go on with --resume {path}, or choose --out")
    for name in {name for system in settings.systems for name in system_named(system).extractors}:
        settings = settings.model_copy(update={name: settings.of(name).completed()})
    inventory = _scan(data)
    machines = inventory.machines
    for machine in machines.values():
        require_enough(machine)
    others = _scan_beside(beside, machines)
    (rate,) = {machine.sample_rate_hz for machine in machines.values()}
    windows = _windows(machines)
    clips = [clip for machine in machines.values() for clip in machine.train]
    of_clips = _takes(inventory, takes)
    folds = assign_folds(clips, divisible(machines, of_clips), settings.seed)
    tasks = plan_tasks(settings, machines, folds, others)
    record = RunRecord(
        config=settings,
        data=tuple(str(folder.resolve()) for folder in data),
        beside=tuple(str(folder.resolve()) for folder in beside),
        n_samples=round((settings.clip_s or max(windows.values()) / rate) * rate),
        sample_rate_hz=rate,
        machines=windows,
        tasks={name: task.record for name, task in tasks.items()},
        tools={name: version(name) for name in ("edge-asd", "torch", "numpy")},
        folds=clips_record(folds),
        takes=clips_record(of_clips),
    )
    run = Run(path, record)
    for name in tasks:
        new_learner(run, name)  # what cannot be built is told before anything is written
    return RunPlan(run, tasks)


def resumed_run(path: Path) -> RunPlan:
    """Return the run at `path`, once its data is found to be what it began with.

    Raises
    ------
    DataError
        When it is not: classes and batches would be numbered anew.
    UsageError
        When there is no run.
    """
    run = Run.open(path)
    machines = _scan([Path(folder) for folder in run.record.data]).machines
    found, expected = _windows(machines), run.record.machines
    if found != expected:
        raise DataError(
            f"the data of {path} has changed: found machines {_lengths(found)}, "
            f"trained on {_lengths(expected)}; start a new run"
        )
    clips = [clip for machine in machines.values() for clip in machine.train]
    if run.record.takes and (n_new := len(set(clips) - run.takes(clips).keys())):
        raise DataError(
            f"the data of {path} has changed: {n_new} of {len(clips)} clips hold other sound; "
            "start a new run"
        )
    others = _scan_beside([Path(folder) for folder in run.record.beside], machines)
    tasks = plan_tasks(run.record.config, machines, run.folds(clips), others)
    for name, task in tasks.items():
        before = run.record.tasks[name]
        if task.record != before:
            raise DataError(
                f"the data of {path} has changed: found {task.record.n_items} items in "
                f"{len(task.record.classes)} classes for {name!r}, trained on "
                f"{before.n_items} in {len(before.classes)}; start a new run"
            )
    return RunPlan(run, tasks)


def train_all(plan: RunPlan, device: torch.device, processes: Processes) -> None:
    """Train every network of the run that is not finished; the first process tells of it."""
    run = plan.run
    if processes.is_first:
        run.write()
        point_latest_at(run.path)
    n_clips = len({item.clip.path for task in plan.tasks.values() for item in task.items})
    shared = f", {processes.n} processes" if processes.n > 1 else ""
    _tell(
        f"{', '.join(run.record.config.systems)}: {_counted(len(run.record.machines), 'machine')}, "
        f"{n_clips} clips, {_counted(len(plan.tasks), 'network')}, on {device}{shared}; "
        f"run folder {run.path}"
    )
    for name, task in plan.tasks.items():
        if told := _told_of_warps(name, task.record):
            _tell(told)
        if len(task.record.classes) == 1 and not recipe_of(name).per_machine:
            _tell(
                f"warning: {name}: all clips are of one class, there is nothing to tell apart: "
                "add machines, clips of the target domain, or attributes"
            )
    again = calibration_tasks(plan.tasks, run.record.config.folds)
    if again:
        names = ", ".join(dict.fromkeys(one.network for one in again))
        _tell(
            f"{names}: then trained again without a fifth of the takes, to learn how new sound "
            f"scores ({len(again)} networks more, not shipped; --folds 0 leaves them out)"
        )
    processes.wait()
    try:
        for name, task in plan.tasks.items():
            _train_one(run, name, name, task.items, device, processes)
        for one in again:
            title = f"{one.network} without fold {one.fold}"
            own = run.without_fold(one.fold)
            _train_one(own, one.network, title, one.items, device, processes)
    except KeyboardInterrupt:
        _tell(f"stopped; go on with: edge-asd train --resume {run.path}")
        raise
    if processes.is_first:
        print(run.path)
    _tell(f"next: edge-asd export --run {run.path}")


def _counted(n: int, one: str, more: str = "") -> str:
    return f"{n} {one if n == 1 else more or one + 's'}"


def _told_of_warps(name: str, task: TaskRecord) -> str | None:
    """What `train` says of copies with other frequencies; None: there are none."""
    warps = sorted({one.warp for one in task.classes} - {1.0})
    if not warps:
        return None
    n_classes = len({one[:3] for one in task.classes})
    few = "only " if n_classes < FEW_CLASSES else ""
    return (
        f"{name}: {few}{_counted(n_classes, 'class', 'classes')} of machine, domain and "
        "attributes; to tell more apart, copies of each clip with its frequencies times "
        f"{', '.join(map(str, warps))} are classes, too"
    )


def _train_one(
    run: Run,
    name: str,
    title: str,
    items: list[Item],
    device: torch.device,
    processes: Processes,
) -> None:
    """Train a network of a run, or of those without a fold, as far as it is not trained."""
    state = run.checkpoint(name)
    done = 0 if state is None else int(state["epoch"])
    if done >= run.n_epochs(name):
        _tell(f"{title}: already trained")
        return
    try:
        quiet = not processes.is_first
        with training_bars(title, done, run.n_epochs(name), quiet=quiet) as bars:
            train_network(
                run,
                name,
                items,
                device=device,
                processes=processes,
                n_workers=0 if device.type == "cpu" else 8,
                on_item=bars.on_item,
                on_batch=bars.on_batch,
                on_epoch=bars.on_epoch,
            )
    finally:
        if processes.is_first:
            draw_loss_curve(run.folder(name) / "log.csv", run.folder(name) / "loss.png")


def _scan(data: list[Path]) -> Inventory:
    """Read every training clip; all problems are told before anything is trained."""
    with progress_bar("checking clips", quiet=not is_first_process()) as advance:
        inventory = scan(data, progress=advance)
    for problem in require_clean_train(inventory):
        _tell(f"warning: {problem.path}: {problem.reason} (not trained on)")
    for line in (*inventory.notes, *finding_lines(inventory.findings)):
        _tell(line)
    return inventory


def _takes(inventory: Inventory, file: Path | None) -> dict[Clip, str]:
    """Read or find which clips share sound."""
    machines, quiet = inventory.machines, not is_first_process()
    with progress_bar("comparing clips", quiet=quiet, transient=True) as advance:
        takes = takes_of(machines, file=file, say=_tell, progress=advance, white=inventory.white)
    _tell(takes_line(machines, takes))
    return takes


def _scan_beside(
    folders: Sequence[Path], machines: Mapping[str, MachineClips]
) -> dict[str, MachineClips]:
    """Machines that are only classes; none is one of `machines`."""
    others = _scan(list(folders)).machines if folders else {}
    both = sorted(others.keys() & machines.keys())
    if both:
        raise UsageError(f"machine {both[0]!r} is in the data and in --beside: leave one out")
    return others


def _windows(machines: Mapping[str, MachineClips]) -> dict[str, int]:
    return {name: machine.window_samples for name, machine in machines.items()}


def _lengths(windows: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({n} samples)" for name, n in sorted(windows.items()))


def _tell(text: str) -> None:
    """Print a line on stderr, once for all processes."""
    if is_first_process():
        print(as_typed(text), file=sys.stderr)
