"""Fusion weights and thresholds of a whole bundle."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_asd.bundle.system import system_named
from edge_asd.errors import DataError
from edge_asd.scoring.fusion import fuse
from edge_asd_export.calibration.calibration import (
    AlarmGoal,
    LabelledClips,
    calibrate,
    require_labels,
)

SYSTEM = system_named("system4")
BRANCHES = [branch.name for branch in SYSTEM.branches]
MOSTLY_FIRST = {"channels": "mostly-first", "models": "equal"}

Scores = dict[str, dict[str, NDArray[np.float64]]]


@pytest.fixture
def normal() -> Scores:
    rng = np.random.default_rng(0)
    return {m: {branch: rng.gamma(9, 1 / 9, 50) for branch in BRANCHES} for m in "ab"}


def test_threshold_is_that_of_fused_normal_scores(normal: Scores) -> None:
    numbers = calibrate(SYSTEM, normal, weight_rules=MOSTLY_FIRST, false_alarm_rate=0.2)["a"]

    above = (fuse(numbers.fusion, dict(normal["a"])) > numbers.threshold.threshold).mean()
    assert numbers.threshold.n_scores == 50
    assert "leave-one-out" in numbers.threshold.method
    assert above == pytest.approx(0.2, abs=0.03)


def test_a_single_machine_needs_no_other(normal: Scores) -> None:
    alone = {"a": normal["a"]}

    numbers = calibrate(SYSTEM, alone, weight_rules=MOSTLY_FIRST, false_alarm_rate=0.1)

    assert sum(term.weight for term in numbers["a"].fusion.terms) == pytest.approx(1)


def test_labels_of_every_machine_are_needed(normal: Scores) -> None:
    labelled = LabelledClips(clips={"a": ()}, source="no clips")

    with pytest.raises(DataError, match="no labelled test clips of a, b"):
        require_labels(labelled, normal)


def test_clips_of_one_take_are_counted_once(normal: Scores) -> None:
    takes = {machine: np.arange(50) // 5 for machine in normal}

    numbers = calibrate(
        SYSTEM, normal, weight_rules=MOSTLY_FIRST, false_alarm_rate=0.2, takes=takes
    )

    assert numbers["a"].threshold.n_takes == 10
    assert "gamma" in numbers["a"].threshold.method


def test_a_number_of_false_alarms_a_month_chooses_rate_and_confirmation(normal: Scores) -> None:
    takes = {machine: np.arange(50) // 5 for machine in normal}
    goal = AlarmGoal({"a": 10.0, "b": 10.0}, 2.5, false_alarms_per_month=2.0)

    numbers = calibrate(SYSTEM, normal, weight_rules=MOSTLY_FIRST, goal=goal, takes=takes)["a"]

    assert numbers.promise is not None
    assert numbers.promise.false_alarms_per_month <= 2.0
    assert numbers.promise.trust == "extrapolated"
    assert numbers.threshold.false_alarm_rate < 0.05
    assert numbers.promise.confirm_m > 1


def test_a_rate_that_is_given_is_kept_and_said_what_it_means(normal: Scores) -> None:
    goal = AlarmGoal({"a": 10.0, "b": 10.0}, 2.5)

    numbers = calibrate(SYSTEM, normal, weight_rules=MOSTLY_FIRST, goal=goal, false_alarm_rate=0.1)[
        "a"
    ]

    assert numbers.threshold.false_alarm_rate == 0.1
    assert numbers.promise is not None
    assert numbers.promise.false_alarms_per_month > 1.0
