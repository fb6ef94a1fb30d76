"""Mel scales and filter banks."""

from __future__ import annotations

import numpy as np
import pytest

from edge_asd.scoring.mel import MEL_SCALES, band_edges_hz, mel_filter_bank

ROUNDING = 1e-12  # relative, of float64 logarithms


@pytest.mark.parametrize(
    ("scale", "hz", "mel"),
    [
        ("htk", 1000.0, 999.9855),
        ("slaney", 500.0, 7.5),
        ("slaney", 6400.0, 42.0),  # 27 steps above 1 kHz
    ],
)
def test_scales_have_their_published_values(scale: str, hz: float, mel: float) -> None:
    assert MEL_SCALES[scale].to_mel(hz) == pytest.approx(mel, abs=1e-4)


@pytest.mark.parametrize("scale", MEL_SCALES)
def test_scales_lead_back(scale: str) -> None:
    hz = np.linspace(0, 20_000, 101)

    there = MEL_SCALES[scale].to_mel(hz)

    np.testing.assert_allclose(MEL_SCALES[scale].to_hz(there), hz, rtol=ROUNDING, atol=ROUNDING)


def test_bands_are_equally_wide_in_mel() -> None:
    edges = band_edges_hz(11, 30.0, 8000.0, scale="htk")

    widths = np.diff(MEL_SCALES["htk"].to_mel(edges))
    np.testing.assert_allclose(widths, widths[0])
    assert (edges[0], edges[-1]) == pytest.approx((30.0, 8000.0))


def test_filters_of_unit_sum_are_never_empty() -> None:
    weights = mel_filter_bank(128, 1024, 16_000, 200.0, 8_000.0, scale="htk", normalise="sum")

    assert weights.shape == (128, 513)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-6)
    assert (weights >= 0).all()


def test_filters_of_unit_peak_reach_it_where_a_bin_is_at_their_centre() -> None:
    # Below 1 kHz the scale is linear: 200/3 Hz to a mel, and so are these bins.
    weights = mel_filter_bank(9, 480, 16_000, 0.0, 2000 / 3, scale="slaney", normalise="peak")

    np.testing.assert_allclose(weights.max(axis=1), 1.0, rtol=1e-6)
    assert weights.argmax(axis=1).tolist() == list(range(2, 20, 2))
