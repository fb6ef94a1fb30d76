"""A monitor that is killed again and again, and three other sides that hear it.

Each life is a process of its own with the whole runtime on a simulated card. It is killed at a
random moment, or kills itself at one where something is about to be lost: just before, within and
after a commit, with a line half written, with an event that an output has and the journal does
not know of yet, while it starts.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
from device.mini_bundle import MACHINE
from device.mosquitto import Broker, Listener
from device.rig import sound_of
from device.waiting import wait_until
from device.web_server import WebServer, web_server

from benchmarks.simulated_card import Outage, SimulatedCard, SimulatedTime, openings_between
from benchmarks.simulated_monitor import simulated_monitor
from edge_asd.bundle.bundle import Bundle
from edge_asd.events.event import Event
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher
from edge_asd.outputs import Envelope, journal
from edge_asd.outputs.journal import Journal
from edge_asd.outputs.jsonl import JsonlFile
from edge_asd.outputs.mqtt import MqttTransport
from edge_asd.outputs.webhook import WebhookTransport
from edge_asd.profile import load_profile

__all__ = ["HOOKS", "World", "a_world"]

LONGEST_LIFE_S = 30.0  # of simulated time
LAST_LIFE_S = 10.0
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
DURABLE = ("alarm_", "fault_", "notice")


@dataclass(frozen=True, slots=True)
class Life:
    """One start of the monitor, and when it kills itself."""

    bundle: Path
    folder: Path
    number: int  # a day of simulated time each
    hook: str = ""  # a key of HOOKS; "": it does not
    countdown: int = 1  # the first, second, ... time
    faulty: bool = True  # else the machine sounds normal all the time


class Killer:
    """Kills this process when something has happened so many times."""

    def __init__(self, countdown: int) -> None:
        self._countdown = countdown

    def strike(self) -> None:
        self._countdown -= 1
        if self._countdown == 0:
            os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)

    def before(self, owner: Any, name: str, counts: Callable[..., bool]) -> None:
        original = getattr(owner, name)

        def killed(*arguments: Any, **options: Any) -> Any:
            if counts(*arguments):
                self.strike()
            return original(*arguments, **options)

        setattr(owner, name, killed)

    def after(self, owner: Any, name: str, counts: Callable[..., bool]) -> None:
        original = getattr(owner, name)

        def killed(*arguments: Any, **options: Any) -> Any:
            result = original(*arguments, **options)
            if counts(*arguments):
                self.strike()
            return result

        setattr(owner, name, killed)

    def in_a_line(self) -> None:
        """Write half a line of an event that must arrive."""
        original = JsonlFile._go_on

        def torn(file: JsonlFile, descriptor: int, envelope: Envelope) -> None:
            if envelope.durable and self._countdown == 1:
                os.write(descriptor, envelope.payload[: len(envelope.payload) // 2])
            if envelope.durable:
                self.strike()
            original(file, descriptor, envelope)

        JsonlFile._go_on = torn  # type: ignore[method-assign,assignment]


def _any(*arguments: Any) -> bool:
    return True


def _of_an_alarm(_: Any, events: Any, *others: Any) -> bool:
    return any(envelope.event.startswith("alarm_") for envelope, _ in events)


def _acknowledges(_: Any, events: Any, gone: Any, *others: Any) -> bool:
    return bool(gone)


def _durable(_: Any, envelope: Envelope) -> bool:
    return envelope.durable


HOOKS: Mapping[str, Callable[[Killer], None]] = {
    "before the commit of an alarm": lambda k: k.before(Journal, "write", _of_an_alarm),
    "within the commit of an alarm": lambda k: k.after(journal, "_write", _of_an_alarm),
    "after the commit of an alarm": lambda k: k.after(Journal, "write", _of_an_alarm),
    "before an acknowledgement is noted": lambda k: k.before(Journal, "write", _acknowledges),
    "within the note of an acknowledgement": lambda k: k.after(journal, "_write", _acknowledges),
    "after an acknowledgement is noted": lambda k: k.after(Journal, "write", _acknowledges),
    "before the webhook has it": lambda k: k.before(WebhookTransport, "send", _durable),
    "before the webhook answers": lambda k: k.before(HTTPConnection, "getresponse", _any),
    "after the webhook has it": lambda k: k.after(WebhookTransport, "send", _durable),
    "before the broker has it": lambda k: k.before(MqttTransport, "send", _durable),
    "after the broker has it": lambda k: k.after(MqttTransport, "send", _durable),
    "before the file has it": lambda k: k.before(JsonlFile, "send", _durable),
    "within a line of the file": Killer.in_a_line,
    "after the file has it": lambda k: k.after(JsonlFile, "send", _durable),
    "before what waits is read": lambda k: k.before(Journal, "load", _any),
    "after what waits was read": lambda k: k.after(Journal, "load", _any),
}


class Pace(Watcher):
    """Gives outputs the time that a real day would."""

    def on_block(self, at: Moment, audio: np.ndarray) -> Iterator[Event]:
        time.sleep(0.002)
        return iter(())


def live(life: Life) -> None:
    """Be the monitor for one life."""
    if life.hook:
        HOOKS[life.hook](Killer(life.countdown))
    simulated = SimulatedTime(FIRST_DAY + timedelta(days=life.number))
    phase_s = random.Random(life.number).uniform(2.0, 5.0)
    outages = [Outage(at_s, 3.0, unplugged=True) for at_s in (6.0, 18.0) if life.faulty]
    sound = sound_of(lambda now_s: life.faulty and int(now_s / phase_s) % 2 == 1)
    with ExitStack() as stack:
        monitor = simulated_monitor(
            stack,
            simulated,
            SimulatedCard(simulated, openings_between(outages, simulated), sound),
            bundle=Bundle.open(life.bundle),
            machine=MACHINE,
            root=life.folder / "state",
            profile=load_profile(str(life.folder / "site.toml")),
            duration_s=LONGEST_LIFE_S if life.faulty else LAST_LIFE_S,
            watchers=[Pace()],
        )
        monitor.run()


@dataclass(slots=True)
class World:
    """The other sides, and the lives so far."""

    bundle: Path
    folder: Path
    server: WebServer
    listener: Listener
    seed: int
    kills: int = 0
    lives: int = 0
    _chance: random.Random = field(init=False)
    _context: Any = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])

    def kill(self, times: int) -> None:
        """Let lives begin until so many of them were killed, half of them at random."""
        while self.kills < times:
            hook = self._chance.choice([*[""] * len(HOOKS), *HOOKS])
            at_start = hook.endswith("read")
            self.kills += self.live(hook, 1 if at_start else self._chance.randint(1, 4))

    def live(self, hook: str = "", countdown: int = 1) -> bool:
        """Let one life pass; return whether it was killed."""
        process = self._begin(hook=hook, countdown=countdown)
        process.join(None if hook else self._chance.uniform(0.05, 0.8))
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        return bool(process.exitcode)

    def end_well(self) -> None:
        """Let the machine sound normal, and everything arrive."""
        process = self._begin(faulty=False)
        process.join()
        assert process.exitcode == 0
        told = set(self.of_the_file())
        wait_until(lambda: told <= set(self.of_the_broker()), "the broker hands everything on")

    def of_the_server(self) -> dict[str, dict[str, Any]]:
        """Durable events by their id, in the order in which they came first."""
        return _by_id(content for _, _, content in list(self.server.requests))

    def of_the_broker(self) -> dict[str, dict[str, Any]]:
        return _by_id(map(json.loads, self.listener.payloads("/event")))

    def of_the_file(self) -> dict[str, dict[str, Any]]:
        lines = (self.folder / "events.jsonl").read_bytes().splitlines()
        whole = [line for line in lines if line.startswith(b"{") and line.endswith(b"}")]
        assert len(lines) - len(whole) <= self.kills  # each may have torn one line
        return _by_id(map(json.loads, whole))

    def _begin(self, **options: Any) -> Any:
        self.lives += 1
        life = Life(self.bundle, self.folder, self.lives, **options)
        process = self._context.Process(target=live, args=[life])
        process.start()
        return process


def _by_id(contents: Iterator[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each durable event once; a repeat must be the same event."""
    events: dict[str, dict[str, Any]] = {}
    for content in contents:
        if content["event"].startswith(DURABLE) and content["event"] != "alarm_warning":
            assert events.setdefault(content["id"], content) == content
    return events


@contextmanager
def a_world(bundle: Path, folder: Path, seed: int) -> Iterator[World]:
    """A web server, a broker with a listener, and a profile that names them and a file."""
    broker = Broker(folder)
    listener = Listener(broker.port)
    with web_server() as server:
        (folder / "site.toml").write_text(f"""
            [alarm]
            min_duration_s = 0.0
            holdoff_s = 0.0
            [clips]
            enabled = false
            [sinks]
            jsonl.path = "{folder}/events.jsonl"
            webhook.url = "{server.url}"
            mqtt.host = "127.0.0.1"
            mqtt.port = {broker.port}
        """)
        yield World(bundle, folder, server, listener, seed)
    listener.close()
    broker.close()
