"""The official metrics: the evaluator's own numbers, and what has no defined metrics."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from places import SHARED

from edge_asd.errors import DataError
from edge_asd_export.evaluation.bootstrap import bootstrap_metrics, bootstrap_std
from edge_asd_export.evaluation.metrics import (
    EPSILON,
    MachineMetrics,
    decision_metrics,
    harmonic_mean,
    machine_metrics,
    official_score,
)
from edge_asd_export.evaluation.published import PUBLISHED

CASES = SHARED / "fixtures" / "metrics"
AGREEMENT = 1e-9  # with the official evaluator
SAMPLING = 0.01  # of a bootstrap mean of 1000 replicates

# Four source normals, four target normals, two anomalies of each domain; 4 is a tie.
SCORES = [1, 2, 3, 4, 5, 6, 7, 8, 4, 6.5, 9, 10]
IS_ANOMALY = [False] * 8 + [True] * 4
IS_TARGET = [False] * 4 + [True] * 4 + [False, True] * 2


def column(path: Path) -> list[float]:
    with path.open(newline="", encoding="utf-8") as file:
        return [float(value) for _, value in sorted(csv.reader(file))]


def case(system: str, machine: str) -> MachineMetrics:
    name = f"{machine}_section_00_test.csv"
    return machine_metrics(
        column(CASES / "scores" / system / f"anomaly_score_{name}"),
        column(CASES / "ground_truth_data" / f"ground_truth_{name}"),
        column(CASES / "ground_truth_domain" / f"ground_truth_{name}"),
    )


@pytest.mark.skipif(not CASES.is_dir(), reason="needs the metric cases of the shared folder")
@pytest.mark.parametrize(
    "system",
    [
        "s1_gaussian",
        "s2_target_offset",
        "s3_many_ties",
        "s4_constant",
        "s5_inverted",
        "s6_perfect",
        "s7_perfectly_wrong",
    ],
)
def test_figures_agree_with_the_official_evaluator(system: str) -> None:
    expected = json.loads((CASES / "expected.json").read_text())[system]

    found = {machine: case(system, machine) for machine in expected["machines"]}

    for machine, values in expected["machines"].items():
        for name, value in values.items():
            assert getattr(found[machine], name) == pytest.approx(value, abs=AGREEMENT), machine
    assert official_score(found.values()) == pytest.approx(expected["official"], abs=AGREEMENT)


def test_a_domain_has_its_own_normals_against_the_anomalies_of_both_domains() -> None:
    metrics = machine_metrics(SCORES, IS_ANOMALY, IS_TARGET)

    # Counted by hand: pairs (normal, anomaly) in order, a tie counts one half.
    assert metrics.auc_source == pytest.approx((3.5 + 4 + 4 + 4) / 16, abs=AGREEMENT)
    assert metrics.auc_target == pytest.approx((0 + 2 + 4 + 4) / 16, abs=AGREEMENT)
    assert metrics.auc_all == pytest.approx((3.5 + 6 + 8 + 8) / 32, abs=AGREEMENT)


def test_pauc_is_the_mcclish_standardised_area_up_to_a_tenth() -> None:
    # Half of the anomalies lie above every normal: the area up to 0.1 is 0.5 * 0.1.
    metrics = machine_metrics(SCORES, IS_ANOMALY, IS_TARGET)

    assert metrics.pauc == pytest.approx(0.5 * (1 + (0.05 - 0.005) / (0.1 - 0.005)), abs=AGREEMENT)


@pytest.mark.parametrize(
    ("scores", "auc", "pauc"),
    [
        (np.zeros(12), 0.5, 0.5),
        (np.asarray(IS_ANOMALY, float), 1.0, 1.0),
        (-np.asarray(IS_ANOMALY, float), 0.0, 0.5 * (1 - 0.005 / 0.095)),
    ],
    ids=["constant", "perfect", "perfectly wrong"],
)
def test_extreme_scores_have_the_evaluators_values(
    scores: np.ndarray, auc: float, pauc: float
) -> None:
    metrics = machine_metrics(scores, IS_ANOMALY, IS_TARGET)

    assert metrics.official == pytest.approx((auc, auc, pauc), abs=AGREEMENT)


def test_an_auc_of_zero_is_clamped_before_the_harmonic_mean() -> None:
    assert harmonic_mean([0.0, 1.0, 1.0]) == pytest.approx(3 / (2 + 1 / EPSILON), rel=AGREEMENT)


def test_the_official_score_weighs_all_values_of_all_machines_equally() -> None:
    machines = [MachineMetrics(0.5, 1.0, 0.5, 0.0), MachineMetrics(1.0, 1.0, 1.0, 0.0)]

    assert official_score(machines) == pytest.approx(6 / (2 + 1 + 2 + 3), abs=AGREEMENT)


def test_no_machines_have_no_official_score() -> None:
    with pytest.raises(DataError, match="at least one machine"):
        official_score([])


@pytest.mark.parametrize(
    ("is_anomaly", "is_target", "found"),
    [
        ([False] * 4, [False, False, True, True], "0 anomalies"),
        ([True] * 4, [False, False, True, True], "0 source normals, 0 target normals"),
        ([False, False, True, True], [False] * 4, "0 target normals"),
        ([False, False, True, True], [True] * 4, "0 source normals"),
    ],
    ids=["only normals", "only anomalies", "no target", "no source"],
)
def test_clips_of_one_class_are_refused_with_their_counts(
    is_anomaly: list[bool], is_target: list[bool], found: str
) -> None:
    with pytest.raises(DataError, match=found):
        machine_metrics([1, 2, 3, 4], is_anomaly, is_target)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(DataError, match="1 of 12 scores"):
        machine_metrics([np.nan, *SCORES[1:]], IS_ANOMALY, IS_TARGET)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="differ in shape"):
        machine_metrics(SCORES[1:], IS_ANOMALY, IS_TARGET)


def test_decisions_give_precision_recall_f1_and_false_alarms() -> None:
    decided = decision_metrics([True, True, True, False, False], [True, True, False, True, False])

    assert decided.precision == pytest.approx(2 / 3, abs=AGREEMENT)
    assert decided.recall == pytest.approx(2 / 3, abs=AGREEMENT)
    assert decided.f1 == pytest.approx(2 / 3, abs=AGREEMENT)
    assert decided.false_alarm_rate == pytest.approx(1 / 2, abs=AGREEMENT)


def test_decisions_without_any_alarm_are_zero_not_undefined() -> None:
    decided = decision_metrics([False, False], [True, False])

    assert (decided.precision, decided.recall, decided.f1) == (0.0, 0.0, 0.0)


def test_the_bootstrap_has_the_metrics_as_its_centre_and_repeats_under_a_seed() -> None:
    rng = np.random.default_rng(1)
    is_anomaly, is_target = np.repeat([False, True], 100), np.tile([False, True], 100)
    scores = rng.normal(size=200) + is_anomaly

    replicates = bootstrap_metrics(scores, is_anomaly, is_target, seed=5)

    exact = machine_metrics(scores, is_anomaly, is_target).official
    assert replicates.mean(axis=0) == pytest.approx(exact, abs=SAMPLING)
    assert np.array_equal(replicates, bootstrap_metrics(scores, is_anomaly, is_target, seed=5))
    assert 0.01 < bootstrap_std([replicates]) < 0.06


def test_a_bootstrap_of_tied_scores_repeats_the_metrics_exactly() -> None:
    is_anomaly, is_target = np.repeat([False, True], 40), np.tile([False, True], 40)
    # Equal scores within a class: whichever clips are drawn, the curves are the same.
    scores = np.select([is_anomaly, is_target], [1.0, 1.0], 0.0)

    replicates = bootstrap_metrics(scores, is_anomaly, is_target, n_replicates=3)

    exact = machine_metrics(scores, is_anomaly, is_target).official
    assert replicates == pytest.approx(np.tile(exact, (3, 1)), abs=AGREEMENT)


def test_clips_that_cannot_vary_have_no_spread() -> None:
    replicates = bootstrap_metrics(IS_ANOMALY, IS_ANOMALY, IS_TARGET)

    assert bootstrap_std([replicates, replicates]) == pytest.approx(0.0, abs=AGREEMENT)


@pytest.mark.parametrize(
    ("name", "recomputed"),
    [("system1", 64.67), ("system2", 62.34), ("system3", 65.63), ("system4", 62.96)],
)
def test_published_tables_recompute_to_known_totals(name: str, recomputed: float) -> None:
    (system,) = (system for system in PUBLISHED if system.name == name)

    assert system.recomputed == pytest.approx(recomputed, abs=0.005)
