"""What cancelling gains and costs: told by which microphone a sound reaches first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_asd.signal.cancelling_gain import LEAST_SAMPLES, CancellingGain

Audio = NDArray[np.float32]

RATE_HZ = 16000
DELAY = 90  # samples, two metres
CHANCE_DB = 0.03


def noise(seed: int, seconds: float = 3.0) -> Audio:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.05, round(seconds * RATE_HZ)).astype(np.float32)


def late(sound: Audio, n_samples: int = DELAY) -> Audio:
    return np.concatenate([np.zeros(n_samples, np.float32), sound[:-n_samples]])


def site(machine_db: float, background_db: float = 0.0) -> Audio:
    """Machine at near, background at far; the machine reaches far so much quieter."""
    machine, background = noise(1), np.float32(10 ** (background_db / 20)) * noise(2)
    leak = np.float32(10 ** (machine_db / 20))
    return np.stack([machine + late(background), background + leak * late(machine)])


def gain_of(audio: Audio) -> CancellingGain:
    gain = CancellingGain.measure(audio)
    assert gain is not None
    return gain


@pytest.mark.parametrize("background_db", [-10.0, 0.0, 10.0])
def test_sound_that_reaches_far_first_is_background(background_db: float) -> None:
    gain = gain_of(site(-120, background_db))

    shared = 1 / (1 + 10 ** (-background_db / 10))
    assert gain.background_db == pytest.approx(-10 * np.log10(1 - shared), rel=0.15)
    assert gain.machine_db < 0.1 * gain.background_db
    assert gain.advice == ""


def test_sound_that_reaches_near_first_is_the_machine() -> None:
    gain = gain_of(site(-10, -30))

    assert gain.machine_db > 5
    assert gain.background_db < 0.1 * gain.machine_db
    assert gain.advice.startswith("far hears the machine: move it away")


def test_sound_that_reaches_both_at_once_may_be_the_machine() -> None:
    machine, own = noise(3), noise(4)

    gain = gain_of(np.stack([machine, machine + 0.3 * own]))

    assert gain.machine_db > 5 > gain.background_db


def test_the_more_far_hears_the_machine_the_more_it_costs() -> None:
    costs = [gain_of(site(machine_db)).machine_db for machine_db in (-40, -20, -10, -6, 0)]

    assert costs == sorted(costs)
    assert costs[-1] > 10 * costs[0]


@given(gain_db=st.floats(-30, 10), channel=st.integers(0, 1))
def test_the_gains_of_the_microphones_do_not_matter(gain_db: float, channel: int) -> None:
    audio = site(-20)
    before = gain_of(audio)
    audio[channel] *= np.float32(10 ** (gain_db / 20))

    after = gain_of(audio)

    assert after.background_db == pytest.approx(before.background_db, abs=1e-3)
    assert after.machine_db == pytest.approx(before.machine_db, abs=1e-3)


@pytest.mark.parametrize("seconds", [1, 3, 10])
def test_unrelated_microphones_have_nothing_to_cancel(seconds: int) -> None:
    gain = gain_of(np.stack([noise(5, seconds), noise(6, seconds)]))

    assert gain.background_db + gain.machine_db < CHANCE_DB
    assert not gain.related
    assert gain.sentence == (
        "far hears nothing of what near hears: cancelling takes nothing away; in a quiet room this "
        "is right; else put far where it hears the noise that reaches near, at most 10 m away"
    )


@pytest.mark.parametrize("silent", [0, 1])
def test_a_silent_channel_has_nothing_to_cancel(silent: int) -> None:
    audio = site(-20)
    audio[silent] = 0

    assert gain_of(audio) == CancellingGain(background_db=0.0, machine_db=0.0)


def test_offsets_are_no_common_sound() -> None:
    assert not gain_of(np.stack([noise(5), noise(6)]) + np.float32(0.2)).related


def test_too_short_a_sound_is_not_judged() -> None:
    assert CancellingGain.measure(site(-20)[:, : LEAST_SAMPLES - 1]) is None


def test_windows_are_averaged() -> None:
    gains = [
        CancellingGain(background_db=2.0, machine_db=0.0),
        CancellingGain(background_db=4.0, machine_db=0.5),
    ]

    mean = CancellingGain.mean(gains)

    assert mean == CancellingGain(background_db=3.0, machine_db=0.25)
    assert mean.sentence == (
        "cancelling takes at least 3.0 dB of the background and 0.2 dB of the machine out of near"
    )
