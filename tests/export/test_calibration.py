"""Fusion weights and thresholds of a whole bundle."""

from __future__ import annotations

import numpy as np
import pytest

from edge_asd.fusion import fuse
from edge_asd.manifest import ScorerSpec
from edge_asd.scorer import leave_one_out_scores, normalise_rows
from edge_asd.system import system_named
from edge_asd_export.calibration import calibrate
from edge_asd_export.references import Banks

SYSTEM = system_named("system4")
SCORERS = {branch.name: ScorerSpec() for branch in SYSTEM.branches}


@pytest.fixture
def banks() -> dict[str, dict[str, Banks]]:
    rng = np.random.default_rng(0)

    def bank() -> Banks:
        return {
            "source": normalise_rows(rng.standard_normal((40, 8))),
            "target": normalise_rows(rng.standard_normal((10, 8))),
        }

    return {machine: {branch: bank() for branch in SCORERS} for machine in ("fan", "pump")}


def test_threshold_is_that_of_fused_leave_one_out_scores(
    banks: dict[str, dict[str, Banks]],
) -> None:
    numbers = calibrate(SYSTEM, banks, SCORERS, weight_rule="mostly-first", false_alarm_rate=0.2)[
        "fan"
    ]

    loo = {
        branch: np.concatenate(
            [leave_one_out_scores(own, ScorerSpec())[d] for d in ("source", "target")]
        )
        for branch, own in banks["fan"].items()
    }
    above = (fuse(numbers.fusion, loo) > numbers.threshold.threshold).mean()
    assert numbers.threshold.n_scores == 50
    assert above == pytest.approx(0.2, abs=0.03)


def test_a_single_machine_needs_no_other(banks: dict[str, dict[str, Banks]]) -> None:
    alone = {"fan": banks["fan"]}

    numbers = calibrate(SYSTEM, alone, SCORERS, weight_rule="mostly-first", false_alarm_rate=0.1)

    assert sum(term.weight for term in numbers["fan"].fusion.terms) == pytest.approx(1)
