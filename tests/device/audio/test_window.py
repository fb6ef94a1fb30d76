"""Windows are exact slices of the stream, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from device.stream import cut, noise
from hypothesis import given
from hypothesis import strategies as st

from edge_asd.audio.block import Block, Gap
from edge_asd.audio.window import Windower, n_windows
from edge_asd.errors import UsageError

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=5)


@given(
    n_samples=st.integers(0, 300),
    window=st.integers(1, 60),
    hop=st.integers(1, 90),
    lengths=LENGTHS,
)
def test_windows_are_slices_of_the_stream_for_any_blocks_and_hop(
    n_samples: int, window: int, hop: int, lengths: list[int]
) -> None:
    audio = noise(n_samples)
    windower = Windower(window, hop)

    windows = [w for block in cut(audio, lengths) for w in windower.push(block)]

    assert len(windows) == n_windows(n_samples, window, hop)
    for i, found in enumerate(windows):
        assert found.start_sample == i * hop
        assert np.array_equal(found.audio, audio[:, i * hop : i * hop + window])


@pytest.mark.parametrize(
    ("n_samples", "expected"), [(0, 0), (9, 0), (10, 1), (14, 1), (15, 2), (20, 3)]
)
def test_the_last_full_window_counts(n_samples: int, expected: int) -> None:
    assert n_windows(n_samples, window_samples=10, hop_samples=5) == expected


def test_a_window_stays_as_it_is_when_the_stream_goes_on() -> None:
    windower = Windower(4, 2)
    (first,) = windower.push(Block(0, np.ones((2, 4), np.float32)))

    windower.push(Block(4, np.zeros((2, 4), np.float32)))

    assert np.array_equal(first.audio, np.ones((2, 4)))


@given(before=st.integers(0, 50), hop=st.integers(1, 30))
def test_after_a_gap_no_window_holds_what_came_before(before: int, hop: int) -> None:
    windower = Windower(10, hop)
    windower.push(Block(0, np.full((2, before), -1, np.float32)))

    windower.push(Gap(1000, 1000 - before, "lost"))
    windows = windower.push(Block(1000, np.ones((2, 25), np.float32)))

    assert [w.start_sample for w in windows] == [
        1000 + i * hop for i in range(n_windows(25, 10, hop))
    ]
    assert all((w.audio == 1).all() for w in windows)


@pytest.mark.parametrize(("window", "hop"), [(0, 1), (1, 0), (-1, 1)])
def test_impossible_sizes_are_refused(window: int, hop: int) -> None:
    with pytest.raises(UsageError, match="at least one sample"):
        Windower(window, hop)
