"""What the kernel says is read below any root, and what it does not say is unknown."""

from __future__ import annotations

from pathlib import Path

import pytest
from device.installations import written

from edge_asd import system_files


def test_nothing_is_known_of_an_empty_system(tmp_path: Path) -> None:
    assert system_files.board(tmp_path) == ""
    assert system_files.governor(tmp_path) == ""
    assert system_files.processor(tmp_path) == {}
    assert system_files.processor_flags(tmp_path) is None
    assert system_files.available_bytes(tmp_path) is None
    assert system_files.read_text(tmp_path) == ""


def test_the_board_comes_from_the_device_tree_without_its_zero_byte(tmp_path: Path) -> None:
    written(tmp_path / "proc/device-tree/model", "Raspberry Pi 5\0")

    assert system_files.board(tmp_path) == "Raspberry Pi 5"


@pytest.mark.parametrize("name", ["flags", "Features"])
def test_the_first_core_counts(tmp_path: Path, name: str) -> None:
    written(tmp_path / "proc/cpuinfo", f"model name\t: A\n{name}\t: fp fma\n\nmodel name: B\n")

    assert system_files.processor(tmp_path)["model name"] == "A"
    assert system_files.processor_flags(tmp_path) == {"fp", "fma"}


def test_memory_that_is_left_is_in_bytes(tmp_path: Path) -> None:
    written(tmp_path / "proc/meminfo", "MemTotal: 999 kB\nMemAvailable:  307200 kB\n")

    assert system_files.available_bytes(tmp_path) == 300 << 20


def test_this_process_takes_memory() -> None:
    assert system_files.resident_bytes() > 1 << 20
