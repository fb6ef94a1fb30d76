"""A board that gets hot or starves says so, once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edge_asd.events.event import NoticeEvent
from edge_asd.events.moment import Moment
from edge_asd.service.heat import HeatWatcher
from edge_asd.system_files import Zone, hottest, throttling, zones

AUDIO = np.zeros((2, 10), np.float32)
FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n", encoding="utf-8")


def set_temperature(root: Path, celsius: float) -> None:
    write(root, "sys/class/thermal/thermal_zone0/type", "cpu-thermal")
    write(root, "sys/class/thermal/thermal_zone0/temp", str(round(celsius * 1000)))


def look(watcher: HeatWatcher, minute: int) -> list[NoticeEvent]:
    at = Moment(datetime(2026, 11, 22, tzinfo=UTC), 60.0 * minute, "pump")
    events = list(watcher.on_block(at, AUDIO))
    return [event for event in events if isinstance(event, NoticeEvent)]


def test_heat_is_said_when_it_comes_and_when_it_goes(tmp_path: Path) -> None:
    watcher = HeatWatcher(tmp_path)
    said = []
    for minute, celsius in enumerate([60, 81, 85, 79, 76, 74, 60]):
        set_temperature(tmp_path, celsius)
        said += [(minute, event.text, event.figures) for event in look(watcher, minute)]

    assert said == [
        (1, "cpu-thermal has 81 °C and slows down from 80 °C on; cool it", {"temperature_c": 81.0}),
        (5, "cpu-thermal has 74 °C and runs at full speed again", {"temperature_c": 74.0}),
    ]


def test_a_weak_supply_is_said_when_it_comes_and_when_it_goes(tmp_path: Path) -> None:
    watcher = HeatWatcher(tmp_path)
    said = []
    for minute, bits in enumerate(["0", "50005", "50005", "50000"]):
        write(tmp_path, FIRMWARE, bits)
        said += [(minute, event.notice, event.text) for event in look(watcher, minute)]

    assert said == [
        (
            1,
            "power",
            "the board says: under-voltage, throttling; use another supply, or cool it",
        ),
        (3, "power", "the board runs at full speed again"),
    ]


def test_it_looks_once_a_minute(tmp_path: Path) -> None:
    watcher = HeatWatcher(tmp_path)
    look(watcher, 0)
    set_temperature(tmp_path, 99)
    at = Moment(datetime(2026, 11, 22, tzinfo=UTC), 59.9, "pump")

    assert list(watcher.on_block(at, AUDIO)) == []
    assert len(look(watcher, 1)) == 1


def test_a_computer_without_thermometers_says_nothing(tmp_path: Path) -> None:
    assert look(HeatWatcher(tmp_path), 0) == []
    assert zones(tmp_path) == []
    assert hottest([]) is None


def test_a_broken_thermometer_is_left_out(tmp_path: Path) -> None:
    set_temperature(tmp_path, 50)
    write(tmp_path, "sys/class/thermal/thermal_zone1/temp", "")

    assert zones(tmp_path) == [Zone("cpu-thermal", 50.0)]


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        ("throttled=0x0", ((), ())),
        ("80008", (("soft heat limit",), ("soft heat limit",))),
        ("", None),
        ("VCHI failed", None),
    ],
)
def test_the_bits_of_the_firmware_are_read(bits: str, expected: object) -> None:
    assert throttling(bits) == expected
