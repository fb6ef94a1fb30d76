"""A running monitor that is told to judge by what was learned since."""

from __future__ import annotations

import errno
import time
from pathlib import Path
from typing import Any

import pytest
from device.rig import Rig

from benchmarks.simulated_card import SimulatedTime
from edge_asd.alarm.policy import AlarmPolicy
from edge_asd.control.control_socket import Request
from edge_asd.events.event import FaultRaisedEvent, HopChangedEvent, NoticeEvent
from edge_asd.events.watcher import Watcher
from edge_asd.monitor.judge import Judge
from edge_asd.monitor.monitor import Monitor
from edge_asd.signal.quality import SignalQuality


class OneReload(Request):
    """Asks for it once, while the hop is wider than wanted."""

    def __init__(self, monitor: Monitor) -> None:
        super().__init__("reload", {})
        self.monitor = monitor
        self.answers: list[object] = []
        self.asked = False

    def poll(self) -> OneReload | None:
        if self.asked and not self.answers:
            time.sleep(0.01)  # what was learned is read, in real time
        if self.asked or self.monitor.board.status.hop_s <= 0.5:
            return None
        self.asked = True
        return self

    def reply(self, content: dict[str, Any], /) -> None:
        self.answers.append(content)

    def refuse(self, message: str, /) -> None:
        self.answers.append(message)


def test_what_is_learned_while_the_hardware_is_slow_leaves_the_alarm_as_patient_as_it_was(
    tmp_path: Path, mini_bundle: Path
) -> None:
    asked: list[OneReload] = []
    before: list[AlarmPolicy] = []

    def ask(monitor: Monitor, _time: SimulatedTime) -> None:
        before.append(monitor.alarm.alarm.policy)
        asked.append(OneReload(monitor))
        monitor.requests = asked[0]

    rig = Rig(mini_bundle, tmp_path, slow=lambda now_s: 1.2 if now_s < 30 else 0.01, on_monitor=ask)

    rig.run(45.0)

    assert max(event.hop_s for event in rig.kept.of(HopChangedEvent)) > 1.0
    assert asked[0].answers == [{"learned": "the bundle alone decides from now on"}]
    assert [notice.notice for notice in rig.kept.of(NoticeEvent)] == ["learned"]
    assert asked[0].monitor.alarm.alarm.policy == before[0]


def test_files_that_cannot_be_read_refuse_the_request_and_the_monitor_goes_on(
    tmp_path: Path, mini_bundle: Path
) -> None:
    asked: list[OneReload] = []

    def ask(monitor: Monitor, _time: SimulatedTime) -> None:
        def unreadable() -> Judge:
            raise PermissionError(errno.EACCES, "Permission denied", "rows.npy")

        asked.append(OneReload(monitor))
        monitor.requests, monitor.reload = asked[0], unreadable

    rig = Rig(mini_bundle, tmp_path, slow=lambda now_s: 1.2, on_monitor=ask)

    stopped = rig.run(45.0)

    assert asked[0].answers == ["rows.npy: Permission denied"]
    assert stopped.reason == "end of the duration"


def test_a_mistake_in_answering_refuses_the_request_and_the_monitor_goes_on(
    tmp_path: Path, mini_bundle: Path
) -> None:
    asked: list[OneReload] = []

    def ask(monitor: Monitor, _time: SimulatedTime) -> None:
        def mistaken() -> Judge:
            raise ZeroDivisionError("a mistake")

        asked.append(OneReload(monitor))
        monitor.requests, monitor.reload = asked[0], mistaken

    rig = Rig(mini_bundle, tmp_path, slow=lambda now_s: 1.2, on_monitor=ask)

    stopped = rig.run(45.0)

    assert asked[0].answers == ["the monitor failed to do it: ZeroDivisionError: a mistake"]
    assert stopped.reason == "end of the duration"


def test_parts_that_cannot_be_closed_end_nothing_and_keep_no_other_open(
    tmp_path: Path, mini_bundle: Path
) -> None:
    closed: list[str] = []

    class Stubborn(Watcher):
        def close(self) -> None:
            closed.append("stubborn")
            raise ZeroDivisionError("a mistake")

    class Polite(Watcher):
        def close(self) -> None:
            closed.append("polite")

    stopped = Rig(mini_bundle, tmp_path, watchers=[Polite(), Stubborn()]).run(3.0)

    assert sorted(closed) == ["polite", "stubborn"]
    assert stopped.reason == "end of the duration"


def test_checks_of_the_signal_that_fail_are_a_fault_and_all_sound_is_scored(
    tmp_path: Path, mini_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mistaken(*_: object) -> bool:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(SignalQuality, "usable", mistaken)
    rig = Rig(mini_bundle, tmp_path)

    stopped = rig.run(3.0)

    assert stopped.windows > 0
    (fault,) = [one for one in rig.kept.of(FaultRaisedEvent) if one.fault.startswith("part")]
    assert fault.fault == "part:SignalQuality"
