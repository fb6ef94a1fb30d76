"""Pauses between attempts, and the faults of one output."""

from __future__ import annotations

from itertools import islice

from edge_asd.events.fault import FaultChange
from edge_asd.outputs.delivery import pauses_s
from edge_asd.outputs.output_health import OutputHealth


def test_pauses_double_up_to_the_cap() -> None:
    pauses = islice(pauses_s(1.0, 60.0, lambda: 0.0), 8)

    assert list(pauses) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_chance_takes_away_up_to_half_of_a_pause() -> None:
    chances = iter((0.0, 0.5, 1.0))
    pauses = islice(pauses_s(8.0, 8.0, lambda: next(chances)), 3)

    assert list(pauses) == [8.0, 6.0, 4.0]


def test_years_of_failure_do_not_overflow_the_pause() -> None:
    pauses = islice(pauses_s(1.0, 60.0, lambda: 0.0), 5000)

    assert set(pauses) == {1, 2, 4, 8, 16, 32, 60}


def health_and_news() -> tuple[OutputHealth, list[FaultChange]]:
    news: list[FaultChange] = []
    return OutputHealth("mqtt", news.append, patience_s=30.0), news


def test_an_output_is_overdue_once_after_its_patience() -> None:
    health, news = health_and_news()
    health.trying(100.0)
    health.failed("connection refused")

    health.check(129.9)
    assert news == []
    health.check(130.0)
    health.check(200.0)
    assert [change.detail for change in news] == ["connection refused"]


def test_an_output_with_nothing_to_do_is_never_overdue() -> None:
    health, news = health_and_news()
    health.trying(0.0)
    health.delivered(durable=False, waiting=0)
    health.check(1e6)

    assert news == []


def test_the_fault_of_an_output_ends_only_when_nothing_waits_any_more() -> None:
    health, news = health_and_news()
    health.trying(0.0)
    health.check(30.0)

    health.delivered(durable=True, waiting=1)
    assert [change.active for change in news] == [True]
    health.delivered(durable=True, waiting=0)

    assert [change.active for change in news] == [True, False]
    assert news[1].figures == {"delivered_late": 2}
