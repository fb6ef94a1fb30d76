"""Whether the system's clock can be believed."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from edge_asd.system_clock import clock_synchronised


class Kernel:
    """Answers ``adjtimex`` as Linux does."""

    def __init__(self, result: int, status: int) -> None:
        self.result = result
        self.status = status

    def __call__(self, reference: Any) -> int:
        content = reference._obj
        assert content.modes == 0  # it only asks
        content.status = self.status
        return self.result


@pytest.mark.parametrize(
    ("result", "status", "expected"),
    [(0, 0x2001, True), (0, 0x2041, False), (5, 0x2000, False), (-1, 0, None)],
    ids=["kept", "unsynchronised", "error", "refused"],
)
def test_the_kernel_says_whether_the_clock_is_kept(
    result: int, status: int, expected: bool | None
) -> None:
    assert clock_synchronised(Kernel(result, status)) is expected


def test_the_structure_of_the_kernel_has_its_status_where_we_look() -> None:
    structure = type(_asked_structure())

    # Offsets of struct timex in <sys/timex.h>: long is 8 bytes on 64-bit systems, 4 on others.
    assert structure.status.offset == 5 * ctypes.sizeof(ctypes.c_long)
    assert ctypes.sizeof(structure) >= 208


def _asked_structure() -> Any:
    seen = []

    def adjtimex(reference: Any) -> int:
        seen.append(reference._obj)
        return 0

    clock_synchronised(adjtimex)
    return seen[0]


def test_the_real_kernel_answers_the_same_twice() -> None:
    assert clock_synchronised() is clock_synchronised()
