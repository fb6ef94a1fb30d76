"""The reference describes both channels, survives JSON, and knows their order."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from device.stream import noise
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge_asd.errors import DataError
from edge_asd.signal.reference import SignalReference, band_levels_db

RATE_HZ = 16000
GAIN_TOLERANCE = 1e-9
LEVELS_DBFS = np.array([-30.0, -30.0])


def tone(frequency_hz: float, *, rms: float = 0.1, seconds: float = 2.0) -> np.ndarray:
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return np.asarray(rms * np.sqrt(2) * np.sin(2 * np.pi * frequency_hz * time_s), np.float32)


def reference(near: np.ndarray, far: np.ndarray) -> SignalReference:
    return SignalReference.measure([np.stack([near, far])], RATE_HZ)


def test_levels_are_those_of_the_sound_without_its_offset() -> None:
    found = reference(tone(440, rms=0.1) + np.float32(0.2), tone(1000, rms=0.01))

    assert found.levels == pytest.approx([-20.0, -40.0], abs=0.01)


@pytest.mark.parametrize("frequency_hz", [100, 200, 400, 1600, 6400])
def test_a_tone_is_loudest_in_the_band_around_it(frequency_hz: float) -> None:
    bands = band_levels_db(np.stack([tone(frequency_hz), tone(100)]), RATE_HZ)

    assert bands.shape == (2, 19)
    assert bands[0].argmax() == round(3 * np.log2(frequency_hz / 100))
    assert bands[1].argmax() == 0


def test_white_noise_is_equally_loud_in_all_bands() -> None:
    bands = band_levels_db(noise(20 * RATE_HZ), RATE_HZ)

    # Uniform within [-1, 1]: a power of 1/3 per sample, so a density of -4.8 dB.
    assert bands == pytest.approx(10 * np.log10(1 / 3), abs=0.6)


def test_the_mean_is_taken_over_seconds_of_all_windows() -> None:
    quiet, loud = noise(RATE_HZ) * np.float32(0.01), noise(RATE_HZ) * np.float32(0.1)

    found = SignalReference.measure([quiet, np.tile(loud, 3)], RATE_HZ)

    expected = 10 * np.log10(1 / 3) - 20 - 20 / 4
    assert found.level_dbfs.near == pytest.approx(expected, abs=0.1)


def test_windows_shorter_than_a_second_are_enough() -> None:
    found = SignalReference.measure([noise(RATE_HZ // 2), noise(RATE_HZ // 2, seed=1)], RATE_HZ)

    assert found.level_dbfs.far == pytest.approx(-4.8, abs=0.1)


def test_a_reference_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="found none"):
        SignalReference.measure([], RATE_HZ)


def test_contrast_is_one_as_enrolled_and_minus_one_exchanged() -> None:
    found = reference(noise(RATE_HZ * 2)[0], tone(1000) + noise(RATE_HZ * 2)[1] * np.float32(0.01))

    assert found.contrast(found.bands) == pytest.approx(1)
    assert found.contrast(found.bands[::-1]) == pytest.approx(-1)


@given(near_db=st.floats(-40, 40), far_db=st.floats(-40, 40), seed=st.integers(0, 50))
def test_gains_do_not_change_the_contrast(near_db: float, far_db: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    enrolled = SignalReference.of(LEVELS_DBFS, rng.normal(-50, 6, (2, 19)))
    bands = rng.normal(-50, 6, (2, 19))

    louder = enrolled.contrast(bands + np.array([[near_db], [far_db]]))

    assert louder == pytest.approx(enrolled.contrast(bands), abs=GAIN_TOLERANCE)
    assert enrolled.contrast(bands[::-1]) == pytest.approx(-louder, abs=GAIN_TOLERANCE)


@given(seed=st.integers(0, 1000))
def test_channels_that_sound_alike_have_hardly_any_contrast(seed: int) -> None:
    rng = np.random.default_rng(seed)
    common = rng.normal(-50, 6, 19)
    alike = SignalReference.of(LEVELS_DBFS, common + rng.normal(0, 0.2, (2, 19)))

    contrast = alike.contrast(common + rng.normal(0, 1.0, (2, 19)))

    assert abs(contrast) < 0.5  # where "exchanged" begins


def test_a_reference_survives_json() -> None:
    found = reference(noise(RATE_HZ)[0], noise(RATE_HZ)[1] * np.float32(0.1))

    assert SignalReference.model_validate_json(found.model_dump_json()) == found


def test_the_mean_of_references_is_that_of_their_levels_and_bands() -> None:
    one = SignalReference.of(LEVELS_DBFS, np.full((2, 3), -50.0))
    other = SignalReference.of(LEVELS_DBFS - 10, np.full((2, 3), -60.0))

    mean = SignalReference.mean([one, other])

    assert mean.levels == pytest.approx(LEVELS_DBFS - 5)
    assert mean.bands == pytest.approx(-55)


GOOD: dict[str, Any] = {
    "level_dbfs": {"near": -30.0, "far": -40.0},
    "bands_db": {"near": [-50.0, -51.0], "far": [-52.0, -53.0]},
}


@pytest.mark.parametrize(
    "change",
    [
        {"level_dbfs": {"near": -30.0}},
        {"level_dbfs": None},
        {"level_dbfs": {"near": "loud", "far": -40.0}},
        {"level_dbfs": {"near": float("nan"), "far": -40.0}},
        {"bands_db": {"near": [-50.0], "far": [-52.0, -53.0]}},
        {"bands_db": {"near": [], "far": []}},
        {"bands_db": {"near": [-50.0, float("inf")], "far": [-52.0, -53.0]}},
        {"bands_db": 7},
    ],
)
def test_a_damaged_reference_is_refused(change: dict[str, Any]) -> None:
    assert SignalReference.model_validate_json(json.dumps(GOOD)).level_dbfs.near == -30.0

    with pytest.raises(ValidationError, match="SignalReference"):
        SignalReference.model_validate_json(json.dumps(GOOD | change))
