"""What holds for a live source however a card behaves, and whenever it is stopped."""

from __future__ import annotations

import itertools

import numpy as np
from device.capture_listener import MISSING, RATE_HZ, SETTINGS, Listener
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.simulated_card import Opening, SimulatedCard
from edge_asd.audio.block import Block, Gap
from edge_asd.errors import AudioError, UsageError

BUSY = AudioError("sound device 'hw:1,0' is busy")
AMBIGUOUS = UsageError("2 sound devices are called 'hw:1'")
LONGEST_WAIT_S = 0.2
WARM_UP, AUDIO = 1.0, 0.25  # sample values

seconds = st.integers(0, 120).map(lambda tenths: tenths / 10)
openings = st.builds(
    Opening,
    dies_after_s=seconds,
    runs_away_after_s=st.just(np.inf) | seconds,
    stalls=st.lists(st.tuples(seconds, seconds.map(lambda s: 2 * s)), max_size=2).map(sorted),
    overflows_at_s=st.lists(seconds, max_size=3),
    speed=st.sampled_from([0.98, 1.0, 1.0005, 1.02]),
    rate_hz=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000]),
)
refusals = st.sampled_from([MISSING, BUSY])
later = st.lists(openings | refusals | st.just(AMBIGUOUS), min_size=2, max_size=8)
plans = st.builds(lambda first, later: [first, *later], openings | refusals, later)


class MarkedCard(SimulatedCard):
    """Delivers one value while it warms up, and another one afterwards."""

    def sound(self, at_s: float, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
        opened_s = self.attempts[-1][2]
        is_warming_up = at_s - opened_s < SETTINGS.warmup_s - self.block_s / 2
        value = WARM_UP if is_warming_up else AUDIO
        return np.full((2, round(self.block_s * rate_hz)), value, np.float32)


def read_until_stopped(listener: Listener, stop_at_s: float) -> list[Block | Gap]:
    """Everything that is handed on; each read is looked at."""
    listener.time.at(stop_at_s, listener.stop.set)
    items: list[Block | Gap] = []
    while True:
        begun_s = listener.time()
        item = listener.source.read()
        assert listener.time() - begun_s <= LONGEST_WAIT_S + 1e-9
        assert (item is None) == listener.stop.is_set()
        if item is None:
            return items
        items.append(item)


@settings(max_examples=100)
@given(plan=plans, block_s=st.sampled_from([0.07, 0.1]), stop_at_s=st.integers(1, 120))
def test_every_stream_is_contiguous_bounded_and_told_once(
    plan: list[Opening | Exception], block_s: float, stop_at_s: float
) -> None:
    attempts = itertools.chain(plan, itertools.repeat(MISSING))
    listener = Listener(attempts, card=MarkedCard, block_s=block_s)

    items = read_until_stopped(listener, stop_at_s)

    end_frame = 0
    follows_a_gap = False
    for item in items:
        if isinstance(item, Gap):
            assert not follows_a_gap, "one lost stretch was told twice"
            assert min(item.lost_frames, item.end_frame - end_frame) >= 0
            # Each stretch is resampled, and so rounded, by itself.
            assert abs(item.end_frame - end_frame - item.lost_frames) <= 1
            follows_a_gap = True
        elif item.n_frames:
            assert item.start_frame == end_frame
            assert np.abs(item.audio).max() < (WARM_UP + AUDIO) / 2
            follows_a_gap = False
        else:
            assert item.start_frame == end_frame
        end_frame = item.end_frame

    assert listener.source.read() is None
    listener.source.close()
    assert listener.source.read() is None
    assert all(microphone.closed for microphone in listener.card.microphones)
