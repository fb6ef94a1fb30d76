"""The rest of the hall, different before and after the domain shift."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge_asd.bundle.manifest import Domain
from edge_asd.recordings.clip_name import SAMPLE_RATE_HZ
from edge_asd_export.synth.signals import Signal, drift, harmonics, noise, ring, rms, turning

__all__ = ["background"]

_IMPACTS_PER_S = 0.8
_CLANG = ((420.0, 30.0, 0.6), (1180.0, 18.0, 1.0), (2750.0, 9.0, 0.8))


def background(domain: Domain, n_samples: int, rng: np.random.Generator) -> Signal:
    """Noise of the hall, (n_samples,) of unit RMS: ventilation (source) or compressor (target).

    Both contain the odd impact of dropped tools and doors, as halls do.
    """
    steady = _STEADY[domain](n_samples, rng)
    total = steady / rms(steady) + _impacts(n_samples, rng)
    return total / rms(total)


def _ventilation(n_samples: int, rng: np.random.Generator) -> Signal:
    slope = rng.uniform(-5.0, -3.0)
    air = noise(n_samples, 60, 5000, rng, slope_db_per_octave=slope)
    mains = turning(np.full(n_samples, 50.0), rng)
    return air + rng.uniform(0.1, 0.3) * harmonics(mains, (0.5, 1.0, 0.3, 0.4), rng)


def _compressor(n_samples: int, rng: np.random.Generator) -> Signal:
    slope = rng.uniform(-4.0, -2.0)
    speed_hz = rng.uniform(11.5, 12.5) * (1 + 0.003 * drift(n_samples, 0.5, rng))
    piston = turning(speed_hz, rng)
    puffs = noise(n_samples, 90, 3000, rng, slope_db_per_octave=slope)
    tones = harmonics(piston, [0.3 * k**-0.5 for k in range(1, 13)], rng)
    return puffs * (1 + 0.6 * np.cos(piston)) + rng.uniform(0.6, 1.0) * tones


def _impacts(n_samples: int, rng: np.random.Generator) -> Signal:
    n_impacts = rng.poisson(_IMPACTS_PER_S * n_samples / SAMPLE_RATE_HZ)
    strikes = np.zeros(n_samples)
    strikes[rng.integers(0, n_samples, n_impacts)] = rng.lognormal(1.4, 0.5, n_impacts)
    return ring(strikes, _CLANG)


_STEADY: dict[Domain, Callable[[int, np.random.Generator], Signal]] = {
    "source": _ventilation,
    "target": _compressor,
}
