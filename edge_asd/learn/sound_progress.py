"""What is shown while sound is heard: how much there is, both levels, what is wrong."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from edge_asd.audio.band import missing_band
from edge_asd.audio.block import Source
from edge_asd.audio.level import level_dbfs
from edge_asd.events.fault import FaultChange

__all__ = ["ShowSound", "say_band", "say_fault", "sound_progress"]

# Called with the audio (2, n) of a block, how much is done, and what is wrong, if anything.
ShowSound: TypeAlias = Callable[[NDArray[np.float32], int, str], None]

_LINE_EVERY_S = 60.0

_log = logging.getLogger(__name__)


def say_fault(change: FaultChange) -> None:
    """Log what is wrong with the sound, or is no more."""
    if change.active:
        _log.warning("%s: %s", change.fault.meaning, change.detail)
    else:
        _log.info("over: %s", change.fault.meaning)


def say_band(source: Source) -> bool:
    """Log which frequencies a source that is heard lacks, if any; return True."""
    if missing := missing_band(source.source_rate_hz, source.sample_rate_hz):
        _log.warning("%s: %s", source.name, missing)
    return True


@contextmanager
def sound_progress(unit: str, total: int | None) -> Iterator[ShowSound]:
    """Show progress in units, levels and faults on stderr: a bar, or a line a minute elsewhere.

    Parameters
    ----------
    unit : what is counted, in the plural
    total : how many are wanted; None: nobody knows
    """
    is_terminal = sys.stderr.isatty()
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not is_terminal,
        transient=True,
    )
    task = progress.add_task("listening", total=total)
    told_s = time.monotonic()
    of_total = "" if total is None else f" of {total}"

    def show(audio: NDArray[np.float32], done: int, faults: str) -> None:
        nonlocal told_s
        near, far = level_dbfs(audio).tolist()
        text = f"near {near:4.0f}  far {far:4.0f} dBFS" + (f"  {faults}" if faults else "")
        progress.update(task, completed=done, description=text)
        if not is_terminal and time.monotonic() - told_s >= _LINE_EVERY_S:
            told_s = time.monotonic()
            print(f"{done}{of_total} {unit}: {text}", file=sys.stderr, flush=True)

    with progress:
        yield show
