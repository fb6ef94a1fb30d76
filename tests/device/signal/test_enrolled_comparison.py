"""Levels and the order of the channels are compared with the enrolled sound."""

from __future__ import annotations

import numpy as np
import pytest
from device.faulty_sound import RATE_HZ, Audio, Ears, room

from edge_asd.signal.reference import SignalReference


def test_a_level_far_from_the_enrolled_one_is_reported_with_both() -> None:
    ears = Ears(SignalReference.measure([room(20)], RATE_HZ))

    ears.feed(room(100, seed=1) * np.float32(10 ** (-15 / 20)))
    ears.feed(room(200, seed=2))

    assert ears.story == [("signal_level", True), ("signal_level", False)]
    figures = ears.changes[0].figures
    assert figures["near_dbfs"] == pytest.approx(-49.0, abs=0.2)
    assert figures["near_enrolled_dbfs"] == pytest.approx(-34.0, abs=0.2)
    assert "near -49 dBFS, expected -34" in ears.changes[0].detail


def test_a_level_within_the_tolerance_is_none_of_its_business() -> None:
    ears = Ears(SignalReference.measure([room(20)], RATE_HZ))

    ears.feed(room(200, seed=1) * np.float32(10 ** (-11 / 20)))

    assert ears.story == []


def test_exchanged_channels_are_reported_until_they_are_exchanged_again() -> None:
    ears = Ears(SignalReference.measure([room(20)], RATE_HZ))

    ears.feed(room(30, seed=1))
    ears.feed(room(200, seed=2)[::-1])
    ears.feed(room(200, seed=3))

    assert ears.story == [("signal_swapped", True), ("signal_swapped", False)]
    first, last = (float(change.figures["contrast"]) for change in ears.changes)
    assert first < -0.5
    assert last > 0


def test_an_exchange_is_not_taken_back_before_the_order_is_right_again() -> None:
    ears = Ears(SignalReference.measure([room(20)], RATE_HZ))
    ears.feed(room(200, seed=1)[::-1])

    for _ in range(25):  # a contrast of -0.2
        ears.feed(room(6, seed=2)[::-1])
        ears.feed(room(4, seed=3))

    assert ears.story == [("signal_swapped", True)]


def test_another_machine_state_says_nothing_about_the_order_of_the_channels() -> None:
    ears = Ears(SignalReference.measure([room(20)], RATE_HZ))

    ears.feed(room(200, seed=1)[::-1] * np.float32(10 ** (-30 / 20)))

    assert ears.story == [("signal_level", True)]


def test_channels_that_sound_alike_are_never_called_exchanged() -> None:
    def alike(seconds: float, seed: int) -> Audio:
        return np.stack([room(seconds, seed=seed)[0], room(seconds, seed=seed + 100)[0]])

    ears = Ears(SignalReference.measure([alike(20, 0)], RATE_HZ))

    ears.feed(alike(100, 1))
    ears.feed(alike(100, 2)[::-1])

    assert ears.story == []


def test_another_reference_is_taken_over_while_listening() -> None:
    ears = Ears(SignalReference.measure([room(20)], RATE_HZ))
    quiet = np.float32(10 ** (-15 / 20))
    ears.feed(room(100, seed=1) * quiet)

    ears.quality.compare_with(SignalReference.measure([room(20) * quiet], RATE_HZ))
    ears.feed(room(100, seed=2) * quiet)
    again = [*ears.story]
    ears.quality.compare_with(SignalReference.measure([room(20)], RATE_HZ))
    ears.feed(room(100, seed=3) * quiet)
    ears.quality.compare_with(None)

    assert again == [("signal_level", True), ("signal_level", False)]
    assert ears.story == again * 2
