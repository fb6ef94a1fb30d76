"""A card's clock is measured, and a card that runs away is found, by counting frames."""

from __future__ import annotations

import numpy as np
import pytest

from edge_asd.capture.arrival_rate import RateMeter, RunawayDetector

RATE_HZ = 48000


def test_the_drift_is_measured_through_the_jitter_of_arrivals() -> None:
    meter = RateMeter(RATE_HZ)
    rng = np.random.default_rng(0)

    for i in range(6000):
        late_s = rng.exponential(0.005)
        meter.add(i * 0.1 / (1 + 500e-6) + late_s, i * 4800)

    assert meter.drift_ppm == pytest.approx(500, abs=10)
    assert meter.uncertainty_ppm < 20


def test_bursts_are_no_drift() -> None:
    meter = RateMeter(RATE_HZ)

    for burst in range(300):  # PulseAudio: 2 s of audio every 2 s
        meter.add(2.0 * burst, burst * 2 * RATE_HZ)

    assert meter.drift_ppm == pytest.approx(0, abs=1)


@pytest.mark.parametrize("block_s", [0.005, 0.1, 2.0])
def test_real_time_with_jitter_is_no_flood(block_s: float) -> None:
    detector = RunawayDetector(0.0)
    rng = np.random.default_rng(1)
    at_s = np.arange(1, 2000) * block_s * (1 - 400e-6) + rng.uniform(0, 0.2, 1999)

    assert not any(detector.is_runaway(now_s, block_s) for now_s in np.maximum.accumulate(at_s))


def test_a_burst_after_a_pause_of_its_length_is_no_flood() -> None:
    detector = RunawayDetector(0.0)

    for burst in range(1, 200):
        found = [detector.is_runaway(2.0 * burst + i * 1e-4, 0.1) for i in range(20)]
        assert not any(found)


@pytest.mark.parametrize(("speed", "within_s"), [(8000.0, 0.001), (50.0, 0.05), (10.0, 0.2)])
def test_a_flood_is_found_within_a_fraction_of_a_second(speed: float, within_s: float) -> None:
    detector = RunawayDetector(0.0)
    for i in range(1, 100):
        assert not detector.is_runaway(i * 0.1, 0.1)

    n_blocks = round(within_s * speed / 0.1)
    found = [detector.is_runaway(9.9 + i * 0.1 / speed, 0.1) for i in range(1, n_blocks + 1)]

    assert any(found)
