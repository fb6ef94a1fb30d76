"""The disk below the state folder: room, speed, and whether it outlives a reboot."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge_asd.capture.abandonable_call import AbandonableCall
from edge_asd.doctor.installation import Installation
from edge_asd.doctor.verdict import Verdict, not_checked, ok, problem, warning
from edge_asd.state.trust import acting_as_owner
from edge_asd.system_files import read_text

__all__ = ["WriteSpeed", "disk", "lasting", "measure_write", "room", "write_speed"]

_PROBE_BYTES = 8 << 20
_BLOCK = b"\xa5" * (1 << 20)
_N_SYNCS = 10
_RECORD_BYTES = 512  # an event in the journal
_MIN_FREE_BYTES = 50 << 20  # alarms are still kept below the reserve, but not without end
_SLOW_BYTES_PER_S = 1e6
_SLOW_SYNC_S = 1.0
_ANSWERS_WITHIN_S = 60.0
_IN_MEMORY = {"tmpfs", "ramfs", "overlay"}


@dataclass(frozen=True, slots=True)
class WriteSpeed:
    """How fast a folder takes data."""

    bytes_per_s: float  # fsync included
    sync_s: float  # to write and fsync one event, the slowest of some


def disk(installation: Installation, within_s: float = _ANSWERS_WITHIN_S) -> Iterator[Verdict]:
    """Look at the folder, or at the one in which it will be made.

    Parameters
    ----------
    within_s : after so long a disk hangs
    """
    folder = installation.state
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    free_bytes = shutil.disk_usage(folder).free
    yield room(free_bytes, installation.profile.clips.reserve_bytes, folder)
    yield lasting(read_text(installation.root / "proc/mounts"), folder.resolve())
    if free_bytes < _MIN_FREE_BYTES:
        yield not_checked("write speed", "the disk is full")
        return
    try:
        with acting_as_owner(folder / "machine"):
            measuring = AbandonableCall(partial(measure_write, folder, time.perf_counter))
            answers = measuring.has_returned(within_s)
        if answers:
            yield write_speed(measuring.result(), folder)
        else:
            found = f"the disk below {folder} does not answer within {within_s:g} s"
            yield problem(
                "write speed", found, "it hangs: look at the card, and at the kernel's log"
            )
    except OSError as error:
        advice = "give it to the user who runs the monitor, or set site.state_dir"
        yield problem("write speed", f"cannot write to {folder}: {error.strerror}", advice)


def room(free_bytes: int, reserve_bytes: int, folder: Path) -> Verdict:
    """Judge the free space against what clips leave free."""
    found = f"{free_bytes / 1e9:.1f} GB free at {folder}"
    if free_bytes < _MIN_FREE_BYTES:
        return problem("disk", found, "delete something: alarms can hardly be kept")
    if free_bytes < reserve_bytes:
        return warning(
            "disk",
            f"{found}, reserve {reserve_bytes / 1e9:.1f} GB",
            "no clips will be kept: make room, or lower clips.reserve_bytes",
        )
    return ok("disk", found)


def lasting(mounts: str, folder: Path) -> Verdict:
    """Judge by ``/proc/mounts`` whether the folder is there after a reboot."""
    mounted = [line.split()[1:3] for line in reversed(mounts.splitlines())]  # the last one counts
    around = [(place, kind) for place, kind in mounted if folder.is_relative_to(place)]
    if not around:
        return not_checked("lasting", "the system does not tell what is mounted")
    _, kind = max(around, key=lambda mount: len(mount[0]))
    if kind in _IN_MEMORY:
        advice = "what is learned there is lost with the power: set site.state_dir to a disk"
        return warning("lasting", f"{folder} is on {kind}", advice)
    return ok("lasting", f"{folder} is on {kind}")


def measure_write(folder: Path, clock: Callable[[], float]) -> WriteSpeed:
    """Write some megabytes and some single events below `folder`, then remove them.

    Raises
    ------
    OSError
        As the system does.
    """
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        began_s = clock()
        for _ in range(_PROBE_BYTES // len(_BLOCK)):
            file.write(_BLOCK)
        os.fsync(file.fileno())
        took_s = max(clock() - began_s, 1e-9)
        syncs_s = []
        for _ in range(_N_SYNCS):
            before_s = clock()
            file.write(_BLOCK[:_RECORD_BYTES])
            os.fsync(file.fileno())
            syncs_s.append(clock() - before_s)
    return WriteSpeed(_PROBE_BYTES / took_s, max(syncs_s))


def write_speed(speed: WriteSpeed, folder: Path) -> Verdict:
    """Judge whether clips and events can be written as they come."""
    found = f"{speed.bytes_per_s / 1e6:.1f} MB/s, an event in {speed.sync_s * 1e3:.0f} ms at most"
    if speed.bytes_per_s < _SLOW_BYTES_PER_S or speed.sync_s > _SLOW_SYNC_S:
        return warning("write speed", found, f"{folder} is slow: a worn SD card? use another disk")
    return ok("write speed", found)
