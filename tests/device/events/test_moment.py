"""Times in words."""

from __future__ import annotations

import pytest

from edge_asd.events.moment import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"),
        (59.0, "59 s"),
        (60.0, "1 min"),
        (3599.0, "59 min"),
        (15000.0, "4 h 10 min"),
        (3 * 86400.0, "3 d 0 h"),
    ],
)
def test_a_duration_is_said_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words
