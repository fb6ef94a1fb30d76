"""The ring between the audio callback and the reader."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from device.stream import noise
from hypothesis import given
from hypothesis import strategies as st

from edge_asd.capture.ring import BlockRing


@given(
    writes=st.lists(st.integers(0, 8), max_size=30),
    n_blocks=st.integers(1, 6),
    frames=st.integers(1, 10),
)
def test_the_ring_loses_nothing_without_counting_it(
    writes: list[int], n_blocks: int, frames: int
) -> None:
    ring = BlockRing(n_blocks)
    stream = noise(frames * sum(writes))
    position = n_read = 0

    for n_writes in writes:
        for _ in range(n_writes):
            ring.write(stream[:, position : position + frames].T)
            position += frames
        while (arrival := ring.read(0)) is not None:
            block = arrival.block
            start = block.start_frame
            assert np.array_equal(block.audio, stream[:, start : start + frames])
            n_read += frames

    assert n_read + ring.dropped_frames == position
    assert ring.n_waiting == 0


def test_a_full_ring_keeps_the_old_blocks_and_marks_the_next_that_fits() -> None:
    ring = BlockRing(2)
    for value in range(5):
        ring.write(np.full((10, 2), value, np.float32))
    first, second = ring.read(0), ring.read(0)
    ring.write(np.full((10, 2), 9, np.float32))
    third = ring.read(0)

    assert first is not None and second is not None and third is not None
    arrivals = (first, second, third)
    assert [arrival.block.start_frame for arrival in arrivals] == [0, 10, 50]
    assert [arrival.gap and arrival.gap.lost_frames for arrival in arrivals] == [None, None, 30]
    assert ring.dropped_frames == 30


def test_a_slow_reader_gets_long_stretches_and_not_a_gap_after_every_block() -> None:
    ring = BlockRing(10)
    arrivals = []

    for _ in range(100):  # three blocks come for every one that is read
        for _ in range(3):
            ring.write(np.zeros((4, 2), np.float32))
        arrivals.append(ring.read(0))

    starts = np.array([each.block.start_frame for each in arrivals if each is not None])
    stretches = np.split(starts, np.flatnonzero(np.diff(starts) != 4) + 1)
    assert min(len(stretch) for stretch in stretches[:-1]) >= 10


@pytest.mark.parametrize("n_frames", [1, 4])
def test_a_block_is_not_overwritten_when_portaudio_uses_its_buffer_again(n_frames: int) -> None:
    ring = BlockRing(2)
    buffer = np.ones((n_frames, 2), np.float32)
    ring.write(buffer)
    first = ring.read(0)
    buffer[:] = 0
    ring.write(buffer)

    assert first is not None
    assert first.block.audio.all()
    assert first.block.audio.flags.c_contiguous


def test_a_ring_between_two_threads_delivers_every_frame_or_counts_it() -> None:
    ring = BlockRing(4)
    n_blocks = 2000

    def produce() -> None:
        for i in range(n_blocks):
            ring.write(np.full((16, 2), i, np.float32))

    producer = threading.Thread(target=produce)
    producer.start()
    found = []
    while producer.is_alive() or ring.n_waiting:
        arrival = ring.read(0.01)
        if arrival is not None:
            found.append(arrival.block)
    producer.join()

    assert all((block.audio == block.start_frame / 16).all() for block in found)
    assert 16 * len(found) + ring.dropped_frames == 16 * n_blocks
