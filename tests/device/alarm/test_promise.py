"""Thresholds and confirmations that keep a number of false alarms a month."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from device.normal_scores import normal_levels, wandering_scores
from pydantic import ValidationError

from edge_asd.alarm.change import Raised
from edge_asd.alarm.expected_alarms import MONTH_S
from edge_asd.alarm.life_cycle import Alarm
from edge_asd.alarm.policy import policy_for
from edge_asd.alarm.promise import (
    at_hop,
    confirmations,
    extreme_level,
    out_of_reach,
    promise_at_rate,
    promised,
    sentence,
    trust_in,
    with_promise,
)
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import MachineSpec, PromiseSpec, ThresholdSpec
from edge_asd.errors import UsageError
from edge_asd.profile import load_profile
from edge_asd.scoring.threshold import normal_threshold

WINDOW_S, HOP_S = 10.0, 2.5
TIMES = {"window_s": WINDOW_S, "hop_s": HOP_S}


def kept(wanted: float = 1.0, share: float = 0.3) -> tuple[ThresholdSpec, PromiseSpec]:
    return promised(normal_levels(), share=share, **TIMES, false_alarms_per_month=wanted)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("wanted", [0.2, 1.0, 30.0])
def test_no_more_false_alarms_are_expected_than_are_wanted(wanted: float, share: float) -> None:
    threshold, promise = kept(wanted, share)

    assert 0.3 * wanted < promise.false_alarms_per_month <= wanted
    assert threshold.threshold > threshold.clear_threshold
    assert promise.delay_s == WINDOW_S + promise.confirm_m * HOP_S


def test_more_false_alarms_allow_a_lower_threshold() -> None:
    assert kept(30.0)[0].threshold < kept(1.0)[0].threshold < kept(0.1)[0].threshold


def test_the_alarm_keeps_what_is_promised() -> None:
    threshold, promise = kept(200.0)
    policy = policy_for(
        load_profile().alarm,
        threshold=threshold.threshold,
        clear_threshold=threshold.clear_threshold,
        **TIMES,
        confirm=(promise.confirm_n, promise.confirm_m),
        least_extreme=extreme_level(threshold, promise),
    )
    alarm, n = Alarm(policy, str), 200_000

    raised = sum(
        isinstance(change, Raised)
        for i, score in enumerate(wandering_scores(n, 0.3).tolist())
        for change in alarm.update(i * HOP_S, score)
    )

    assert 0.3 * 200 < raised * MONTH_S / (n * HOP_S) < 1.2 * 200


def test_what_cannot_be_kept_is_said() -> None:
    _, promise = kept(1e-4, share=0.9)

    assert promise.false_alarms_per_month > 1e-4 == promise.wanted_per_month


def test_a_rate_that_is_given_stays_and_gets_the_shortest_confirmation_that_keeps_it() -> None:
    levels = normal_levels(1e-3)

    short, long = (
        promise_at_rate(
            levels, share=0.0, window_s=WINDOW_S, hop_s=HOP_S, false_alarms_per_month=wanted
        )
        for wanted in (100.0, 1.0)
    )

    assert short.delay_s < long.delay_s
    assert long.false_alarms_per_month <= 1.0


@pytest.mark.parametrize("hop_s", [0.5, 1.0, 5.0, 10.0, 40.0])
def test_another_hop_keeps_the_promise(hop_s: float) -> None:
    threshold, promise = kept()

    found = at_hop(threshold, promise, window_s=WINDOW_S, hop_s=hop_s)

    assert found.false_alarms_per_month <= 1.0
    assert found.hop_s == hop_s
    if hop_s < HOP_S:
        assert found.delay_s <= 1.5 * promise.delay_s


def test_the_same_hop_is_the_same_promise() -> None:
    threshold, promise = kept()

    assert at_hop(threshold, promise, window_s=WINDOW_S, hop_s=HOP_S) is promise


def test_a_confirmation_of_ones_own_is_said_what_it_costs() -> None:
    threshold, promise = kept()

    hasty = at_hop(threshold, promise, window_s=WINDOW_S, hop_s=HOP_S, confirm=(1, 1))

    assert hasty.false_alarms_per_month > 20
    assert hasty.delay_s == WINDOW_S + HOP_S


@pytest.mark.parametrize("hop_s", [0.001, 0.01, 0.25, 10.0, 100.0])
def test_there_are_confirmations_for_every_hop(hop_s: float) -> None:
    tried = confirmations(WINDOW_S, hop_s)

    assert tried
    assert all(1 <= n <= m <= 1000 for n, m in tried)


@pytest.mark.parametrize("shape", [4.0, 25.0, 100.0])
def test_extreme_scores_of_normal_sound_cost_a_tenth_of_the_false_alarms(shape: float) -> None:
    scores = np.random.default_rng(0).gamma(shape, size=2000)
    levels = normal_threshold(scores, 0.01, kind="windows", n_takes=50)
    threshold, promise = promised(levels, share=0.3, **TIMES, false_alarms_per_month=100.0)

    later = np.random.default_rng(1).gamma(shape, size=3_000_000)
    per_month = (later > extreme_level(threshold, promise)).mean() * MONTH_S / HOP_S

    assert per_month <= 12


@pytest.mark.parametrize(
    ("rate", "n_takes", "expected"),
    [
        (0.1, 100, "measured"),
        (0.1, 99, "estimated"),
        (0.1, 9, "estimated"),
        (0.1, 8, "extrapolated"),
        (0.1, None, "extrapolated"),
    ],
)
def test_trust_is_what_the_takes_show(rate: float, n_takes: int | None, expected: str) -> None:
    assert trust_in(rate, n_takes) == expected


def test_sound_that_the_networks_were_trained_with_shows_nothing() -> None:
    levels = normal_levels(n_takes=10_000)
    heard = levels.model_copy(update={"heard": True})

    promises = [
        promise_at_rate(one, share=0.3, window_s=10.0, hop_s=2.5) for one in (levels, heard)
    ]

    assert [promise.trust for promise in promises] == ["measured", "extrapolated"]
    assert "10000 takes that the networks were trained with" in sentence(heard, promises[1])


def test_a_promise_is_one_sentence() -> None:
    promise = PromiseSpec(
        wanted_per_month=1.0,
        false_alarms_per_month=1.04,
        confirm_n=8,
        confirm_m=12,
        hop_s=2.5,
        delay_s=40.0,
        trust="estimated",
        lasting_share=0.3,
        lasting_s=600.0,
    )

    assert sentence(normal_levels(n_takes=12), promise) == (
        "about 1 false alarm a month (estimated from 12 takes); "
        "a lasting change is raised within 40 s"
    )
    rare = promise.model_copy(update={"false_alarms_per_month": 0.23, "trust": "extrapolated"})
    assert sentence(normal_levels(), rare).startswith(
        "about 0.2 false alarms a month (extrapolated, takes are not known); "
    )


def test_a_stated_rate_of_windows_is_kept() -> None:
    levels, scores = normal_levels(0.05), wandering_scores(400, 0.3)

    threshold, promise = with_promise(
        levels, scores, np.arange(400) // 40, **TIMES, false_alarm_rate=0.05
    )

    assert threshold == levels
    assert promise.wanted_per_month == 1.0


@pytest.mark.parametrize("wanted", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_number_of_false_alarms_is_refused(wanted: float) -> None:
    with pytest.raises(UsageError, match="a number above 0"):
        kept(wanted)


def test_levels_that_cross_are_refused() -> None:
    with pytest.raises(ValidationError, match="not in order"):
        ThresholdSpec.model_validate(
            normal_levels().model_dump() | {"levels": [(0.1, 2.0), (0.01, 1.0)]}
        )


def test_a_promise_without_levels_or_with_an_impossible_confirmation_is_refused(
    mini_bundle: Path,
) -> None:
    machine = Bundle.open(mini_bundle).manifest.machines["pump"].model_dump()
    promise = kept()[1].model_dump()

    with pytest.raises(ValidationError, match="levels of at least two rates"):
        MachineSpec.model_validate(machine | {"promise": promise})
    with pytest.raises(ValidationError, match="confirms 9 of 8 windows"):
        PromiseSpec.model_validate(promise | {"confirm_n": 9, "confirm_m": 8})


def test_a_threshold_that_hardly_any_sound_reaches_is_said() -> None:
    said = out_of_reach(2.5, 1.7)

    assert said is not None
    assert "the threshold is 2.5" in said
    assert "score at most 1.7" in said
    assert out_of_reach(1.6, 1.7) is None
