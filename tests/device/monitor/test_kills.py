"""A kill at any moment costs no event that was told, and no alarm its identity."""

from __future__ import annotations

from pathlib import Path

import pytest
from device.history_steps import HISTORY, rows
from device.kills import World, a_world
from device.mini_bundle import MACHINE
from device.mosquitto import needs_mosquitto


def check(world: World) -> None:
    """Nothing is missing in any output; alarms and faults begin and end by turns."""
    told = world.of_the_file()
    assert set(world.of_the_server()) == set(told) == set(world.of_the_broker())
    alarms = [content for content in told.values() if content["event"].startswith("alarm_")]
    kinds = [content["event"] for content in alarms]
    assert kinds == ["alarm_raised", "alarm_cleared"] * (len(alarms) // 2)
    raised, cleared = alarms[::2], alarms[1::2]
    assert [content["alarm_id"] for content in raised] == [c["alarm_id"] for c in cleared]
    assert len(raised) >= world.kills / 4
    for fault in {content["fault"] for content in told.values() if "fault" in content}:
        kinds = [content["event"] for content in told.values() if content.get("fault") == fault]
        assert kinds == (["fault_raised", "fault_cleared"] * len(kinds))[: len(kinds)]


def check_history(path: Path) -> None:
    """It is whole, and every minute is in its day."""
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    (in_minutes,), (in_days,) = (
        rows(path, f"SELECT SUM(windows) FROM {table}")[0] for table in ("minutes", "days")
    )
    assert in_minutes == in_days > 0


@needs_mosquitto
@pytest.mark.parametrize("kills", [8, pytest.param(400, marks=pytest.mark.slow)])
def test_an_alarm_is_told_exactly_as_far_as_it_was_lived(
    kills: int, mini_bundle: Path, tmp_path: Path
) -> None:
    with a_world(mini_bundle, tmp_path, seed=kills) as world:
        world.kill(kills)
        world.end_well()

        check(world)
        check_history(tmp_path / "state" / MACHINE / HISTORY)
