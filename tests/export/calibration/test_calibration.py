"""Fusion weights and thresholds of a whole bundle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge_asd.bundle.system import system_named
from edge_asd.errors import DataError
from edge_asd.scoring.fusion import fuse
from edge_asd.scoring.scorer import leave_one_out_scores
from edge_asd_export.bundling.references import make_banks
from edge_asd_export.calibration import calibration
from edge_asd_export.calibration.calibration import ByDomain, Evidences, LabelledClips, calibrate
from edge_asd_export.calibration.scoring import SCORINGS

SYSTEM = system_named("system4")
SCORING = SCORINGS["dldn-mean"]
BRANCHES = [branch.name for branch in SYSTEM.branches]
MOSTLY_FIRST = {"channels": "mostly-first", "models": "equal"}


@pytest.fixture
def known() -> Evidences:
    rng = np.random.default_rng(0)

    def rows() -> ByDomain:
        return {
            "source": rng.standard_normal((40, 1, 8)).astype(np.float32),
            "target": rng.standard_normal((10, 1, 8)).astype(np.float32),
        }

    return evidences({machine: {branch: rows() for branch in BRANCHES} for machine in "ab"})


def evidences(embeddings: dict[str, dict[str, ByDomain]]) -> Evidences:
    return Evidences(
        embeddings=embeddings,
        banks={
            machine: {branch: make_banks(rows, SCORING, {}) for branch, rows in own.items()}
            for machine, own in embeddings.items()
        },
        scorings=dict.fromkeys(BRANCHES, SCORING),
        own_extractor=dict.fromkeys(BRANCHES, False),
    )


def test_threshold_is_that_of_fused_leave_one_out_scores(known: Evidences) -> None:
    numbers = calibrate(SYSTEM, known, weight_rules=MOSTLY_FIRST, false_alarm_rate=0.2)["a"]

    loo = {
        branch: np.concatenate(
            [leave_one_out_scores(own, SCORING.spec)[d] for d in ("source", "target")]
        )
        for branch, own in known.banks["a"].items()
    }
    above = (fuse(numbers.fusion, loo) > numbers.threshold.threshold).mean()
    assert numbers.threshold.n_scores == 50
    assert above == pytest.approx(0.2, abs=0.03)


def test_a_single_machine_needs_no_other(known: Evidences) -> None:
    alone = replace(known, embeddings={"a": known.embeddings["a"]}, banks={"a": known.banks["a"]})

    numbers = calibrate(SYSTEM, alone, weight_rules=MOSTLY_FIRST, false_alarm_rate=0.1)

    assert sum(term.weight for term in numbers["a"].fusion.terms) == pytest.approx(1)


def clustered(spread: float, seed: int) -> ByDomain:
    """Clips of one machine around a direction of its own."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal(8) + spread * rng.standard_normal((20, 1, 8))
    return {"source": rows.astype(np.float32)}


@pytest.fixture
def told_apart_near() -> Evidences:
    """Three machines that differ in the near channel and are alike in the far one."""
    return evidences(
        {
            machine: {BRANCHES[0]: clustered(0.1, seed), BRANCHES[1]: clustered(1.0, 9)}
            for seed, machine in enumerate(("fan", "pump", "valve"))
        }
    )


def test_proxy_scores_are_those_of_the_other_machines_normals(told_apart_near: Evidences) -> None:
    scores = calibration._proxy("fan", told_apart_near)

    assert scores is not None
    assert {branch: own.shape for branch, own in scores.items()} == dict.fromkeys(BRANCHES, (40,))
    # Other machines are farther than the machine's own neighbours.
    assert scores[BRANCHES[0]].min() > 1.0


def test_a_rule_that_compares_machines_finds_the_channel_that_tells_them_apart(
    told_apart_near: Evidences,
) -> None:
    numbers = calibrate(
        SYSTEM,
        told_apart_near,
        weight_rules={"channels": "separability"},
        false_alarm_rate=0.1,
    )

    assert all(own.fusion.terms[0].weight > 0.9 for own in numbers.values())


@pytest.mark.parametrize("why", ["one machine", "own extractors"])
def test_a_rule_that_compares_machines_needs_comparable_others(
    told_apart_near: Evidences, why: str
) -> None:
    known = replace(told_apart_near, own_extractor=dict.fromkeys(BRANCHES, True))
    if why == "one machine":
        known = replace(
            told_apart_near,
            embeddings={"fan": told_apart_near.embeddings["fan"]},
            banks={"fan": told_apart_near.banks["fan"]},
        )

    with pytest.raises(DataError, match="compares with other machines"):
        calibrate(SYSTEM, known, weight_rules={"channels": "separability"}, false_alarm_rate=0.1)


def test_labels_of_every_machine_are_needed(known: Evidences) -> None:
    labelled = LabelledClips(clips={"a": ()}, embeddings={}, source="no clips")

    with pytest.raises(DataError, match="no labelled test clips of a, b"):
        calibrate(SYSTEM, known, weight_rules=MOSTLY_FIRST, false_alarm_rate=0.1, labelled=labelled)
