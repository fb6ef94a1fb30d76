"""The view ``clean``: what it takes out of near, what it leaves, and what it never does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_asd.audio.level import level_dbfs
from edge_asd.audio.noise_cancelling import HOP, N_FFT, clean

Audio = NDArray[np.float32]

RATE_HZ = 16000
ROUNDING = 2e-6  # of float32 spectra, by the largest sample
CHANCE_HOPS = 2.45  # as the view's documentation says
LENGTHS = st.integers(1, 3 * N_FFT)
SEEDS = st.integers(0, 99)


def noise(n_samples: int, seed: int, n_channels: int = 2) -> Audio:
    """White noise at -26 dBFS, (n_channels, n_samples)."""
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.05, (n_channels, n_samples)).astype(np.float32)


def filtered(sound: Audio, seed: int, n_taps: int = 64) -> Audio:
    """What a short path makes of a sound (n,)."""
    taps = np.random.default_rng(seed).normal(0, 1, n_taps) * np.exp(-np.arange(n_taps) / 10)
    return np.convolve(sound, taps)[: len(sound)].astype(np.float32)


def delayed(sound: Audio, n_samples: int) -> Audio:
    """The sound (n,) later by so many samples; unchanged where they are negative."""
    return np.concatenate([np.zeros(max(n_samples, 0), np.float32), sound])[: len(sound)]


def reduction_db(before: Audio, after: Audio) -> float:
    return float(level_dbfs(before)[0] - level_dbfs(after)[0])


def by_least_squares(audio: Audio) -> NDArray[np.float64]:
    """Frame by frame and bin by bin in float64: the definition."""
    n_samples = audio.shape[1]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    last = -(-n_samples // HOP) * HOP - N_FFT // 2
    starts = range(-N_FFT // 2, last + 1, HOP)
    long = np.zeros((2, n_samples + 3 * N_FFT))
    long[:, N_FFT : N_FFT + n_samples] = audio
    frames = [long[:, N_FFT + start : 2 * N_FFT + start] for start in starts]
    near, far = np.fft.fft(np.stack(frames) * window, axis=-1).transpose(1, 0, 2)
    for i in range(N_FFT):
        filters = np.linalg.lstsq(far[:, i : i + 1], near[:, i], rcond=None)[0]
        near[:, i] -= far[:, i] * filters[0]
    total, weight = np.zeros(long.shape[1]), np.zeros(long.shape[1])
    for start, spectrum in zip(starts, near, strict=True):
        place = slice(N_FFT + start, 2 * N_FFT + start)
        total[place] += np.fft.ifft(spectrum).real * window
        weight[place] += window**2
    inside = slice(N_FFT, N_FFT + n_samples)
    return np.asarray(total[inside] / weight[inside])


@pytest.mark.parametrize("n_samples", [N_FFT, 2 * N_FFT + 1, 10_000])
def test_it_is_the_least_squares_residual_of_every_bin(n_samples: int) -> None:
    near, far = noise(n_samples, 1)
    audio = np.stack([near + filtered(far, 2), far])

    np.testing.assert_allclose(clean(audio)[0], by_least_squares(audio), atol=ROUNDING)


@given(n_samples=LENGTHS, seed=SEEDS, gains=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_any_length_and_level_gives_as_many_finite_samples_and_leaves_the_input_alone(
    n_samples: int, seed: int, gains: tuple[float, float]
) -> None:
    audio = 4 * noise(n_samples, seed) * np.array(gains, np.float32)[:, None]
    before = audio.copy()
    audio.flags.writeable = False

    heard = clean(audio)

    assert heard.shape == (1, n_samples)
    assert heard.dtype == np.float32
    assert np.isfinite(heard).all()
    np.testing.assert_array_equal(audio, before)


@given(n_samples=LENGTHS, seed=SEEDS)
def test_a_silent_far_gives_near_back(n_samples: int, seed: int) -> None:
    audio = noise(n_samples, seed)
    audio[1] = 0

    np.testing.assert_allclose(clean(audio)[0], audio[0], atol=ROUNDING)


@given(n_samples=LENGTHS, seed=SEEDS)
def test_a_dead_near_stays_silent(n_samples: int, seed: int) -> None:
    audio = noise(n_samples, seed)
    audio[0] = 0

    assert not clean(audio).any()


@given(seed=SEEDS, gain_db=st.floats(-60, 20))
def test_the_gain_of_far_does_not_matter(seed: int, gain_db: float) -> None:
    near, far = noise(2 * N_FFT, seed)
    both = near + far

    louder = clean(np.stack([both, np.float32(10 ** (gain_db / 20)) * far]))

    np.testing.assert_allclose(louder, clean(np.stack([both, far])), atol=ROUNDING)


@pytest.mark.parametrize("seconds", [1, 2, 10])
def test_an_unrelated_far_takes_what_chance_predicts(seconds: int) -> None:
    n_samples = seconds * RATE_HZ
    audio = noise(n_samples, 3)

    left = np.square(clean(audio)).mean() / np.square(audio[0]).mean()

    assert 1 - left == pytest.approx(CHANCE_HOPS * HOP / n_samples, rel=0.15)


@pytest.mark.parametrize("coherence", [0.3, 0.6, 0.9, 0.99])
def test_common_noise_through_two_paths_falls_by_its_coherence(coherence: float) -> None:
    common, own = noise(10 * RATE_HZ, 4)
    # What near hears alone takes the same path: equally coherent at every frequency.
    near = filtered(coherence * common + np.float32(np.sqrt(1 - coherence**2)) * own, 5)
    far = filtered(common, 6)

    fallen_db = reduction_db(near[None], clean(np.stack([near, far])))

    assert fallen_db == pytest.approx(-10 * np.log10(1 - coherence**2), abs=0.25)


@given(seed=SEEDS, lag=st.integers(-64, 64), coherence=st.floats(0.3, 0.99))
def test_the_same_noise_falls_by_its_coherence_whichever_microphone_it_reaches_first(
    seed: int, lag: int, coherence: float
) -> None:
    common, own = noise(4 * RATE_HZ, seed)
    # Positive lags reach near later: 64 samples are 1.4 m.
    near = coherence * delayed(common, lag) + np.float32(np.sqrt(1 - coherence**2)) * own
    far = delayed(common, -lag)

    fallen_db = reduction_db(near[None], clean(np.stack([near, far])))

    assert fallen_db == pytest.approx(-10 * np.log10(1 - coherence**2), abs=0.5)


@pytest.mark.parametrize("near_first", [False, True])
@pytest.mark.parametrize("delay", [0, 64, 256, 512, 1024])
def test_a_detour_costs_what_the_overlap_of_the_frames_loses(delay: int, near_first: bool) -> None:
    sound = noise(10 * RATE_HZ, 7, 1)[0]
    audio = np.stack([sound, delayed(sound, delay)][:: 1 if near_first else -1])
    window = np.hanning(N_FFT + 1)[:-1]
    overlap = window[delay:] @ window[: N_FFT - delay] / (window @ window)

    left = np.square(clean(audio)).mean() / np.square(audio[0]).mean()

    assert left == pytest.approx((1 - overlap**2) ** 2, rel=0.15, abs=2e-3)


def test_a_machine_beside_common_noise_stays() -> None:
    machine, common = noise(10 * RATE_HZ, 8)
    audio = np.stack([machine + filtered(common, 9), filtered(common, 10)])

    heard = clean(audio)

    assert reduction_db(machine[None], heard - machine) > 15


def test_a_machine_that_far_hears_too_is_taken_away_with_the_noise() -> None:
    machine = noise(10 * RATE_HZ, 11, 1)[0]

    heard = clean(np.stack([machine, filtered(machine, 12)]))

    assert reduction_db(machine[None], heard) > 15
