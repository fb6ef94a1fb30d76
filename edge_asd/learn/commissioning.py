"""Commissioning on disk: what was asked for, how far it is, and the windows that were kept.

::

    commissioning/
        plan.json                a CommissioningPlan
        00001-00001.npz, .json   windows of a run that were kept in a row, and where they were heard

Of every n windows that can be used one is kept, n so that the whole time gives `MOST_WINDOWS`
at most. What is kept is written once and never changed; a crash loses a quarter of an hour.
"""

from __future__ import annotations

import hashlib
import logging
import math
import shutil
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from edge_asd.bundle.arrays import read_arrays
from edge_asd.bundle.manifest import FileEntry
from edge_asd.bundle.record import Rate
from edge_asd.errors import BundleError, DataError
from edge_asd.explain.normal_spectra import DomainSpectra
from edge_asd.learn.calibration import WindowPlace
from edge_asd.learn.recording import HeardSound, WindowSound
from edge_asd.signal.cancelling_gain import CancellingGain
from edge_asd.signal.reference import SignalReference
from edge_asd.state.atomic import write_atomically
from edge_asd.state.folder import StateFolder
from edge_asd.state.record import Finite, StateRecord, UtcTime
from edge_asd.state.writer import Write

__all__ = ["MOST_WINDOWS", "CommissioningFolder", "CommissioningPlan"]

MOST_WINDOWS = 2048  # references that a window is compared with: a few milliseconds
# Sound so far apart counts as heard independently: what persists is taken to last ten minutes.
STRETCH_S = 900.0

_PLAN = "plan.json"
_LONGEST_S = 10 * 366 * 86_400.0
_log = logging.getLogger(__name__)


class CommissioningPlan(StateRecord):
    """How long to listen, with what, and how far it is."""

    format_version: Literal[1] = 1
    machine: str
    like: str  # machine of the bundle
    bundle_sha256: str
    watch_s: Annotated[Finite, Field(gt=0, le=_LONGEST_S)]  # of usable sound
    false_alarms_per_month: Annotated[Finite, Field(gt=0, le=10_000)]
    false_alarm_rate: Rate | None = None  # None: as these allow
    begun: UtcTime
    heard_s: Annotated[Finite, Field(ge=0, le=10 * _LONGEST_S)] = 0.0
    run: Annotated[int, Field(ge=0)] = 0  # how often the monitor was started
    origin: str = ""  # the sound card

    @property
    def left_s(self) -> float:
        """How much is still to be heard."""
        return max(self.watch_s - self.heard_s, 0.0)

    def stride(self, hop_s: float) -> int:
        """Of how many windows one is kept."""
        return max(1, math.ceil(self.watch_s / hop_s / MOST_WINDOWS))


class KeptWindows(StateRecord):
    """Windows in a file of arrays beside this."""

    places: tuple[tuple[int, int, int, int], ...]  # run, first sample, samples, stretch
    reference: SignalReference | None
    cancelling: CancellingGain | None
    arrays: FileEntry


class CommissioningFolder:
    """The folder ``commissioning`` of a machine's state.

    Parameters
    ----------
    write : writes a file of it
    """

    def __init__(self, state: StateFolder, write: Write = write_atomically) -> None:
        self.machine = state.machine
        self.path = state.path / "commissioning"
        self._write = write

    @property
    def plan(self) -> CommissioningPlan | None:
        """What is under way; None: nothing."""
        return CommissioningPlan.load_or_set_aside(self.path / _PLAN)

    def begin(self, plan: CommissioningPlan) -> None:
        """Begin anew.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        self.end()
        self.path.mkdir(parents=True, exist_ok=True)
        self.note(plan)

    def note(self, plan: CommissioningPlan) -> None:
        """Keep how far it is."""
        self._write(self.path / _PLAN, plan.to_bytes())

    def end(self) -> None:
        """Forget all of it."""
        (self.path / _PLAN).unlink(missing_ok=True)  # first: without it, nothing is under way
        shutil.rmtree(self.path, ignore_errors=True)

    def keep(
        self, windows: Sequence[WindowSound], places: Sequence[WindowPlace], name: str
    ) -> None:
        """Write windows that were heard since the last call, as files of a new name."""
        sound = HeardSound.of(windows, places, seconds=0.0)
        arrays = {f"embeddings/{name}": rows for name, rows in sound.embeddings.items()}
        out = BytesIO()
        np.savez(
            out,
            allow_pickle=False,
            mean_db=sound.spectra.mean_db,
            spread_db=sound.spectra.spread_db,
            levels_dbfs=sound.levels_dbfs,
            **arrays,
        )
        content = out.getvalue()
        kept = KeptWindows(
            places=tuple(
                (one.recording, one.start_sample, one.n_samples, one.take or 0) for one in places
            ),
            reference=sound.reference,
            cancelling=sound.cancelling,
            arrays=FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content)),
        )
        self._write(self.path / f"{name}.npz", content)
        self._write(self.path / f"{name}.json", kept.to_bytes())

    def heard(self, seconds: float) -> HeardSound:
        """Return all windows that were kept; damaged files are left out, with a warning.

        Raises
        ------
        DataError
            When there are none.
        """
        parts = [
            part
            for path in sorted(self.path.glob("[0-9]*.json"))
            if (part := _read(path)) is not None
        ]
        if not parts:
            raise DataError("no window of usable sound was kept")
        references = [part.reference for part in parts if part.reference]
        gains = [part.cancelling for part in parts if part.cancelling]
        return HeardSound(
            {
                name: np.concatenate([part.embeddings[name] for part in parts])
                for name in parts[0].embeddings
            },
            tuple(place for part in parts for place in part.places),
            DomainSpectra.joined([part.spectra for part in parts]),
            np.concatenate([part.levels_dbfs for part in parts]),
            SignalReference.mean(references) if references else None,
            CancellingGain.mean(gains) if gains else None,
            seconds,
            0,
        )


def _read(path: Path) -> HeardSound | None:
    kept = KeptWindows.load_or_set_aside(path)
    file = path.with_suffix(".npz")
    if kept is None:
        return None
    try:
        if FileEntry.of(file) != kept.arrays:
            raise ValueError("it is not what was written")
        arrays = read_arrays(file, "windows")
        levels = {name: arrays.pop(name) for name in ("mean_db", "spread_db", "levels_dbfs")}
        n = len(kept.places)
        if any(one.shape[:1] != (n,) for one in (*arrays.values(), *levels.values())):
            raise ValueError(f"it does not hold {n} windows")
        if not all(np.isfinite(one).all() for one in arrays.values()):
            raise ValueError("an embedding is not finite")
    except (OSError, ValueError, KeyError, BundleError) as error:
        _log.warning("%s is left out: %s", file, error)
        return None
    return HeardSound(
        {name.removeprefix("embeddings/"): rows for name, rows in arrays.items()},
        tuple(WindowPlace(*place) for place in kept.places),
        DomainSpectra(levels["mean_db"], levels["spread_db"]),
        levels["levels_dbfs"],
        kept.reference,
        kept.cancelling,
        0.0,
        0,
    )
