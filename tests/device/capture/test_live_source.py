"""What a live source hands on through missing, dying, stalling and flooding cards."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest
from device.capture_listener import MISSING, RATE_HZ, SETTINGS, Listener, audible, gaps

from benchmarks.simulated_card import Opening

HOUR_S = 3600


def test_a_healthy_card_is_one_stretch_without_its_warm_up() -> None:
    listener = Listener([Opening()])

    items = listener.until(10)

    blocks = audible(items)
    starts = [block.start_frame for block in blocks]
    assert starts == list(range(0, 1600 * len(starts), 1600))
    assert not gaps(items)
    assert np.array_equal(blocks[0].audio, listener.card.sound(SETTINGS.warmup_s))
    assert (listener.source.name, listener.source.source_rate_hz) == ("hw:1,0", RATE_HZ)
    assert (listener.state, listener.changes) == ("healthy", [])


@pytest.mark.parametrize("rate_hz", [44100, 48000, 96000])
def test_blocks_have_the_rate_that_was_asked_for(rate_hz: int) -> None:
    listener = Listener([Opening(rate_hz=rate_hz)])

    blocks = audible(listener.until(5))

    assert blocks[-1].end_frame == pytest.approx((5 - SETTINGS.warmup_s) * RATE_HZ, abs=3200)
    assert sum(block.n_frames for block in blocks) == blocks[-1].end_frame


def test_a_card_that_is_missing_at_the_start_is_waited_for() -> None:
    listener = Listener([MISSING, MISSING, MISSING, Opening()])

    (gap,) = gaps(listener.until(20))

    opened_s = listener.card.attempts[-1][2]
    assert opened_s == pytest.approx(1 + 2 + 4)
    assert gap.end_frame / RATE_HZ == pytest.approx(opened_s + SETTINGS.warmup_s, abs=0.01)
    assert gap.lost_frames == gap.end_frame
    assert listener.story == [("capture_missing", True), ("capture_missing", False)]
    assert listener.changes[1].figures["lost_s"] == pytest.approx(7.5, abs=0.01)
    assert listener.source.reopened == 0


def test_an_unplugged_card_is_reopened_by_its_lasting_name() -> None:
    listener = Listener([Opening(dies_after_s=10), MISSING, Opening(name="hw:2,0")])

    (gap,) = gaps(listener.until(40))

    names, refresh, _ = zip(*listener.card.attempts, strict=True)
    assert names == ("hw:1", "usb:0d8c:0014", "usb:0d8c:0014")
    assert refresh == (False, True, True)
    assert listener.source.name == "hw:2,0"
    assert listener.card.microphones[0].closed
    assert "the sound card stopped" in gap.reason
    stopped, missing, back = listener.changes
    assert {change.fault.name for change in listener.changes} == {"capture_lost"}
    assert "stopped" in stopped.detail
    assert "no sound device" in missing.detail
    assert not back.active
    assert (listener.state, listener.source.reopened) == ("healthy", 1)


def test_positions_count_every_outage_by_the_clock() -> None:
    rng = np.random.default_rng(0)
    plan: list[Opening | Exception] = []
    for _ in range(10):
        plan += [Opening(dies_after_s=float(rng.uniform(0.1, 40)), rate_hz=8000)]
        plan += [MISSING] * int(rng.integers(0, 4))
    listener = Listener([*plan, Opening()])

    everything = listener.until(HOUR_S)
    blocks = audible(everything)

    starts = np.array([block.start_frame for block in blocks])
    ends = np.array([block.end_frame for block in blocks])
    assert (starts[1:] >= ends[:-1]).all()
    missing_before = {
        block.start_frame: block.start_frame - before.end_frame
        for before, block in itertools.pairwise(blocks)
        if block.start_frame != before.end_frame
    }
    assert missing_before == {gap.end_frame: gap.lost_frames for gap in gaps(everything)}
    assert listener.source.reopened == 10
    # Only the very first warm-up is not part of the stream.
    lag_s = HOUR_S - SETTINGS.warmup_s - ends[-1] / RATE_HZ
    assert lag_s == pytest.approx(0, abs=0.3)
    told_s = sum(c.figures["lost_s"] for c in listener.changes if not c.active)  # type: ignore[misc]
    real_s = (starts[1:] - ends[:-1]).sum() / RATE_HZ
    assert told_s == pytest.approx(real_s, rel=0.01)


def test_a_card_that_stalls_goes_on_after_a_gap() -> None:
    listener = Listener([Opening(stalls=((10.0, 7.0),))])

    (gap,) = gaps(listener.until(30))

    assert gap.end_frame / RATE_HZ == pytest.approx(10 - 0.5 + 7, abs=0.3)
    assert listener.story == [("capture_stalled", True), ("capture_stalled", False)]
    assert listener.changes[1].figures["lost_s"] == pytest.approx(7, abs=0.3)
    assert (len(listener.card.attempts), listener.source.reopened) == (1, 0)


def test_a_card_that_stalls_for_ever_is_opened_again() -> None:
    listener = Listener([Opening(stalls=((10.0, 1e9),)), Opening()])

    listener.until(40)

    assert listener.card.microphones[0].closed
    assert {name for name, _ in listener.story} == {"capture_stalled"}
    assert listener.state == "healthy"
    lost_s = SETTINGS.stall_timeout_s + SETTINGS.retry_min_s + SETTINGS.warmup_s
    assert listener.changes[-1].figures["lost_s"] == pytest.approx(lost_s, abs=0.5)


def test_a_flood_is_never_handed_on() -> None:
    listener = Listener([Opening(runs_away_after_s=3), Opening()])

    items = listener.until(10)

    (gap,) = gaps(items)
    before = [block for block in audible(items) if block.start_frame < gap.end_frame]
    assert before[-1].end_frame == 3 * RATE_HZ - SETTINGS.warmup_s * RATE_HZ
    assert listener.story == [("capture_runaway", True), ("capture_runaway", False)]


def test_overflows_are_gaps_and_then_a_fault() -> None:
    listener = Listener([Opening(overflows_at_s=(5, 10, 15))])

    found = gaps(listener.until(20))

    assert [(gap.reason, gap.lost_frames) for gap in found] == [("an overflow", 0)] * 3
    assert listener.story == [("capture_overflow", True)]
    assert listener.state == "degraded"


def test_a_card_with_a_wrong_clock_is_told_and_still_heard() -> None:
    listener = Listener([Opening(speed=1.01)])

    assert not gaps(listener.until(30))
    assert listener.story == [("capture_wrong_rate", True)]
    assert listener.source.drift_ppm == pytest.approx(10_000, abs=100)
    assert listener.state == "degraded"


def test_each_opening_says_what_was_chosen_and_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    listener = Listener([Opening(dies_after_s=5), Opening(name="hw:2,0")])

    listener.until(20)

    said = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    assert len(said) == 2
    assert "at 16000 Hz to 'hw:1,0', because it is the only one" in said[0]
    assert "'hw:2,0'" in said[1]
    assert all("'usb:0d8c:0014'" in line for line in said)
