"""Whether a card can be trusted: every transition, with a clock that the test moves."""

from __future__ import annotations

import pytest

from edge_asd.capture.arrival_rate import ArrivalCounts
from edge_asd.capture.health import CaptureHealth
from edge_asd.events.fault import FaultChange
from edge_asd.profile import CaptureSettings, load_profile

RATE_HZ = 48000
BLOCK_S = 0.1
SETTINGS = load_profile().capture


class Bench:
    """A capture's health, a clock, and a card that delivers when told."""

    def __init__(self, settings: CaptureSettings = SETTINGS) -> None:
        self.now_s = 100.0
        self.changes: list[FaultChange] = []
        self.health = CaptureHealth(settings, self.changes.append, now_s=self.now_s)
        self.counts = ArrivalCounts(self.now_s)
        self.failed = False  # what was observed last: the stream has to be closed

    def open(self) -> Bench:
        self.health.opened(RATE_HZ)
        self.counts = ArrivalCounts(self.now_s)
        return self

    def play(self, seconds: float, *, speed: float = 1.0, lost_s: float | None = None) -> Bench:
        """Deliver audio; `lost_s` is missing before its first block."""
        for i in range(round(seconds * speed / BLOCK_S)):
            self.now_s += BLOCK_S / speed
            gap = lost_s if i == 0 else None
            n_frames = self.counts.n_frames + round(BLOCK_S * RATE_HZ)
            self.counts = ArrivalCounts(
                self.now_s, n_frames, self.counts.n_gaps + (gap is not None)
            )
            self.failed = self.health.observe(self.now_s, self.counts, active=True)
            self.health.delivered(self.now_s, gap, "a reason")
        return self

    def wait(self, seconds: float) -> Bench:
        """Let time pass without audio."""
        for _ in range(round(seconds / 0.2)):
            self.now_s += 0.2
            self.failed = self.health.observe(self.now_s, self.counts, active=True)
        return self

    def die(self) -> Bench:
        self.failed = self.health.observe(self.now_s, self.counts, active=False)
        self.health.closed(self.now_s)
        return self

    @property
    def state(self) -> str:
        return self.health.state

    @property
    def pause_s(self) -> float:
        return self.health.retry_at_s - self.now_s

    @property
    def story(self) -> list[tuple[str, bool]]:
        return [(change.fault.name, change.active) for change in self.changes]


def test_a_card_is_starting_until_its_first_audio_and_then_healthy() -> None:
    bench = Bench().open()
    assert bench.state == "starting"

    bench.play(0.1)

    assert (bench.state, bench.changes) == ("healthy", [])


def test_a_missing_card_is_lost_recovering_healthy_and_one_fault() -> None:
    bench = Bench()
    bench.health.not_opened(bench.now_s, "no sound device 'hw:1'", missing=True)
    assert bench.state == "lost"
    bench.now_s += 1
    bench.open()
    assert bench.state == "recovering"
    bench.play(0.5, lost_s=1.5)
    assert bench.state == "recovering"

    bench.play(1)

    assert bench.state == "healthy"
    assert bench.story == [("capture_missing", True), ("capture_missing", False)]
    assert bench.changes[0].detail == "no sound device 'hw:1'"
    assert "1.5 s of it were lost" in bench.changes[1].detail
    assert bench.changes[1].figures["lost_s"] == 1.5


def test_a_card_that_is_busy_is_a_fault_that_names_the_reason() -> None:
    bench = Bench()

    bench.health.not_opened(bench.now_s, "'hw:1,0' is busy", missing=False)

    assert [(c.fault.name, c.detail) for c in bench.changes] == [
        ("capture_lost", "'hw:1,0' is busy")
    ]


def test_a_stall_is_a_fault_after_five_seconds_and_ends_with_the_audio() -> None:
    bench = Bench().open().play(2).wait(4.8)
    assert (bench.state, bench.changes) == ("healthy", [])

    bench.wait(1)
    assert (bench.state, bench.failed) == ("lost", False)
    bench.play(1, lost_s=5.8)
    assert bench.state == "recovering"
    bench.play(1)

    assert bench.state == "healthy"
    assert bench.story == [("capture_stalled", True), ("capture_stalled", False)]
    assert bench.changes[1].figures["lost_s"] == 5.8


def test_a_stream_that_stalls_for_too_long_must_be_closed() -> None:
    bench = Bench().open().play(2).wait(14.8)
    assert not bench.failed

    bench.wait(0.4)

    assert bench.failed
    assert bench.story == [("capture_stalled", True)] * 2  # the second only says "15 s"
    assert "15 s" in bench.changes[1].detail


def test_a_card_that_never_delivers_after_it_was_opened_is_closed() -> None:
    bench = Bench().open().wait(15.2)

    assert bench.failed
    assert bench.state == "lost"


def test_a_short_stall_timeout_is_also_when_the_fault_begins() -> None:
    bench = Bench(SETTINGS.model_copy(update={"stall_timeout_s": 1.0})).open().play(1).wait(1.4)

    assert bench.failed
    assert bench.story == [("capture_stalled", True)]


def test_a_stream_that_portaudio_ended_is_lost_at_once() -> None:
    bench = Bench().open().play(2)

    bench.failed = bench.health.observe(bench.now_s, bench.counts, active=False)

    assert bench.failed
    assert (bench.state, bench.story) == ("lost", [("capture_lost", True)])


def test_a_flood_is_a_runaway_at_once() -> None:
    bench = Bench().open().play(2)

    bench.failed = bench.health.observe(
        bench.now_s, ArrivalCounts(bench.now_s, is_runaway=True), active=True
    )

    assert bench.failed
    assert (bench.state, bench.story) == ("lost", [("capture_runaway", True)])


def test_a_hung_driver_stays_hung() -> None:
    bench = Bench().open().play(2).wait(16)

    bench.health.hung(bench.now_s, "its driver did not return")

    assert bench.state == "hung"
    stalled, hung = bench.changes[-2:]
    assert (stalled.fault.name, stalled.detail) == ("capture_stalled", "its driver did not return")
    assert (hung.fault.name, hung.active) == ("capture_hung", True)


def test_the_pause_doubles_up_to_its_limit_and_never_ends() -> None:
    bench = Bench()
    pauses = []

    for _ in range(2000):
        bench.health.not_opened(bench.now_s, "missing", missing=True)
        pauses.append(bench.pause_s)
        bench.now_s = bench.health.retry_at_s

    assert pauses[:8] == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])
    assert pauses[-1] == pytest.approx(60)
    assert bench.story == [("capture_missing", True)]


def test_a_card_that_works_for_five_seconds_each_time_is_one_failing_card() -> None:
    bench = Bench()
    pauses = []

    for _ in range(12):
        bench.open().play(5).die()
        pauses.append(bench.pause_s)
        bench.now_s = bench.health.retry_at_s

    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32] + [60] * 6)
    assert len(bench.changes) <= 7  # three outages are over before the pauses exceed 5 s
    assert bench.state == "lost"


def test_after_a_healthy_time_the_pauses_begin_with_the_first_again() -> None:
    bench = Bench()
    for _ in range(5):
        bench.open().play(5).die()
    bench.open().play(SETTINGS.healthy_after_s + 1).die()

    assert bench.pause_s == pytest.approx(1)


def test_without_a_healthy_time_they_do_not() -> None:
    bench = Bench()
    for _ in range(5):
        bench.open().play(5).die()
    bench.open().play(SETTINGS.healthy_after_s - 10).die()

    assert bench.pause_s == pytest.approx(32)


def test_a_card_that_was_plugged_in_is_tried_soon() -> None:
    bench = Bench()
    for _ in range(9):
        bench.health.not_opened(bench.now_s, "missing", missing=True)

    bench.health.card_added(bench.now_s)

    assert bench.pause_s == pytest.approx(1)


def test_audio_that_had_waited_does_not_end_an_outage() -> None:
    bench = Bench().open().play(2)
    waiting_since_s = bench.now_s - 1
    bench.wait(6)

    bench.health.delivered(waiting_since_s)

    assert bench.state == "lost"


def test_losses_again_and_again_are_a_fault_until_a_minute_without() -> None:
    bench = Bench().open().play(1)
    for _ in range(2):
        bench.play(5, lost_s=0.5)
    assert (bench.state, bench.changes) == ("healthy", [])

    bench.play(5, lost_s=0.5)
    assert bench.state == "degraded"
    bench.play(50)
    assert bench.state == "degraded"
    bench.play(10)

    assert bench.state == "healthy"
    assert bench.story == [("capture_overflow", True), ("capture_overflow", False)]
    assert "a reason" in bench.changes[0].detail
    assert bench.changes[1].figures == {"lost_s": 1.5, "losses": 3}


def test_a_loss_now_and_then_is_no_fault() -> None:
    bench = Bench().open()

    for _ in range(10):
        bench.play(40, lost_s=0.5)

    assert (bench.state, bench.changes) == ("healthy", [])


@pytest.mark.parametrize("speed", [0.92, 1.1, 2.0])  # 44.1 kHz for 48, 10 % fast, twice
def test_a_wrong_rate_is_a_fault_within_ten_seconds(speed: float) -> None:
    bench = Bench().open().play(10, speed=speed)

    assert bench.state == "degraded"
    assert bench.story == [("capture_wrong_rate", True)]
    assert bench.changes[0].figures["drift_ppm"] == pytest.approx((speed - 1) * 1e6, rel=0.01)
    assert "instead of 48000" in bench.changes[0].detail


def test_a_wrong_rate_ends_when_the_card_was_reopened_at_the_right_one() -> None:
    bench = Bench().open().play(10, speed=1.1).die().open().play(20)

    assert bench.story[-1] == ("capture_wrong_rate", False)
    assert bench.state == "healthy"


@pytest.mark.parametrize("ppm", [-700, 700])
def test_a_drifting_clock_is_told_in_ppm(ppm: float) -> None:
    bench = Bench().open().play(60, speed=1 + ppm * 1e-6)

    assert bench.health.rate.drift_ppm == pytest.approx(ppm, abs=20)
    assert bench.story == [("capture_wrong_rate", True)]


@pytest.mark.parametrize("ppm", [-200, 0, 200])
def test_an_ordinary_crystal_is_no_fault(ppm: float) -> None:
    bench = Bench().open().play(60, speed=1 + ppm * 1e-6)

    assert bench.health.rate.drift_ppm == pytest.approx(ppm, abs=20)
    assert (bench.state, bench.changes) == ("healthy", [])


def test_a_loss_does_not_pass_for_drift() -> None:
    bench = Bench().open()

    for _ in range(8):
        bench.play(20)
        bench.now_s += 1  # audio of a second is lost
        bench.play(0.1, lost_s=1.0)

    assert ("capture_wrong_rate", True) not in bench.story
