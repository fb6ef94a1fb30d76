"""Writes the folders of alarms in a thread of its own: the monitor never waits for the disk."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge_asd.clips.folder import EVENT_FILE, ClipGap, EventRecord, add_to_record, event_path
from edge_asd.clips.order import note_arrival
from edge_asd.clips.retention import Retention
from edge_asd.clips.unfinished_event import NO_ROOM, PART_FILE, ClipStart, UnfinishedEvent
from edge_asd.errors import StateError
from edge_asd.events.event import Event
from edge_asd.explain.deviation import Deviation
from edge_asd.state.atomic import write_atomically
from edge_asd.state.disk_health import DiskHealth

__all__ = ["AlarmNote", "ClipEnd", "ClipSound", "ClipStart", "EventWriter", "Job"]

_MOST_JOBS = 1500
_MOST_SOUND = 1400  # of them, so that there is room left for what must not be lost
_MOST_WAITING_BYTES = 16_000_000  # of sound and pictures: four minutes at 16 kHz
_RETRY_S = 30.0
_JSON_BYTES, _PICTURE_BYTES = 20_000, 150_000  # a little more than they need

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class ClipSound:
    """More sound of the alarm that was raised last."""

    frames: NDArray[np.int16]  # (n, 2)


@dataclass(frozen=True, slots=True)
class ClipEnd:
    """The sound of that alarm is complete."""

    gaps: tuple[ClipGap, ...]


@dataclass(frozen=True, slots=True)
class AlarmNote:
    """Something happened to an alarm, also one that is long over."""

    alarm_id: str
    event: Event


Job = ClipStart | ClipSound | ClipEnd | AlarmNote


class EventWriter:
    """Takes jobs without waiting, and does them in order.

    A full disk costs sound and pictures; so does one that hangs, once too much waits for it.

    Parameters
    ----------
    folder : of all events
    retry_s : how often a disk that was full is looked at again
    """

    def __init__(
        self,
        folder: Path,
        retention: Retention,
        *,
        sample_rate_hz: int,
        retry_s: float = _RETRY_S,
    ) -> None:
        self._folder = folder
        self._retention = retention
        self._rate_hz = sample_rate_hz
        self._health = DiskHealth()
        self._retry_s = retry_s
        self._unfinished: UnfinishedEvent | None = None
        self._jobs: queue.Queue[Job | None] = queue.Queue(_MOST_JOBS)
        self._waiting_bytes = 0  # in them
        self._count = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    @property
    def problem(self) -> str | None:
        """Why events cannot be written, or are not; None: all is well. Thread: any."""
        return self._health.problem

    def put(self, job: Job) -> bool:
        """Take a job; False when it is dropped, because the disk is too slow.

        Before that an alarm loses its picture, so that its facts are kept.
        """
        full = self._waiting_bytes + _n_bytes(job) > _MOST_WAITING_BYTES
        if isinstance(job, ClipSound) and (full or self._jobs.qsize() >= _MOST_SOUND):
            return False
        if isinstance(job, ClipStart) and full:
            job = job.without_picture()
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            _log.warning("the disk is too slow: an event was not written (%s)", type(job).__name__)
            return False
        with self._count:
            self._waiting_bytes += _n_bytes(job)
        return True

    def close(self, deadline_s: float = 10.0) -> None:
        """Finish what was taken; give up, with a warning, after `deadline_s`."""
        with suppress(queue.Full):
            self._jobs.put(None, timeout=deadline_s)
        self._thread.join(deadline_s)
        if self._thread.is_alive():
            _log.warning("the disk is too slow: events in %s are not complete", self._folder)

    def _run(self) -> None:
        self._guarded(self._tidy)
        while True:
            try:
                job = self._jobs.get(timeout=self._retry_s if self._health.reason else None)
            except queue.Empty:
                self._guarded(self._try_again)
                continue
            if job is None:
                return
            with self._count:
                self._waiting_bytes -= _n_bytes(job)
            self._guarded(partial(self._do, job))

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            with self._health.writing(f"an event in {self._folder}"):
                action()
        except (OSError, soundfile.SoundFileError) as error:
            self._health.reason = _reason(error)
        except StateError as error:
            _log.warning("%s", error)
        except (Exception, SystemExit):
            _log.exception("an event in %s could not be written", self._folder)

    def _do(self, job: Job) -> None:
        match job:
            case ClipStart():
                self._unfinished = UnfinishedEvent(self._folder, job, self._rate_hz)
                self._unfinished.write_record()
                note_arrival(self._folder, self._unfinished.path.name)
                if self._room(_PICTURE_BYTES + _JSON_BYTES, self._unfinished.path):
                    self._unfinished.write_picture()
                    self._works()
            case ClipSound() if self._unfinished and self._unfinished.recording:
                if self._room(job.frames.nbytes, self._unfinished.path):
                    self._unfinished.write_sound(job.frames)
                else:
                    self._unfinished.cut_short(NO_ROOM)
            case ClipEnd() if self._unfinished:
                self._unfinished.finish(job.gaps)
                self._unfinished = None
            case AlarmNote():
                add_to_record(event_path(self._folder, job.alarm_id), job.event)

    def _room(self, n_bytes: int, keep: Path) -> bool:
        refusal = self._retention.make_room(n_bytes, keep)
        if refusal:
            self._health.reason = refusal
        return refusal is None

    def _tidy(self) -> None:
        """Make the folder; remove what a monitor left behind that was ended by force."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for part in self._folder.glob("*/.*"):
            if part.is_file() and not part.parent.is_symlink():
                part.unlink()
            path = part.with_name(EVENT_FILE)
            if part.name == PART_FILE and (record := EventRecord.load(path)):
                clip = record.clip.model_copy(update={"state": "none: the monitor was ended"})
                record.model_copy(update={"clip": clip}).save(path)
        self._retention.make_room(0)

    def _try_again(self) -> None:
        if self._retention.make_room(_PICTURE_BYTES) is None:
            probe = self._folder / ".probe"
            try:
                write_atomically(probe, b"\0" * _PICTURE_BYTES)
            finally:
                probe.unlink(missing_ok=True)
            self._works()

    def _works(self) -> None:
        self._health.reason = None


def _reason(error: Exception) -> str:
    found = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"an event cannot be written: {found}; make room on the disk"


def _n_bytes(job: Job) -> int:
    """What a job keeps in memory, where that is much."""
    match job:
        case ClipSound():
            return job.frames.nbytes
        case ClipStart(deviation=Deviation() as deviation):
            return deviation.levels_db.nbytes
        case _:
            return 0
