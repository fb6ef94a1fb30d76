"""Levels of bands: calibrated, complete, the same at every rate."""

from __future__ import annotations

import numpy as np
import pytest

from edge_asd.audio.level import SILENCE_DBFS, level_dbfs
from edge_asd.explain.spectrogram import N_BANDS, spectrograph

RATE_HZ = 16000


def noise(seconds: float, rms: float, *, rate_hz: int = RATE_HZ) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (rms * rng.standard_normal((2, round(seconds * rate_hz)))).astype(np.float32)


def tone(hz: float, seconds: float, *, rate_hz: int = RATE_HZ) -> np.ndarray:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.sin(2 * np.pi * hz * time_s, dtype=np.float64).astype(np.float32)[None]


def test_bands_add_up_to_the_level_of_the_sound() -> None:
    audio = noise(4.0, 0.1)

    power = 10 ** (spectrograph(RATE_HZ).levels(audio) / 10)

    total_db = 10 * np.log10(power.sum(axis=1).mean(axis=-1))
    assert total_db == pytest.approx(level_dbfs(audio), abs=0.2)


@pytest.mark.parametrize("hz", [90.0, 440.0, 3000.0, 7400.0])
def test_a_tone_has_its_level_in_the_band_of_its_frequency(hz: float) -> None:
    instrument = spectrograph(RATE_HZ)

    levels = instrument.levels(tone(hz, 2.0))[0].mean(axis=-1)

    band = int(levels.argmax())
    assert instrument.edges_hz[band] <= hz <= instrument.edges_hz[band + 1]
    # -3 dBFS is all of a full-scale sine; next to an edge its band gets at least half.
    assert -6.5 < levels[band] < -2.9


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000, 192000])
def test_bands_reach_nyquist_and_none_is_empty_at_any_rate(rate_hz: int) -> None:
    instrument = spectrograph(rate_hz)

    levels = instrument.levels(noise(0.5, 0.1, rate_hz=rate_hz))

    assert len(instrument.edges_hz) == N_BANDS + 1
    assert (np.diff(instrument.edges_hz) > 0).all()
    assert instrument.edges_hz[-1] == pytest.approx(rate_hz / 2)
    assert levels.min() > -90


def test_a_constant_offset_is_not_heard() -> None:
    levels = spectrograph(RATE_HZ).levels(np.full((2, RATE_HZ), 0.5, np.float32))

    assert levels.max() < -100


def test_silence_has_a_level() -> None:
    instrument = spectrograph(RATE_HZ)

    levels = instrument.levels(np.zeros((2, RATE_HZ), np.float32))

    assert levels == pytest.approx(SILENCE_DBFS)
    assert instrument.cells(levels) == pytest.approx(SILENCE_DBFS)


def test_less_than_a_frame_is_a_frame() -> None:
    instrument = spectrograph(RATE_HZ)

    levels = instrument.levels(noise(0.01, 0.1))

    assert levels.shape == (2, N_BANDS, 1)
    assert instrument.cells(levels).shape == (2, N_BANDS, 1)


def test_cells_average_power_so_that_steady_noise_spreads_less() -> None:
    instrument = spectrograph(RATE_HZ)
    levels = instrument.levels(noise(10.0, 0.1))

    cells = instrument.cells(levels)

    assert levels.shape[-1] // 4 == cells.shape[-1]
    assert cells.std(axis=-1).mean() < 0.7 * levels.std(axis=-1).mean()


def test_a_position_among_the_bands_grows_with_frequency() -> None:
    instrument = spectrograph(RATE_HZ)

    positions = [instrument.band_at(hz) for hz in (0, 50, 500, 5000, 8000, 20000)]

    assert positions == sorted(positions)
    assert positions[0] == 0 and positions[-1] == N_BANDS
