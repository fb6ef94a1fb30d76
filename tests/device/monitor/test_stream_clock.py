"""Times of events follow the audio, stay in order, and come near the truth."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asd.monitor.stream_clock import FixedClock, LiveClock

START = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
BLOCK_S = 0.1
ROUNDING_S = 1e-4


class Computer:
    """Its clocks, and a sound card whose audio arrives some time after it was heard."""

    def __init__(self, *, latency_s: float = 0.05) -> None:
        self.steady_s = 5000.0
        self.set_by_s = 0.0
        self.latency_s = latency_s
        self.heard_s = 0.0
        self.steps: list[float] = []
        self.clock = LiveClock(self.utc, lambda: self.steady_s)

    def utc(self) -> datetime:
        return START + timedelta(seconds=self.steady_s - 5000.0 + self.set_by_s)

    def listen(self, seconds: float, *, delays_s: tuple[float, ...] = (0.0,)) -> None:
        """Hear so much; each block has one of the delays besides the latency."""
        begun_s, heard_s = self.steady_s, self.heard_s
        for i in range(round(seconds / BLOCK_S)):
            self.heard_s = heard_s + (i + 1) * BLOCK_S
            arrival_s = begun_s + (i + 1) * BLOCK_S + self.latency_s + delays_s[i % len(delays_s)]
            self.steady_s = max(arrival_s, self.steady_s)
            step_s = self.clock.observe(self.heard_s)
            self.steps += [] if step_s is None else [step_s]
        self.steady_s = begun_s + seconds

    def error_s(self) -> float:
        """How late the clock believes the newest audio to be."""
        truth = START + timedelta(seconds=self.heard_s + self.set_by_s)
        return (self.clock.utc(self.heard_s) - truth).total_seconds()


def test_a_recording_has_the_time_of_its_beginning_and_of_its_samples() -> None:
    clock = FixedClock(START)

    assert clock.observe(100.0) is None
    assert clock.utc(12.5) == START + timedelta(seconds=12.5)


def test_before_any_audio_the_clock_shows_the_present() -> None:
    assert Computer().clock.utc(0.0) == START


def test_the_stream_is_placed_by_the_audio_that_arrived_with_the_least_delay() -> None:
    computer = Computer()

    computer.listen(400, delays_s=(0.4, 0.3, 0.2, 0.1, 0.0))  # five blocks at once

    assert computer.error_s() == pytest.approx(computer.latency_s, abs=0.01)
    assert computer.steps == []


def test_a_first_block_that_comes_late_is_made_good_within_minutes() -> None:
    computer = Computer()
    computer.steady_s += 1.5  # as with PulseAudio
    computer.clock.observe(0.0)
    computer.steady_s -= 1.5

    computer.listen(600)

    assert computer.error_s() == pytest.approx(computer.latency_s, abs=0.01)


def test_a_sound_card_with_a_fast_clock_is_followed() -> None:
    steady_s = 0.0
    clock = LiveClock(lambda: START + timedelta(seconds=steady_s), lambda: steady_s)

    for second in range(1, 7200):
        steady_s = second / (1 + 500e-6)
        clock.observe(float(second))

    found = (clock.utc(7199.0) - START).total_seconds()
    assert found == pytest.approx(steady_s, abs=0.05)  # uncorrected, it would be off by 3.6 s


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["audio", "outage", "nothing", "small"]),
            st.floats(0.0, 3.0),  # delay of the audio, or how long nothing comes
            st.floats(-5.0, 1.0),  # where a question lies, from the newest audio
        ),
        min_size=5,
        max_size=200,
    )
)
def test_time_never_runs_backwards_without_a_step(
    events: list[tuple[str, float, float]],
) -> None:
    computer = Computer()
    stream_s, asked = 0.0, []
    for kind, delay_s, offset_s in events:
        match kind:
            case "audio":
                computer.steady_s += 0.5
                stream_s += 0.5
            case "outage":
                computer.steady_s += 30 * delay_s
                stream_s += 30 * delay_s
            case "nothing":
                computer.steady_s += 0.2
            case "small":  # the clock is corrected by less than a step
                computer.set_by_s += 0.1 * offset_s
        computer.steady_s += delay_s
        assert computer.clock.observe(stream_s) is None
        computer.steady_s -= delay_s
        position_s = max(stream_s + offset_s, 0.0)
        asked.append((position_s, computer.clock.utc(position_s)))

    asked.sort(key=lambda pair: pair[0])
    # Not before the first audio: until then the clock only guesses where the stream begins.
    times = [time for position_s, time in asked if position_s >= 0.5]
    assert all(earlier <= later for earlier, later in pairwise(times))


@given(step_s=st.floats(2.1, 1e8) | st.floats(-1e8, -2.1))
def test_a_step_of_the_system_clock_is_noticed_once_and_taken_over(step_s: float) -> None:
    computer = Computer(latency_s=0.0)
    computer.listen(60)
    before = computer.clock.utc(30.0)

    computer.set_by_s = step_s
    computer.listen(60)

    assert computer.steps == [pytest.approx(step_s, abs=ROUNDING_S)]
    assert computer.error_s() == pytest.approx(0.0, abs=ROUNDING_S)
    assert computer.clock.utc(30.0) == before  # what was said stays true


def test_a_clock_that_is_wrong_for_a_moment_only_is_not_followed() -> None:
    computer = Computer()
    computer.listen(60)

    computer.set_by_s = 3600.0
    computer.listen(1)
    computer.set_by_s = 0.0
    computer.listen(60)

    assert computer.steps == []
    assert computer.error_s() == pytest.approx(computer.latency_s, abs=0.01)


def test_a_small_correction_of_the_system_clock_is_followed_slowly() -> None:
    computer = Computer(latency_s=0.0)
    computer.listen(60)

    computer.set_by_s = 1.0
    computer.listen(10)
    soon_s = computer.error_s()
    computer.listen(600)

    assert computer.steps == []
    assert -1.0 < soon_s < -0.9
    assert computer.error_s() == pytest.approx(0.0, abs=0.01)


def test_a_card_that_is_silent_for_an_hour_does_not_look_like_a_step() -> None:
    computer = Computer()
    computer.listen(60, delays_s=(0.5,))

    for _ in range(36_000):
        computer.steady_s += 0.1
        computer.clock.observe(computer.heard_s)
    during = computer.clock.utc(computer.heard_s + 3600)
    computer.heard_s += 3600  # capture counts what was lost
    computer.listen(60)

    assert computer.steps == []
    assert abs((during - computer.utc()).total_seconds()) < 61
    assert abs(computer.error_s()) < 0.6


def test_what_was_said_of_the_near_future_stays_true() -> None:
    computer = Computer(latency_s=0.0)
    computer.steady_s += 1.5  # so that the clock is corrected for some minutes
    computer.clock.observe(0.0)
    computer.steady_s -= 1.5

    said = {}
    for _ in range(400):
        computer.listen(1)
        position_s = computer.heard_s + 1.7
        said[position_s] = computer.clock.utc(position_s)

    assert {position_s: computer.clock.utc(position_s) for position_s in said} == said


def test_a_correction_does_not_go_on_while_nothing_is_heard() -> None:
    computer = Computer(latency_s=0.0)
    computer.steady_s += 1.5
    computer.clock.observe(0.0)
    computer.steady_s -= 1.5
    computer.listen(30)  # the clock is being put back by now

    found = computer.clock.utc(computer.heard_s + 7200)

    truth = START + timedelta(seconds=computer.heard_s + 7200)
    assert abs((found - truth).total_seconds()) < 1.5


def test_the_clock_keeps_only_its_recent_past() -> None:
    computer = Computer()

    for second in range(5000):
        computer.steady_s += 1.0
        computer.clock.observe(float(second))

    assert len(computer.clock._knots) <= 900
