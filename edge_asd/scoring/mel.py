"""Mel scales, and the filter banks that front-ends are trained with and devices explain by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["MEL_SCALES", "MelScale", "band_edges_hz", "mel_filter_bank"]

_Floats = NDArray[np.float64]

# Slaney's Auditory Toolbox: linear up to 1 kHz, then 27 steps to each factor of 6.4.
_LINEAR_HZ_PER_MEL = 200 / 3
_BREAK_HZ = 1_000.0
_BREAK_MEL = _BREAK_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


@dataclass(frozen=True, slots=True)
class MelScale:
    """A scale on which equal steps sound equally far apart."""

    to_mel: Callable[[ArrayLike], _Floats]  # of frequencies in Hz
    to_hz: Callable[[_Floats], _Floats]


def _hz_to_slaney(hz: ArrayLike) -> _Floats:
    hz = np.asarray(hz, dtype=np.float64)
    above = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz < _BREAK_HZ, hz / _LINEAR_HZ_PER_MEL, above)


def _slaney_to_hz(mel: _Floats) -> _Floats:
    above = _BREAK_HZ * np.exp(_LOG_STEP * (mel - _BREAK_MEL))
    return np.where(mel < _BREAK_MEL, _LINEAR_HZ_PER_MEL * mel, above)


MEL_SCALES: Mapping[str, MelScale] = {
    # O'Shaughnessy, Speech Communication (1987), p. 150; but for a factor, also Kaldi's
    "htk": MelScale(
        lambda hz: 2595.0 * np.log10(1.0 + np.asarray(hz, dtype=np.float64) / 700.0),
        lambda mel: 700.0 * (10.0 ** (mel / 2595.0) - 1.0),
    ),
    "slaney": MelScale(_hz_to_slaney, _slaney_to_hz),
}


def band_edges_hz(n_edges: int, f_min_hz: float, f_max_hz: float, *, scale: str) -> _Floats:
    """Frequencies (n_edges,) at equal distances on a mel scale."""
    mel = MEL_SCALES[scale]
    return mel.to_hz(np.linspace(mel.to_mel(f_min_hz), mel.to_mel(f_max_hz), n_edges))


def mel_filter_bank(
    n_mels: int,
    n_fft: int,
    sample_rate_hz: int,
    f_min_hz: float,
    f_max_hz: float,
    *,
    scale: str,
    normalise: Literal["peak", "area", "sum"],
    linear_in_mel: bool = False,
) -> NDArray[np.float32]:
    """Triangular filters (n_mels, n_fft // 2 + 1) over the bins of a spectrum.

    Each rises from the centre of the filter below and falls to the centre of the one above.

    Parameters
    ----------
    f_min_hz, f_max_hz : outer edges of the first and of the last filter
    scale : of ``MEL_SCALES``, on which the centres are equally far apart
    normalise : ``peak``: a filter's peak is 1; ``area``: its area over Hz is 1; ``sum``: its
        weights add up to 1, and one that is narrower than a bin takes the nearest
    linear_in_mel : whether a filter rises and falls linearly over mel instead of Hz
    """
    edges = band_edges_hz(n_mels + 2, f_min_hz, f_max_hz, scale=scale)
    bins = np.linspace(0, sample_rate_hz / 2, n_fft // 2 + 1)
    if linear_in_mel:
        edges, bins = MEL_SCALES[scale].to_mel(edges), MEL_SCALES[scale].to_mel(bins)
    lower, centre, upper = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    weights = np.minimum((bins - lower) / (centre - lower), (upper - bins) / (upper - centre))
    weights = np.maximum(weights, 0.0)
    if normalise == "area":
        weights *= 2 / (upper - lower)
    elif normalise == "sum":
        empty = ~weights.any(axis=1)
        weights[empty, np.abs(bins - centre).argmin(axis=1)[empty]] = 1.0
        weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32)
