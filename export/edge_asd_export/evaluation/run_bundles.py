"""The bundles of a run: one for each finished system that no larger one contains."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from edge_asd.bundle.manifest import MANIFEST_NAME
from edge_asd.bundle.manifest_file import read_manifest
from edge_asd.bundle.system import SYSTEMS, System
from edge_asd.errors import BundleError, UsageError
from edge_asd_export.bundling.bundle_writer import write_bundle
from edge_asd_export.bundling.export_job import ExportOptions, ExportProgress, training_clips
from edge_asd_export.evaluation.contained_systems import largest
from edge_asd_export.training.run import RECORD_NAME, Run

__all__ = ["export_systems", "finished_systems"]

BUNDLES_NAME = "bundles"  # folder in a run
Bar = Callable[[], AbstractContextManager[Callable[[int, int], None]]]


def finished_systems(run: Run) -> tuple[System, ...]:
    """The largest systems whose networks are all trained, whatever the run was asked for.

    Raises
    ------
    UsageError
        When there is none.
    """
    finished: dict[str, bool] = {}  # by extractor; some have one network for each machine
    for network in run.record.tasks:
        extractor = network.partition("/")[0]
        finished[extractor] = finished.get(extractor, True) and run.is_complete(network)
    systems = [
        system
        for system in SYSTEMS.values()
        if all(finished.get(extractor, False) for extractor in system.extractors)
    ]
    if not systems:
        raise UsageError(
            f"{run.path} has no finished system: go on with 'edge-asd train --resume {run.path}'"
        )
    return largest(systems)


def export_systems(run: Run, say: Callable[[str], None], bar: Bar) -> tuple[Path, ...]:
    """Bundles of the finished systems, in the folder ``bundles`` of the run.

    A bundle that is there and newer than the run's networks is left as it is.

    Parameters
    ----------
    say
        Called with a line for each bundle.
    bar
        Opened once for each bundle that is made; moved by (clips done, clips in all).

    Raises
    ------
    UsageError, DataError
        When no system is finished or the run's recordings are not there.
    """
    paths = {run.path / BUNDLES_NAME / system.name: system.name for system in finished_systems(run)}
    for path, system in paths.items():
        if _is_current(path, system, run):
            say(f"{path}: newer than its networks, used as it is")
            continue
        say(f"{path}: exporting")
        clips = training_clips(run, say)
        with bar() as on_clip:
            write_bundle(
                run, clips, path, ExportOptions(system=system), ExportProgress(say, on_clip)
            )
    return tuple(paths)


def _is_current(path: Path, system: str, run: Run) -> bool:
    try:
        manifest = read_manifest(path)
    except BundleError:
        return False
    checkpoints = [run.folder(network) / "checkpoint.pt" for network in run.record.tasks]
    sources = [file for file in (run.path / RECORD_NAME, *checkpoints) if file.is_file()]
    newest_s = max(file.stat().st_mtime for file in sources)
    return manifest.system == system and (path / MANIFEST_NAME).stat().st_mtime >= newest_s
