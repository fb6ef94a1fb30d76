"""Commissioning: a monitor listens for a time without alarms, then judges by what it heard."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device.commissioning_steps import BEGUN
from device.commissioning_steps import begin_commissioning as begin
from device.mini_bundle import MACHINE
from device.rig import Rig, sound_of
from numpy.typing import NDArray

from benchmarks.simulated_card import Outage, SimulatedTime
from edge_asd.bundle.arrays import read_arrays, write_arrays
from edge_asd.bundle.manifest import FileEntry
from edge_asd.control.control_socket import Request
from edge_asd.control.monitors import reload_monitor
from edge_asd.events.event import (
    AlarmClearedEvent,
    AlarmRaisedEvent,
    FaultRaisedEvent,
    NoticeEvent,
    ScoreEvent,
)
from edge_asd.learn import commissioner, commissioning
from edge_asd.learn.commissioning import MOST_WINDOWS, CommissioningPlan
from edge_asd.learn.store import LearnedStore
from edge_asd.monitor.monitor import Monitor
from edge_asd.scoring.detector import WindowScore
from edge_asd.state.folder import StateFolder

NEAR = "embeddings/fkie@near"


def patient(monitor: Monitor, _time: SimulatedTime) -> None:
    """Simulated time does not run ahead of the thread that learns."""
    threads = [part for part in monitor.dispatcher.watchers if hasattr(part, "wait")]
    score = monitor.stream.detector.score

    def slowly(audio: NDArray[np.float32]) -> WindowScore:
        for part in threads:
            part.wait(0.05)
        return score(audio)

    monitor.stream.detector.score = slowly  # type: ignore[method-assign]


def states(rig: Rig) -> set[str]:
    return {event.state for event in rig.kept.of(ScoreEvent)}


def test_a_fault_raises_no_alarm_while_the_machine_is_commissioned(
    tmp_path: Path, mini_bundle: Path
) -> None:
    begin(mini_bundle, tmp_path, 3600.0)
    rig = Rig(mini_bundle, tmp_path, sound_of(lambda now_s: now_s > 30))

    rig.run(60.0)

    assert states(rig) == {"commissioning"}
    assert rig.kept.of(AlarmRaisedEvent) == []


def test_it_arms_itself_by_what_it_heard_and_then_raises_alarms(
    tmp_path: Path, mini_bundle: Path
) -> None:
    folder = begin(mini_bundle, tmp_path, 60.0)
    rig = Rig(mini_bundle, tmp_path, sound_of(lambda now_s: now_s > 120), on_monitor=patient)

    rig.run(150.0)

    assert [notice.notice for notice in rig.kept.of(NoticeEvent)] == ["learned", "commissioned"]
    assert states(rig) >= {"commissioning", "normal", "alarm"}
    assert len(rig.kept.of(AlarmRaisedEvent)) == 1
    learned = LearnedStore(StateFolder(tmp_path, MACHINE)).load()
    assert learned is not None
    assert learned.site.enrolled["source"].seconds == pytest.approx(60, abs=1)
    assert folder.plan is None


def test_a_restart_goes_on_where_the_last_run_was(tmp_path: Path, mini_bundle: Path) -> None:
    folder = begin(mini_bundle, tmp_path, 100.0)

    Rig(mini_bundle, tmp_path).run(40.0)
    plan = folder.plan
    assert plan is not None
    assert plan.heard_s == pytest.approx(40, abs=1.5)
    rig = Rig(mini_bundle, tmp_path, on_monitor=patient)
    rig.run(80.0)

    learned = LearnedStore(StateFolder(tmp_path, MACHINE)).load()
    assert learned is not None
    assert learned.site.enrolled["source"].seconds == pytest.approx(100, abs=1.5)
    assert learned.site.enrolled["source"].n_windows > 180


def test_a_card_that_is_lost_ends_nothing_and_its_time_does_not_count(
    tmp_path: Path, mini_bundle: Path
) -> None:
    folder = begin(mini_bundle, tmp_path, 1000.0)

    Rig(mini_bundle, tmp_path, outages=[Outage(20.0, 60.0, unplugged=True)]).run(100.0)

    plan = folder.plan
    assert plan is not None
    assert 30 < plan.heard_s < 65


def test_a_damaged_file_of_windows_is_left_out(tmp_path: Path, mini_bundle: Path) -> None:
    folder = begin(mini_bundle, tmp_path, 1000.0)
    for _ in range(2):
        Rig(mini_bundle, tmp_path).run(20.0)
    whole = len(folder.heard(40.0))

    (folder.path / "00001-00001.npz").write_bytes(b"no arrays")

    assert len(folder.heard(40.0)) == whole // 2


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("mean_db"),
        lambda arrays: arrays.update({NEAR: arrays[NEAR] * np.float32(np.nan)}),
        lambda arrays: arrays.update({NEAR: arrays[NEAR][1:]}),
        lambda arrays: arrays.update({NEAR: np.float32(1.0)}),
    ],
)
def test_windows_that_nobody_kept_are_left_out_though_the_digest_is_right(
    tmp_path: Path, mini_bundle: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    folder = begin(mini_bundle, tmp_path, 1000.0)
    for _ in range(2):
        Rig(mini_bundle, tmp_path).run(20.0)
    whole = len(folder.heard(40.0))
    file = folder.path / "00001-00001.npz"
    arrays = read_arrays(file, "windows")
    change(arrays)
    write_arrays(file, arrays)
    record = file.with_suffix(".json")
    kept = json.loads(record.read_text()) | {"arrays": FileEntry.of(file).model_dump()}
    record.write_text(json.dumps(kept))

    assert len(folder.heard(40.0)) == whole // 2


def test_another_bundle_begins_anew(tmp_path: Path, mini_bundle: Path) -> None:
    folder = begin(mini_bundle, tmp_path, 1000.0)
    Rig(mini_bundle, tmp_path).run(20.0)
    plan = folder.plan
    assert plan is not None
    folder.note(plan.model_copy(update={"bundle_sha256": "0" * 64}))

    Rig(mini_bundle, tmp_path).run(10.0)

    plan = folder.plan
    assert plan is not None
    assert plan.heard_s < 11
    assert len(folder.heard(10.0)) < 21


def test_a_bundle_without_the_machine_that_it_was_like_begins_anew(
    tmp_path: Path, mini_bundle: Path
) -> None:
    folder = begin(mini_bundle, tmp_path, 1000.0)
    plan = folder.plan
    assert plan is not None
    gone = {"bundle_sha256": "0" * 64, "like": "of the bundle before"}
    folder.note(plan.model_copy(update=gone))
    (folder.path / "0-copy.npz").touch()

    Rig(mini_bundle, tmp_path).run(10.0)

    plan = folder.plan
    assert plan is not None
    assert plan.like == MACHINE
    assert 0 < plan.heard_s < 11


def test_a_cycle_of_the_machine_is_kept_at_all_its_places(
    tmp_path: Path, mini_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commissioning, "MOST_WINDOWS", 100)
    folder = begin(mini_bundle, tmp_path, 400.0)  # every eighth window, of four seconds

    Rig(mini_bundle, tmp_path).run(200.0)

    places = {place.start_sample % (4 * 16000) for place in folder.heard(200.0).places}
    assert len(places) == 8


@pytest.mark.parametrize("days", [0.01, 1, 3, 30])
def test_what_is_kept_is_bounded(days: float) -> None:
    watch_s = 86400.0 * days
    plan = CommissioningPlan(
        machine="fan",
        like="fan",
        bundle_sha256="0" * 64,
        watch_s=watch_s,
        false_alarms_per_month=1.0,
        begun=BEGUN,
    )

    assert min(MOST_WINDOWS / 3, watch_s / 2.5) <= watch_s / 2.5 / plan.stride(2.5) <= MOST_WINDOWS


def test_stretches_of_what_was_heard_count_as_takes_of_the_promise(
    tmp_path: Path, mini_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commissioner, "STRETCH_S", 2.0)
    begin(mini_bundle, tmp_path, 60.0)

    Rig(mini_bundle, tmp_path, on_monitor=patient).run(100.0)

    learned = LearnedStore(StateFolder(tmp_path, MACHINE)).load()
    assert learned is not None
    assert learned.site.threshold.n_takes == 30
    assert learned.site.promise is not None


class Reload(Request):
    """Asks for it once, after twenty seconds."""

    def __init__(self, monitor: Monitor, before: Callable[[], object]) -> None:
        super().__init__("reload", {})
        self.monitor = monitor
        self.before: Callable[[], object] | None = before
        self.answered = False

    def poll(self) -> Reload | None:
        if self.before is None and not self.answered:
            time.sleep(0.01)  # the plan is read, in real time
        if self.before is None or self.monitor.timeline.seconds < 20:
            return None
        self.before()
        self.before = None
        return self

    def reply(self, content: dict[str, Any], /) -> None:
        self.answered = True


def test_a_running_monitor_commissions_from_the_request_on(
    tmp_path: Path, mini_bundle: Path
) -> None:
    def ask(monitor: Monitor, _time: SimulatedTime) -> None:
        monitor.requests = Reload(monitor, lambda: begin(mini_bundle, tmp_path, 1000.0))

    rig = Rig(mini_bundle, tmp_path, sound_of(lambda now_s: now_s > 15), on_monitor=ask)

    rig.run(40.0)

    (notice,) = rig.kept.of(NoticeEvent)
    assert notice.text == "it listens without alarms until it is commissioned"
    assert [score.state for score in rig.kept.of(ScoreEvent)][-1] == "commissioning"
    assert len(rig.kept.of(AlarmRaisedEvent)) == 1  # before it was asked
    assert len(rig.kept.of(AlarmClearedEvent)) == 1


def test_health_says_commissioning_and_how_much_is_left(tmp_path: Path, mini_bundle: Path) -> None:
    begin(mini_bundle, tmp_path, 1000.0)
    monitors: list[Monitor] = []
    rig = Rig(mini_bundle, tmp_path, on_monitor=lambda monitor, _: monitors.append(monitor))

    rig.run(100.0)

    status = monitors[0].board.status.to_dict(0.0)
    assert status["state"] == "commissioning"
    assert status["commissioning_left_s"] == pytest.approx(900, abs=2)
    assert status["threshold"] is None
    assert status["condition"] == {"hour": None, "day": None}


def test_who_teaches_meanwhile_is_told_that_it_does_not_last(
    tmp_path: Path, mini_bundle: Path
) -> None:
    begin(mini_bundle, tmp_path, 1000.0)

    said = reload_monitor(StateFolder(tmp_path, MACHINE))

    assert said == "a commissioning is under way: no alarm is raised, and its end replaces this"


def test_what_cannot_be_learned_is_a_fault_and_it_listens_on(
    tmp_path: Path, mini_bundle: Path
) -> None:
    begin(mini_bundle, tmp_path, 30.0)
    rig = Rig(mini_bundle, tmp_path, on_monitor=patient)
    state = StateFolder(tmp_path, MACHINE)

    with LearnedStore(state).writing():  # another command is learning
        rig.run(60.0)

    faults = {fault.fault: fault.detail for fault in rig.kept.of(FaultRaisedEvent)}
    assert "another command is learning" in faults["part:commissioning"]
    assert states(rig) == {"commissioning"}
