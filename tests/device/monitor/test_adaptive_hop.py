"""The hop is as wide as the hardware needs, and no wider."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from device.made_events import NOW
from hypothesis import given
from hypothesis import strategies as st

from edge_asd.events.event import Event
from edge_asd.events.moment import Moment
from edge_asd.monitor.adaptive_hop import AdaptiveHop, HopWatcher

HOPS = st.floats(0.1, 10)
WIDER = st.floats(1, 20)


class Hardware:
    """Scores windows one after another, and sees how much audio waits."""

    def __init__(self, hop: AdaptiveHop) -> None:
        self.hop = hop
        self.backlog_s = self.elapsed_s = self.longest_s = 0.0
        self.changes: list[str] = []

    def score(self, n_windows: int, cost_s: float, *, other_s: float = 0.0) -> None:
        for _ in range(n_windows):
            waited_s = max(self.hop.hop_s - self.backlog_s, 0.0)
            spent_s = cost_s + other_s
            self.backlog_s = max(self.backlog_s - self.hop.hop_s, 0.0) + spent_s
            self.elapsed_s += waited_s + spent_s
            self.longest_s = max(self.longest_s, self.backlog_s)
            if change := self.hop.update(cost_s, self.backlog_s):
                self.changes.append(change)


@given(hop_s=HOPS, wider=WIDER, load=st.floats(0.01, 0.999))
def test_the_backlog_is_bounded_whenever_a_window_takes_less_than_the_widest_hop(
    hop_s: float, wider: float, load: float
) -> None:
    max_hop_s = hop_s * wider
    cost_s = load * max_hop_s
    hardware = Hardware(AdaptiveHop(hop_s, max_hop_s))

    hardware.score(400, cost_s)

    assert hardware.longest_s <= 6 * cost_s + hop_s
    assert hop_s <= hardware.hop.hop_s <= max(max_hop_s, hop_s)


@given(hop_s=HOPS, wider=WIDER, load=st.floats(0.01, 3), rest=st.floats(0.01, 0.59))
def test_the_hop_returns_when_a_window_takes_little_again(
    hop_s: float, wider: float, load: float, rest: float
) -> None:
    hardware = Hardware(AdaptiveHop(hop_s, hop_s * wider))
    hardware.score(50, load * hop_s * wider)

    hardware.backlog_s = 0.0
    hardware.score(10_000, rest * hop_s)

    assert hardware.hop.hop_s == hop_s
    assert not hardware.hop.widened


@given(hop_s=HOPS, wider=WIDER, load=st.floats(0.01, 2))
def test_a_constant_cost_changes_the_hop_at_the_beginning_and_then_never_again(
    hop_s: float, wider: float, load: float
) -> None:
    hardware = Hardware(AdaptiveHop(hop_s, hop_s * wider))
    hardware.score(20, load * hop_s)

    hardware.changes.clear()
    hardware.score(2000, load * hop_s)

    assert hardware.changes == [] or load >= wider


def test_a_light_load_changes_nothing() -> None:
    hardware = Hardware(AdaptiveHop(1.0, 8.0))

    hardware.score(1000, 0.79)

    assert hardware.changes == []


def test_the_first_window_may_take_long() -> None:
    hardware = Hardware(AdaptiveHop(1.0, 8.0))

    hardware.score(1, 5.0)
    hardware.score(20, 0.1)

    assert hardware.changes == []


def test_one_hiccup_is_caught_up_with_the_same_hop() -> None:
    hardware = Hardware(AdaptiveHop(1.0, 8.0))
    hardware.score(10, 0.3)

    hardware.backlog_s = 12.0
    hardware.score(30, 0.3)

    assert hardware.changes == []
    assert hardware.backlog_s < 1


def test_hiccups_again_and_again_are_no_growth() -> None:
    hop = AdaptiveHop(1.0, 8.0)

    changes = [hop.update(0.3, 5.0 if i % 2 else 0.0) for i in range(100)]

    assert not any(changes)


def test_a_backlog_that_grows_for_other_reasons_widens_the_hop() -> None:
    hardware = Hardware(AdaptiveHop(1.0, 8.0))

    hardware.score(60, 0.3, other_s=0.9)

    assert hardware.hop.hop_s == 1.5
    assert hardware.longest_s < 4
    assert "audio wait, and more each time" in hardware.changes[0]


def test_what_was_narrowed_too_early_waits_longer_the_next_time() -> None:
    hardware = Hardware(AdaptiveHop(1.0, 8.0))

    hardware.score(3 * 3600, 0.3, other_s=0.9)

    assert len(hardware.changes) < 20  # with constant patience there were 441


@pytest.mark.parametrize(("cost_s", "hop_s"), [(0.9, 1.5), (1.3, 2.25), (2.5, 3.375), (9.0, 4.0)])
def test_the_hop_takes_the_first_step_that_leaves_room(cost_s: float, hop_s: float) -> None:
    hardware = Hardware(AdaptiveHop(1.0, 4.0))

    hardware.score(5, cost_s)

    assert hardware.hop.hop_s == hop_s


def test_reasons_are_words_with_figures() -> None:
    hardware = Hardware(AdaptiveHop(1.0, 4.0))

    hardware.score(10, 1.3)
    hardware.backlog_s = 0.0
    hardware.score(120, 0.2)

    assert hardware.changes == [
        "scoring takes 1.30 s of every 1.00 s: a window every 2.25 s from now on",
        "scoring takes 0.20 s: a window every 1.50 s from now on",
        "scoring takes 0.20 s: back to a window every 1.00 s",
    ]


def test_a_widest_hop_below_the_wanted_one_means_that_it_stays() -> None:
    hardware = Hardware(AdaptiveHop(2.0, 1.0))

    hardware.score(100, 5.0)

    assert hardware.hop.hop_s == 2.0
    assert hardware.changes == []


def test_the_first_window_of_a_detector_that_was_learned_does_not_widen_the_hop() -> None:
    stream: Any = SimpleNamespace(hop_s=1.0)
    source: Any = SimpleNamespace(backlog_s=0.0)
    learned: Any = None
    watcher = HopWatcher(AdaptiveHop(1.0, 4.0), stream, source, lambda change: None)

    def score(busy_s: float) -> list[Event]:
        window: Any = SimpleNamespace(busy_s=busy_s)
        return list(watcher.on_window(Moment(NOW, 0.0, "pump"), window, "normal"))

    assert not any(score(0.1) for _ in range(10))
    watcher.on_learned(learned)

    assert score(5.0) == [], "it loads and allocates"
    assert not any(score(0.1) for _ in range(10))
    assert any(score(5.0) for _ in range(10)), "a detector that stays slow still counts"
