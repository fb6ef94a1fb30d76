"""The recordings behind a run: what its banks and thresholds are made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge_asd.errors import DataError, UsageError
from edge_asd_export.data.clips import Clip, MachineClips, require_clean_train, scan
from edge_asd_export.training.run import Run

__all__ = ["require_enough", "training_clips"]

N_LEAST_CLIPS = 2  # a normal score compares a clip with another


def training_clips(run: Run, data: Sequence[Path] | None = None) -> dict[str, tuple[Clip, ...]]:
    """The training clips of every machine that a run was trained on.

    Parameters
    ----------
    data
        Folders of recordings; None: those that the run was trained on.

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
    inventory = scan(folders, read_samples=False)
    require_clean_train(inventory)
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
    return {name: machines[name].train for name in run.record.machines}


def require_enough(machine: MachineClips) -> None:
    """Nothing when a threshold can be made of the machine's training clips.

    Raises
    ------
    DataError
        When there are too few.
    """
    if len(machine.train) < N_LEAST_CLIPS:
        raise DataError(
            f"machine {machine.name!r} has {len(machine.train)} train clip, a threshold needs at "
            f"least {N_LEAST_CLIPS}: record more, or leave the machine out and train without it"
        )
