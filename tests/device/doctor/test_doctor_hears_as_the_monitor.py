"""The doctor finds in a recording what the monitor would find if the sound went on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import soxr
from device.faulty_sound import FAULTS, LSB, RATE_HZ, Audio, Ears, as_16_bit, room
from device.installations import states

from edge_asd.doctor import recording

CARD_RATE_HZ = 48000
RECORDING_S = 5
GOES_ON_S = 120


def ordinary(sound: Audio) -> Audio:
    return sound


def far_quieter_by_19_db(sound: Audio) -> Audio:
    return as_16_bit(sound * np.array([[0.05], [0.0056]]))


def far_at_minus_88_beside_near_at_minus_60(sound: Audio) -> Audio:
    hiss = np.random.default_rng(3).standard_normal(sound.shape[1]) * 10 ** (-88 / 20)
    return as_16_bit(np.stack([sound[0] * 0.05, hiss]))


def far_is_near_times_0_9(sound: Audio) -> Audio:
    return as_16_bit(np.stack([sound[0], 0.9 * sound[0]]))


def clipped_at_0_985(sound: Audio) -> Audio:
    return as_16_bit(np.clip(sound / 0.02 * 0.4, -0.985, 0.985))


def clipped_at_0_9(sound: Audio) -> Audio:
    return as_16_bit(np.clip(sound / 0.02 * 0.2, -0.9, 0.9))


def one_drop_out_of_a_tenth_of_a_second(sound: Audio) -> Audio:
    spoiled = sound.copy()
    spoiled[:, RATE_HZ : RATE_HZ + RATE_HZ // 10] = 0
    return spoiled


def hum_of_the_mains(sound: Audio) -> Audio:
    time_s = np.arange(sound.shape[1]) / RATE_HZ
    return as_16_bit(sound + 0.1 * np.sin(2 * np.pi * 50 * time_s))


def two_open_inputs(sound: Audio) -> Audio:
    return as_16_bit(np.random.default_rng(4).standard_normal(sound.shape) * 0.8 * LSB)


SOUNDS: list[Callable[[Audio], Audio]] = [
    ordinary,
    far_quieter_by_19_db,
    far_at_minus_88_beside_near_at_minus_60,
    far_is_near_times_0_9,
    clipped_at_0_985,
    clipped_at_0_9,
    one_drop_out_of_a_tenth_of_a_second,
    hum_of_the_mains,
    two_open_inputs,
    *(spoil for spoil, *_ in FAULTS),
]


def raised_by_the_monitor(audio: Audio) -> set[str]:
    ears = Ears()
    for _ in range(GOES_ON_S // RECORDING_S):
        ears.feed(audio)
    return {name for name, active in ears.story if active}


def found_by_the_doctor(audio: Audio, rate_hz: int) -> set[str]:
    found = states(recording.verdicts(audio, rate_hz, monitor_rate_hz=RATE_HZ))
    return {check for check, state in found.items() if state == "problem"}


@pytest.mark.parametrize("spoil", SOUNDS, ids=lambda spoil: spoil.__name__)
def test_both_find_the_same(spoil: Callable[[Audio], Audio]) -> None:
    audio = spoil(room(RECORDING_S))

    assert found_by_the_doctor(audio, RATE_HZ) == raised_by_the_monitor(audio)


@pytest.mark.parametrize("spoil", SOUNDS, ids=lambda spoil: spoil.__name__)
def test_both_find_the_same_at_the_rate_of_the_card(spoil: Callable[[Audio], Audio]) -> None:
    at_card = np.ascontiguousarray(
        soxr.resample(spoil(room(RECORDING_S)).T, RATE_HZ, CARD_RATE_HZ).T
    )
    heard = np.ascontiguousarray(soxr.resample(at_card.T, CARD_RATE_HZ, RATE_HZ, "HQ").T)

    assert found_by_the_doctor(at_card, CARD_RATE_HZ) == raised_by_the_monitor(heard)
