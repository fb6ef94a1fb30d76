"""Verdicts about processor, disk and clock, from invented facts."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from device.installations import installation_of, states, written

from edge_asd.doctor import (
    processor,
    software,
    storage,
)
from edge_asd.doctor.storage import WriteSpeed
from edge_asd.system_files import Zone


@pytest.mark.parametrize(
    ("flags", "architecture", "state"),
    [
        ({"avx2", "avx512_vnni"}, "x86_64", "ok"),
        ({"avx2"}, "x86_64", "warning"),
        (set(), "x86_64", "warning"),
        ({"asimd", "asimddp"}, "aarch64", "ok"),
        ({"asimd"}, "aarch64", "warning"),
        (None, "x86_64", "not checked"),
        ({"v"}, "riscv64", "not checked"),
    ],
)
def test_int8_follows_from_the_instructions(
    flags: set[str] | None, architecture: str, state: str
) -> None:
    assert processor.int8(flags, architecture).state == state


def test_the_flags_come_from_cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    written(tmp_path / "root/proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd asimddp\n")

    verdict = next(iter(processor.cores(installation_of(tmp_path))))

    assert (verdict.state, verdict.found) == ("ok", "fast: asimddp")


@pytest.mark.parametrize(
    ("wanted", "n_cores", "state"),
    [(1, 1, "ok"), (3, 4, "ok"), (4, 4, "warning"), (5, 4, "problem")],
)
def test_threads_leave_a_core_free(wanted: int, n_cores: int, state: str) -> None:
    assert processor.threads(wanted, n_cores).state == state


@pytest.mark.parametrize(
    ("zones", "state"),
    [
        ([], "not checked"),
        ([Zone("cpu", 50.0)], "ok"),
        ([Zone("cpu", 50.0), Zone("soc", 76.0, 80.0)], "warning"),
        ([Zone("cpu", 81.0)], "problem"),
        ([Zone("cpu", 92.0, 105.0)], "ok"),
    ],
)
def test_heat_is_judged_against_the_limit(zones: list[Zone], state: str) -> None:
    assert processor.heat(zones).state == state


def test_thermometers_are_read_with_their_limits(tmp_path: Path) -> None:
    zone = tmp_path / "root/sys/class/thermal/thermal_zone0"
    for name, text in {
        "type": "cpu-thermal",
        "temp": "84500",
        "trip_point_0_type": "critical",
        "trip_point_0_temp": "110000",
        "trip_point_1_type": "passive",
        "trip_point_1_temp": "85000",
    }.items():
        written(zone / name, f"{text}\n")

    verdict = next(iter(processor.temperatures(installation_of(tmp_path))))

    assert verdict.state == "warning"
    assert verdict.found == "cpu-thermal 84 °C, slows down at 85 °C"


@pytest.mark.parametrize(
    ("bits", "state", "found"),
    [
        ("throttled=0x0", "ok", "no under-voltage, no throttling"),
        ("0x50000", "warning", "under-voltage, throttling since it was switched on"),
        ("50005", "problem", "under-voltage, throttling now"),
        ("what?", "not checked", "the firmware says 'what?'"),
    ],
)
def test_the_firmware_of_a_raspberry_pi_tells(bits: str, state: str, found: str) -> None:
    verdict = processor.throttled(bits)

    assert (verdict.state, verdict.found) == (state, found)


@pytest.mark.parametrize(
    ("free_bytes", "state"),
    [(None, "not checked"), (100 << 20, "problem"), (300 << 20, "warning"), (4000 << 20, "ok")],
)
def test_little_memory_is_said(free_bytes: int | None, state: str) -> None:
    assert processor.memory(free_bytes).state == state


def test_memory_comes_from_meminfo(tmp_path: Path) -> None:
    written(tmp_path / "root/proc/meminfo", "MemTotal: 999 kB\nMemAvailable:  307200 kB\n")

    (verdict,) = processor.memory_left(installation_of(tmp_path))

    assert (verdict.state, verdict.found) == ("warning", "300 MiB available")


def test_powersave_on_a_small_board_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")

    assert processor.governor("powersave").state == "warning"
    assert processor.governor("ondemand").state == "ok"
    assert processor.governor("").state == "not checked"


@pytest.mark.parametrize(
    ("free_bytes", "state"), [(10_000_000, "problem"), (10**8, "warning"), (10**10, "ok")]
)
def test_room_is_judged_against_the_reserve(free_bytes: int, state: str) -> None:
    assert storage.room(free_bytes, 500_000_000, Path("/var")).state == state


def test_a_folder_in_memory_does_not_last() -> None:
    mounts = "/dev/sda1 / ext4 rw 0 0\ntmpfs /run tmpfs rw 0 0\n"

    assert storage.lasting(mounts, Path("/run/edge-asd")).state == "warning"
    assert storage.lasting(mounts, Path("/runaway")).state == "ok"
    assert storage.lasting("", Path("/var")).state == "not checked"


def test_writing_is_measured_and_leaves_nothing(tmp_path: Path) -> None:
    ticks = iter(range(100))

    speed = storage.measure_write(tmp_path, lambda: float(next(ticks)))

    assert speed == WriteSpeed(bytes_per_s=float(8 << 20), sync_s=1.0)
    assert list(tmp_path.iterdir()) == []


def test_a_worn_card_is_a_warning() -> None:
    assert storage.write_speed(WriteSpeed(2e7, 0.02), Path("/")).state == "ok"
    assert storage.write_speed(WriteSpeed(5e5, 0.02), Path("/")).state == "warning"
    assert storage.write_speed(WriteSpeed(2e7, 3.0), Path("/")).state == "warning"


def test_a_folder_that_is_not_there_yet_is_judged_by_its_parent(tmp_path: Path) -> None:
    installation = installation_of(tmp_path, state=tmp_path / "not/yet")

    verdicts = states(storage.disk(installation))

    assert set(verdicts) == {"disk", "lasting", "write speed"}
    assert not (tmp_path / "not").exists()


def test_a_disk_that_hangs_is_a_problem_and_does_not_stop_the_doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(storage, "measure_write", lambda folder, clock: answers.wait())

    verdicts = states(storage.disk(installation_of(tmp_path), within_s=0.01))
    answers.set()

    assert verdicts["write speed"] == "problem"


@pytest.mark.parametrize(
    ("is_so", "year", "state"),
    [
        (True, 2026, "ok"),
        (False, 2026, "warning"),
        (None, 2026, "not checked"),
        (True, 1970, "warning"),
    ],
)
def test_a_clock_that_is_not_set_is_said(is_so: bool | None, year: int, state: str) -> None:
    assert software.synchronised(is_so, datetime(year, 11, 22, tzinfo=UTC)).state == state


def test_the_time_zone_is_named() -> None:
    now = datetime(2026, 7, 1, tzinfo=timezone(timedelta(hours=2)))

    found = software.time_zone("Europe/Berlin", now).found

    assert found == "Europe/Berlin (UTC+0200); events are in UTC"
