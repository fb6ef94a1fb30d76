"""The monitor's thread opens, renames and flushes no file, whatever happens to the monitor."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from device.commissioning_steps import begin_commissioning
from device.mini_bundle import MACHINE
from device.rig import Rig, sound_of

from benchmarks.simulated_card import Outage, SimulatedTime
from edge_asd.control.control_socket import Request
from edge_asd.events.event import AlarmClearedEvent, AlarmRaisedEvent, NoticeEvent
from edge_asd.learn import commissioner
from edge_asd.monitor.monitor import Monitor
from edge_asd.profile import load_profile

# What the kernel makes up itself waits for no disk.
_OF_THE_KERNEL = ("/proc/", "/sys/", "/dev/")
_AUDITED = ("open", "os.", "shutil.", "sqlite3.", "subprocess.", "import")
_FLUSHES = ("fsync", "fdatasync", "sync", "stat", "lstat", "replace", "statvfs")


class Witness:
    """Notes what one thread does with files."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hear)  # for ever: Python knows no other way

    @contextmanager
    def watching(self) -> Iterator[None]:
        self.thread = threading.get_ident()
        try:
            yield
        finally:
            self.thread = None

    def note(self, what: str, path: object) -> None:
        if threading.get_ident() == self.thread and not str(path).startswith(_OF_THE_KERNEL):
            self.seen.append(f"{what} {path}")

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.thread is not None and event.startswith(_AUDITED):
            self.note(event, arguments[0] if arguments else "")


WITNESS = Witness()


@pytest.fixture
def witness(monkeypatch: pytest.MonkeyPatch) -> Witness:
    """With the calls that Python does not audit."""
    for name in _FLUSHES:
        monkeypatch.setattr(os, name, _noted(name, getattr(os, name)))
    WITNESS.seen.clear()
    return WITNESS


def _noted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*args: Any, **options: Any) -> Any:
        WITNESS.note(name, args[0] if args else "")
        return call(*args, **options)

    return noted


class Asks:
    """Requests of other commands, one after the other."""

    def __init__(self, monitor: Monitor, at_s: dict[float, str]) -> None:
        self._monitor = monitor
        self._at_s = at_s

    def poll(self) -> Request | None:
        for at_s, command in self._at_s.items():
            if self._monitor.timeline.seconds >= at_s:
                del self._at_s[at_s]
                return Request(command, {"note": "seen"})
        return None


def watched_run(rig: Rig, witness: Witness, seconds: float, at_s: dict[float, str]) -> None:
    def watch(monitor: Monitor, time: SimulatedTime) -> None:
        monitor.requests = Asks(monitor, at_s)
        time.at(5.0, lambda: time.set_clock(3600.0))
        run = monitor.run

        def watched() -> Any:
            with witness.watching():
                return run()

        monkey.setattr(type(monitor), "run", lambda self: watched())

    with pytest.MonkeyPatch.context() as monkey:
        rig.on_monitor = watch
        rig.run(seconds)


def test_an_eventful_day_touches_no_disk(
    tmp_path: Path, mini_bundle: Path, witness: Witness
) -> None:
    profile = load_profile().with_values(
        sinks={
            "jsonl": {"path": str(tmp_path / "events.jsonl"), "max_bytes": 10_000},
        }
    )
    rig = Rig(
        mini_bundle,
        tmp_path / "state",
        sound=sound_of(lambda now_s: 20 <= now_s % 100 < 40),
        outages=[Outage(60.0, 5.0, unplugged=True), Outage(80.0, 5.0, unplugged=False)],
        profile=profile,
    )

    watched_run(rig, witness, 300.0, {35.0: "ack", 50.0: "reload", 70.0: "status"})

    assert rig.kept.of(AlarmRaisedEvent)
    assert rig.kept.of(AlarmClearedEvent)
    assert {"clock_step", "learned"} <= {event.notice for event in rig.kept.of(NoticeEvent)}
    assert (tmp_path / "state" / MACHINE / "journal.sqlite3").exists()
    assert witness.seen == []


def test_commissioning_touches_no_disk(
    tmp_path: Path, mini_bundle: Path, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commissioner, "_SAVE_EVERY_S", 10.0)
    folder = begin_commissioning(mini_bundle, tmp_path, 1000.0)

    watched_run(Rig(mini_bundle, tmp_path), witness, 40.0, {})

    assert len(list(folder.path.glob("*.npz"))) >= 3
    assert witness.seen == []
