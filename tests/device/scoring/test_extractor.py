"""Fixed input lengths, segments, and the one feature that is not a graph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asd.bundle.manifest import SegmentSpec
from edge_asd.scoring.extractor import cut_segments, fit_length, magnitude_spectrum


@pytest.mark.parametrize(
    ("n_samples", "expected"),
    [(3, [0, 1, 2]), (5, [0, 1, 2, 3, 4]), (12, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1])],
)
def test_windows_are_cut_or_tiled_from_their_start(n_samples: int, expected: list[int]) -> None:
    audio = np.arange(5, dtype=np.float32)[None]

    np.testing.assert_array_equal(fit_length(audio, n_samples)[0], expected)


def test_spectrum_of_a_tone_has_one_line_of_half_the_samples() -> None:
    n_samples = 1000
    tone = np.cos(2 * np.pi * 50 * np.arange(n_samples) / n_samples).astype(np.float32)

    spectrum = magnitude_spectrum(tone[None])[0]

    assert spectrum.dtype == np.float32
    assert spectrum.shape == (n_samples // 2,)
    assert spectrum.argmax() == 50
    assert spectrum[50] == pytest.approx(n_samples / 2, rel=1e-4)
    assert np.delete(spectrum, 50).max() < 1e-2


@pytest.mark.parametrize(("n_samples", "n_bins"), [(1000, 500), (1001, 500)])
def test_spectrum_ends_below_nyquist(n_samples: int, n_bins: int) -> None:
    assert magnitude_spectrum(np.ones((2, n_samples), np.float32)).shape == (2, n_bins)


def test_segments_overlap_by_their_hop_and_leave_the_remainder_out() -> None:
    frames = np.arange(9, dtype=np.float32)[None]

    cut = cut_segments(frames, SegmentSpec(n_frames=4, hop_frames=2))

    np.testing.assert_array_equal(cut, [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]])


@given(
    inner=st.sampled_from([(), (3,), (1, 2)]),
    batch=st.integers(1, 3),
    n_frames=st.integers(1, 12),
    hop=st.integers(1, 15),
    in_rows=st.booleans(),
    data=st.data(),
)
def test_segments_are_those_of_a_plain_loop_window_by_window(
    inner: tuple[int, ...], batch: int, n_frames: int, hop: int, in_rows: bool, data: st.DataObject
) -> None:
    length = data.draw(st.integers(1, n_frames))
    shape = (batch, *inner, n_frames)
    feature = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    feature = feature if in_rows else np.asfortranarray(feature)

    cut = cut_segments(feature, SegmentSpec(n_frames=length, hop_frames=hop))

    expected = [
        window[..., start : start + length]
        for window in feature
        for start in range(0, n_frames - length + 1, hop)
    ]
    np.testing.assert_array_equal(cut, np.stack(expected))
