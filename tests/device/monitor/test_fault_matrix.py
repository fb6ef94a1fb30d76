"""Everything that can go wrong with a monitor in the field, made to happen.

Each test shows that it is noticed, said, recovered from, and that what was lost is
counted. The parts have tests of their own; here they work together.
"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from device.mini_bundle import MACHINE
from device.rig import RATE_HZ, Rig, sound_of
from device.small_disk import fill, small_disk
from numpy.typing import NDArray

from benchmarks.simulated_card import Outage, SimulatedTime
from edge_asd.events.event import (
    AlarmClearedEvent,
    AlarmRaisedEvent,
    AudioGapEvent,
    FaultClearedEvent,
    FaultRaisedEvent,
    HopChangedEvent,
    NoticeEvent,
    ScoreEvent,
)
from edge_asd.monitor.monitor import Monitor
from edge_asd.profile import load_profile

FAULTY_FROM_S, FAULTY_TO_S = 30.0, 40.0
WARM_UP_S = 1.0  # the first block of the simulated card, after which the stream begins


def faulty_for_a_while(now_s: float) -> bool:
    return FAULTY_FROM_S <= now_s < FAULTY_TO_S


def faults(rig: Rig) -> list[tuple[str, bool]]:
    """What was raised (True) and cleared (False), in order, but the clock of this computer."""
    events = [e for e in rig.kept.events if isinstance(e, (FaultRaisedEvent, FaultClearedEvent))]
    return [(e.fault, isinstance(e, FaultRaisedEvent)) for e in events if e.fault != "clock"]


def assert_no_window_spans_a_gap(rig: Rig) -> None:
    for gap in rig.kept.of(AudioGapEvent):
        for score in rig.kept.of(ScoreEvent):
            assert not score.window_start_s < gap.stream_time_s < score.stream_time_s


@pytest.mark.parametrize("unplugged", [True, False])
def test_a_card_that_is_lost_is_a_fault_until_it_is_back(
    tmp_path: Path, mini_bundle: Path, unplugged: bool
) -> None:
    rig = Rig(mini_bundle, tmp_path, outages=[Outage(20.0, 120.0, unplugged=unplugged)])

    stopped = rig.run(300.0)

    raised, cleared = faults(rig)[0], faults(rig)[-1]
    assert raised[1] and not cleared[1]
    assert raised[0].startswith("capture_")
    over = rig.kept.of(FaultClearedEvent)[-1]
    assert over.duration_s == pytest.approx(120.0, abs=70.0)  # noticed late, retried in pauses
    assert stopped.dropped_frames / RATE_HZ == pytest.approx(120.0, abs=70.0)
    assert stopped.gaps == 1
    assert_no_window_spans_a_gap(rig)
    assert rig.kept.of(ScoreEvent)[-1].stream_time_s == pytest.approx(300.0, abs=1.0)
    assert rig.kept.of(AlarmRaisedEvent) == []


def test_a_card_that_dies_again_and_again_is_never_given_up(
    tmp_path: Path, mini_bundle: Path
) -> None:
    outages = [Outage(10.0 + 60.0 * i, 40.0, unplugged=True) for i in range(10)]
    rig = Rig(mini_bundle, tmp_path, outages=outages)

    stopped = rig.run(1200.0)

    assert stopped.gaps >= 1
    assert stopped.dropped_frames / RATE_HZ > 10 * 40.0
    assert rig.kept.of(ScoreEvent)[-1].stream_time_s == pytest.approx(1200.0, abs=1.0)
    assert [fault for fault, _ in faults(rig)].count("capture_lost") <= 2 * len(outages)


def test_digital_silence_is_a_fault_and_no_alarm(tmp_path: Path, mini_bundle: Path) -> None:
    silence = np.zeros((2, RATE_HZ), np.float32)
    normal = sound_of(lambda _: False)

    def sound(now_s: float) -> NDArray[np.float32]:
        return silence if 20 <= now_s < 50 else normal(now_s)

    rig = Rig(mini_bundle, tmp_path, sound=sound)

    stopped = rig.run(90.0)

    assert faults(rig) == [("signal_silent", True), ("signal_silent", False)]
    assert rig.kept.of(AlarmRaisedEvent) == []
    assert stopped.skipped_windows >= 2 * 30 - 2
    for score in rig.kept.of(ScoreEvent):
        assert score.stream_time_s <= 20 - WARM_UP_S or score.window_start_s >= 50 - WARM_UP_S


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_sample_that_is_no_number_does_not_end_a_monitor_without_checks(
    value: float, tmp_path: Path, mini_bundle: Path
) -> None:
    normal = sound_of(lambda _: False)

    def sound(now_s: float) -> NDArray[np.float32]:
        audio = normal(now_s).copy()
        if 10 <= now_s < 11:
            audio[1, 5] = value
        return audio

    profile = load_profile().with_values(signal={"checks": False})
    rig = Rig(mini_bundle, tmp_path, sound=sound, profile=profile)

    stopped = rig.run(90.0)

    assert stopped.reason == "end of the duration"
    assert 1 <= stopped.skipped_windows <= 3
    assert faults(rig) == [("not_a_number", True), ("not_a_number", False)]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_samples_that_are_no_sound_are_a_fault_and_never_the_end(
    value: float, tmp_path: Path, mini_bundle: Path
) -> None:
    normal = sound_of(lambda _: False)

    def sound(now_s: float) -> NDArray[np.float32]:
        audio = normal(now_s).copy()
        if 10 <= now_s < 20:
            audio[0, ::7] = value
        return audio

    rig = Rig(mini_bundle, tmp_path, sound=sound)
    stopped = rig.run(30.0)

    told = {name for name, _ in faults(rig)}
    assert {name for name in told if name.startswith("signal_")}
    assert ("not_a_number" in told) is not np.isfinite(value)
    assert stopped.reason == "end of the duration"


def test_hardware_that_is_too_slow_widens_the_hop_and_narrows_it_again(
    tmp_path: Path, mini_bundle: Path
) -> None:
    rig = Rig(mini_bundle, tmp_path, slow=lambda now_s: 1.2 if 30 <= now_s < 120 else 0.01)

    stopped = rig.run(900.0)

    hops = [event.hop_s for event in rig.kept.of(HopChangedEvent)]
    assert max(hops) > 0.5
    assert hops[-1] == 0.5
    assert faults(rig)[0] == ("overload", True)
    assert faults(rig)[-1] == ("overload", False)
    assert stopped.windows < 900 / 0.5


def test_a_clock_that_is_set_is_a_notice_and_alarms_go_on(
    tmp_path: Path, mini_bundle: Path
) -> None:
    def set_the_clock(monitor: Monitor, time: SimulatedTime) -> None:
        time.at(20.0, lambda: time.set_clock(3600.0))

    rig = Rig(
        mini_bundle,
        tmp_path,
        sound=sound_of(faulty_for_a_while),
        on_monitor=set_the_clock,
    )

    rig.run(60.0)

    (notice,) = [n for n in rig.kept.of(NoticeEvent) if n.notice == "clock_step"]
    assert notice.figures["step_s"] == pytest.approx(3600, abs=2)
    (raised,) = rig.kept.of(AlarmRaisedEvent)
    (cleared,) = rig.kept.of(AlarmClearedEvent)
    assert 0 < cleared.duration_s < 20
    assert raised.time.hour == cleared.time.hour == 1


def test_a_full_disk_loses_clips_and_never_alarms(tmp_path: Path, mini_bundle: Path) -> None:
    with small_disk(tmp_path, size_kib=2048) as disk:
        fill(disk)
        rig = Rig(
            mini_bundle,
            disk / "state",
            sound=sound_of(faulty_for_a_while),
            profile=load_profile().with_values(clips={"reserve_bytes": 100_000}),
        )
        (disk / "filler").unlink()
        (disk / "state" / MACHINE).mkdir(parents=True)
        fill(disk)

        rig.run(60.0)

        assert len(rig.kept.of(AlarmRaisedEvent)) == 1
        assert len(rig.kept.of(AlarmClearedEvent)) == 1
        assert any(fault.startswith("disk") for fault, _ in faults(rig))


def test_an_alarm_leaves_sound_picture_and_facts(tmp_path: Path, mini_bundle: Path) -> None:
    rig = Rig(mini_bundle, tmp_path, sound=sound_of(faulty_for_a_while))

    rig.run(90.0)

    (raised,) = rig.kept.of(AlarmRaisedEvent)
    folder = tmp_path / MACHINE / "events" / raised.alarm_id
    assert {path.name for path in folder.iterdir()} == {
        *("audio.flac", "event.json", "spectrogram.png")
    }
    assert raised.explanation is not None
    assert json.loads((folder / "event.json").read_text())


def test_a_restart_keeps_the_alarm(tmp_path: Path, mini_bundle: Path) -> None:
    def from_now_on(now_s: float) -> bool:
        return now_s >= FAULTY_FROM_S

    first = Rig(mini_bundle, tmp_path, sound=sound_of(from_now_on))
    first.run(60.0)
    second = Rig(mini_bundle, tmp_path, sound=sound_of(lambda now_s: now_s < 20))

    second.run(60.0)

    (raised,) = first.kept.of(AlarmRaisedEvent)
    assert second.kept.of(AlarmRaisedEvent) == []
    (cleared,) = second.kept.of(AlarmClearedEvent)
    assert cleared.alarm_id == raised.alarm_id


def test_what_is_wrong_over_several_restarts_is_told_once(
    tmp_path: Path, mini_bundle: Path
) -> None:
    unplugged = [Outage(5.0, 10_000.0, unplugged=True)]
    gone = [Outage(0.0, 10_000.0, unplugged=True)]

    def end_soon(monitor: Monitor, time: SimulatedTime) -> None:
        time.at(200.0, lambda: monitor.stop.end("its watchdog"))

    said: list[str] = []

    def look(monitor: Monitor, time: SimulatedTime) -> None:
        for at_s in (1.5, 5.0):
            time.at(at_s, lambda: said.append(monitor.board.status.state(time.now_s)))

    rigs = [
        Rig(mini_bundle, tmp_path, outages=unplugged, on_monitor=end_soon),
        Rig(mini_bundle, tmp_path, outages=gone, on_monitor=end_soon),
        Rig(mini_bundle, tmp_path, outages=gone, on_monitor=end_soon),
        Rig(mini_bundle, tmp_path, on_monitor=look),
    ]

    for rig in rigs:
        rig.run(150.0)

    assert faults(rigs[0]) == [("capture_lost", True)]
    assert faults(rigs[1]) == [("capture_missing", True)]
    assert faults(rigs[2]) == []
    assert sorted(faults(rigs[3])) == [("capture_lost", False), ("capture_missing", False)]
    assert said == ["unknown", "normal"]


def test_the_watchdog_of_the_system_hears_nothing_while_the_monitor_is_deaf(
    tmp_path: Path, mini_bundle: Path
) -> None:
    path = tmp_path / "notify"
    said: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        reader = threading.Thread(target=_hear, args=(listener, said))
        reader.start()
        rig = Rig(
            mini_bundle,
            tmp_path / "state",
            outages=[Outage(20.0, 10_000.0, unplugged=True)],
            environment={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000"},
        )

        rig.run(1000.0)
        reader.join(300.0)

    pings = [i for i, text in enumerate(said) if "WATCHDOG=1" in text]
    deaf = next(i for i, text in enumerate(said) if "STATUS=" in text and "sound card" in text)
    assert "READY=1" in said[0]
    assert len(pings) >= 5
    assert max(pings) < deaf


def _hear(listener: socket.socket, said: list[str]) -> None:
    """As the service manager does: at once, until the monitor ends."""
    while "STOPPING=1" not in said:
        said += listener.recv(4096).decode().splitlines()
