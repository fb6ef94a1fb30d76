"""Waiting for what other threads do, with an end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

DEADLINE_S = 300.0  # on a computer that does much else

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], what: str = "its condition", deadline_s: float = DEADLINE_S
) -> T:
    """Return what `condition` gives as soon as it is true; fail when that takes too long."""
    end_s = time.monotonic() + deadline_s
    while not (result := condition()):
        if time.monotonic() > end_s:
            pytest.fail(f"not within {deadline_s:g} s: {what}")
        time.sleep(0.002)
    return result
