from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from places import SHARED

from edge_asd.audio.decode import read_audio
from edge_asd.audio.takes import SharedSound, find_takes, joined, most_of, shared_sound, whitened

RATE_HZ = 16_000

Audio = NDArray[np.float32]


def noise(seconds: float, seed: int) -> Audio:
    """Two channels of low-pass noise that have half of their power in common."""
    rng = np.random.default_rng(seed)
    common, near, far = rng.standard_normal((3, round(seconds * RATE_HZ)))
    both = np.stack([common + near, common + far])
    return (0.05 * both).astype(np.float32)


def cut(audio: Audio, start_s: float, seconds: float = 6.0) -> Audio:
    start = round(start_s * RATE_HZ)
    return audio[:, start : start + round(seconds * RATE_HZ)]


def takes_of(*recordings: Audio) -> list[int]:
    return find_takes([[audio] for audio in recordings], RATE_HZ)


def test_overlapping_cuts_of_a_recording_are_one_take_and_other_recordings_are_not() -> None:
    day, night = noise(20, 0), noise(20, 1)

    takes = takes_of(cut(day, 0), cut(night, 0), cut(day, 3.21), cut(night, 4), cut(day, 13.9))

    assert takes == [0, 1, 0, 1, 2]


def test_cuts_are_joined_through_those_between_them() -> None:
    day = noise(20, 0)

    found = shared_sound(whitened([cut(day, start_s)], RATE_HZ) for start_s in (0, 8, 4))

    assert joined(*found) == [0, 0, 0]


@pytest.mark.parametrize(
    "change",
    [
        lambda audio: audio,
        lambda audio: audio[::-1],
        lambda audio: 0.01 * audio,
        lambda audio: audio * np.array([[1], [-1]], np.float32),
        lambda audio: audio + noise(6, 7),
        lambda audio: audio[:, : 2 * RATE_HZ],
        lambda audio: np.concatenate([noise(12, 8), audio], axis=1),
    ],
    ids=["same", "channels exchanged", "softer", "inverted", "noise added", "shorter", "longer"],
)
def test_a_recording_is_found_again_after_a_change(
    change: Callable[[Audio], Audio],
) -> None:
    audio = noise(6, 0)

    assert takes_of(audio, change(audio)) == [0, 0]


def test_one_noise_at_the_far_microphone_under_two_sounds_joins_them() -> None:
    background = noise(6, 0)[:1]

    takes = takes_of(*(np.concatenate([noise(6, seed)[:1], background]) for seed in (1, 2)))

    assert takes == [0, 0]


@pytest.mark.parametrize("loudness", [0.1, 1.0])
@pytest.mark.parametrize("turns_hz", [5.0, 23.7, 50.0])
def test_a_machine_that_sounds_the_same_in_every_recording_joins_none(
    turns_hz: float, loudness: float
) -> None:
    time_s = np.arange(6 * RATE_HZ) / RATE_HZ
    hum = sum(np.cos(2 * np.pi * k * turns_hz * time_s) for k in range(1, 30)) / 30
    recordings = [(noise(6, seed) + loudness * hum).astype(np.float32) for seed in range(4)]

    assert takes_of(*recordings) == [0, 1, 2, 3]


def test_one_loud_knock_in_each_recording_joins_none() -> None:
    recordings = [noise(6, seed).copy() for seed in range(4)]
    for i, audio in enumerate(recordings):
        audio[:, (1 + i) * RATE_HZ] += 50.0

    assert takes_of(*recordings) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "empty",
    [
        np.zeros((2, RATE_HZ), np.float32),
        np.full((2, RATE_HZ), 0.5, np.float32),
        np.zeros((2, 0), np.float32),
        noise(0.3, 0),
        np.tile(noise(0.1, 0), 40),
    ],
    ids=["silence", "constant", "no samples", "too short", "repeated"],
)
def test_what_says_nothing_is_joined_with_nothing(empty: Audio) -> None:
    assert takes_of(empty, empty, noise(6, 0)) == [0, 1, 2]


def test_a_silent_channel_does_not_hide_what_the_other_shares() -> None:
    audio = noise(6, 0).copy()
    audio[1] = 0

    assert takes_of(audio, noise(6, 1), audio) == [0, 1, 0]


def test_share_is_the_part_that_overlaps() -> None:
    day = noise(20, 0)

    _, (pair,) = shared_sound(whitened([cut(day, start_s)], RATE_HZ) for start_s in (0, 3))

    assert (pair.first, pair.second) == (0, 1)
    assert pair.share == pytest.approx(0.5, abs=0.1)


def test_a_take_is_cut_where_it_shares_least_before_it_has_too_much_of_a_part() -> None:
    chain = [SharedSound(0, 1, 0.9), SharedSound(1, 2, 0.2), SharedSound(2, 3, 0.9)]

    assert joined(4, chain, most=lambda n: n // 2) == [0, 0, 1, 1]
    assert joined(4, chain, parts="aabb", most=lambda n: n) == [0, 0, 0, 0]


def test_a_chain_that_joins_all_recordings_is_cut_into_takes() -> None:
    night = noise(30, 0)

    takes = takes_of(*(cut(night, start_s) for start_s in range(0, 24, 4)))

    assert max(Counter(takes).values()) == most_of(6) == 2
    assert len(set(takes)) >= 3


def test_given_takes_are_kept_together_and_apart_and_take_up_what_is_new() -> None:
    chain = [SharedSound(0, 2, 0.9), SharedSound(2, 3, 0.5)]

    assert joined(4, chain, known=["x", "x", "y"]) == [0, 0, 1, 1]


@pytest.mark.skipif(not SHARED.exists(), reason="no recordings beside the repository")
@pytest.mark.parametrize("machine", ["fan", "uavA"])
def test_overlapping_cuts_of_real_recordings_are_joined_and_few_others(machine: str) -> None:
    files = sorted((SHARED / "data" / "tiny" / machine / "train").glob("*.flac"))
    clips = [read_audio(file)[0] for file in files]

    takes = takes_of(*(cut(clip, start_s, 3) for start_s in (0, 1) for clip in clips))

    assert takes[: len(clips)] == takes[len(clips) :]
    assert len(set(takes)) >= 9  # of eleven clips, of which some share noise
