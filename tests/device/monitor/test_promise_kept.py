"""A monitor whose bundle promises false alarms a month."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from device.bundle_files import replace_manifest
from device.mini_bundle import MACHINE
from device.rig import Rig, sound_of

from benchmarks.simulated_card import SimulatedTime
from edge_asd.alarm.promise import promised
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.check import check_bundle
from edge_asd.bundle.manifest import MANIFEST_NAME, PromiseSpec
from edge_asd.errors import ProfileError
from edge_asd.events.event import AlarmRaisedEvent, HopChangedEvent, StartedEvent
from edge_asd.monitor.monitor import Monitor
from edge_asd.profile import load_profile
from edge_asd.scoring.threshold import LEVEL_RATES

WINDOW_S, HOP_S = 1.0, 0.5
SAID = (
    "about 1 false alarm a month (extrapolated from 12 takes); a lasting change is raised within "
)


@pytest.fixture
def bundle(mini_bundle: Path, tmp_path: Path) -> Path:
    """A bundle whose levels rise by a little where rates fall."""
    folder = shutil.copytree(mini_bundle, tmp_path / "promising")
    manifest = Bundle.open(folder).manifest
    machine = manifest.machines[MACHINE]
    levels = machine.threshold.model_copy(
        update={
            "n_scores": 120,
            "n_takes": 12,
            "levels": tuple(
                (rate, machine.threshold.threshold * (1 + i / 100))
                for i, rate in enumerate(LEVEL_RATES)
            ),
        }
    )
    threshold, promise = promised(levels, share=0.2, window_s=WINDOW_S, hop_s=HOP_S)
    machine = machine.model_copy(update={"threshold": threshold, "promise": promise})
    manifest = manifest.model_copy(update={"machines": {MACHINE: machine}, "hop_s": HOP_S})
    replace_manifest(folder, manifest)
    return folder


def promise_of(bundle: Path) -> PromiseSpec:
    promise = Bundle.open(bundle).manifest.machines[MACHINE].promise
    assert promise is not None
    return promise


def test_the_monitor_begins_with_its_promise_and_raises_a_lasting_fault_in_time(
    bundle: Path, tmp_path: Path
) -> None:
    promise = promise_of(bundle)
    confirmed_alone = load_profile().with_values(alarm={"extreme": "off"})
    sound = sound_of(lambda now_s: now_s >= 30)
    monitors: list[Monitor] = []
    rig = Rig(
        bundle,
        tmp_path,
        sound=sound,
        profile=confirmed_alone,
        on_monitor=lambda monitor, _: monitors.append(monitor),
    )

    rig.run(30 + promise.delay_s + 5)

    (started,) = rig.kept.of(StartedEvent)
    assert started.promise == f"{SAID}{promise.delay_s:.0f} s"
    assert monitors[0].board.status.promise == started.promise
    assert started.confirm == [promise.confirm_n, promise.confirm_m]
    assert started.min_duration_s == 0.0
    (raised,) = rig.kept.of(AlarmRaisedEvent)
    earliest_s = 30 + (promise.confirm_n - 1) * HOP_S
    assert earliest_s <= raised.stream_time_s + 0.5 <= 30 + promise.delay_s + 1.0


def test_slow_hardware_is_confirmed_by_fewer_windows_and_later_by_as_many_again(
    bundle: Path, tmp_path: Path
) -> None:
    monitors: list[Monitor] = []
    seen: dict[float, int] = {}

    def keep(monitor: Monitor, time: SimulatedTime) -> None:
        monitors.append(monitor)
        for second in range(1, 900):
            time.at(float(second), note)

    def note() -> None:
        (monitor,) = monitors
        seen[monitor.stream.hop_s] = monitor.alarm.alarm.policy.confirm_m

    rig = Rig(
        bundle, tmp_path, slow=lambda now_s: 1.2 if 30 <= now_s < 120 else 0.01, on_monitor=keep
    )
    rig.run(900.0)

    assert rig.kept.of(HopChangedEvent)[-1].hop_s == HOP_S
    assert seen[max(seen)] < seen[HOP_S] == promise_of(bundle).confirm_m
    assert monitors[0].alarm.alarm.policy.confirm_m == promise_of(bundle).confirm_m


def test_a_profile_asks_for_other_false_alarms_without_a_new_calibration(
    bundle: Path, tmp_path: Path
) -> None:
    profile = load_profile().with_values(alarm={"false_alarms_per_month": 100.0})
    rig, usual = Rig(bundle, tmp_path / "a", profile=profile), Rig(bundle, tmp_path / "b")

    rig.run(2.0)
    usual.run(2.0)

    (asked,), (before,) = rig.kept.of(StartedEvent), usual.kept.of(StartedEvent)
    assert asked.confirm[1] < before.confirm[1]
    assert asked.promise is not None
    assert "false alarms a month" in asked.promise


def test_a_bundle_without_a_promise_cannot_keep_one(mini_bundle: Path, tmp_path: Path) -> None:
    profile = load_profile().with_values(alarm={"false_alarms_per_month": 2.0})

    with pytest.raises(ProfileError, match="promises nothing for 'pump'"):
        Rig(mini_bundle, tmp_path, profile=profile).run(2.0)


def test_check_says_the_promise(bundle: Path) -> None:
    found = {finding.what: finding.detail for finding in check_bundle(bundle)}

    assert found["promise of pump"].startswith(SAID)
    assert json.loads((bundle / MANIFEST_NAME).read_text())["machines"][MACHINE]["promise"]
