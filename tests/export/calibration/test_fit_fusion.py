"""Fusion statistics and weights, from normal scores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_asd.bundle.manifest import FusionSpec
from edge_asd.bundle.system import WeightedSum
from edge_asd.errors import DataError, UsageError
from edge_asd.scoring.fusion import fuse
from edge_asd_export.calibration.channel_weights import WEIGHT_RULES, channel_weights
from edge_asd_export.calibration.fit_fusion import (
    ClipScores,
    GridSearch,
    LabelFree,
    fit_fusions,
)

Floats = NDArray[np.float64]

CHANNELS = WeightedSum(("near", "far"))
FIRST = {"channels": LabelFree("first")}
NESTED = WeightedSum(
    (WeightedSum(("a@near", "a@far")), "b@stereo"), over="systems", standardise=True
)


@pytest.fixture
def near_and_far() -> dict[str, Floats]:
    rng = np.random.default_rng(0)
    return {"near": rng.normal(1.0, 0.1, 500), "far": rng.normal(1.0, 0.1, 500)}


@pytest.mark.parametrize("rule", WEIGHT_RULES)
def test_weights_of_every_rule_are_shares(rule: str, near_and_far: dict[str, Floats]) -> None:
    weights = channel_weights(rule, near_and_far)
    assert list(weights) == ["near", "far"]
    assert sum(weights.values()) == pytest.approx(1.0)
    assert min(weights.values()) >= 0


@pytest.mark.parametrize("rule", ["first", "mostly-first"])
def test_an_uninformative_channel_costs_less_than_a_point(
    rule: str, near_and_far: dict[str, Floats]
) -> None:
    rng = np.random.default_rng(1)
    faulty = {"near": rng.normal(1.5, 0.2, 800), "far": rng.normal(1.01, 0.2, 800)}

    def auc(weights: Mapping[str, float]) -> float:
        low, high = (
            np.sum([weights[part] * s[part] for part in weights], axis=0)
            for s in (near_and_far, faulty)
        )
        return float(np.mean(high[:, None] > low))

    alone = auc({"near": 1.0})
    assert auc({"near": 0.5, "far": 0.5}) < alone - 0.01
    assert auc(channel_weights(rule, near_and_far)) > alone - 0.01


def test_inverse_variance_weighs_by_variance(near_and_far: dict[str, Floats]) -> None:
    near = near_and_far["near"]
    normal = {"near": near, "far": 1.0 + 2.0 * (near - 1.0)}
    assert channel_weights("inverse-variance", normal)["near"] == pytest.approx(0.8)


@pytest.mark.parametrize("rule", ["inverse-variance", "minimum-variance"])
def test_equally_good_parts_share_the_weight_equally(rule: str) -> None:
    normal = np.random.default_rng(0).normal(0, 1, 500)
    weights = channel_weights(rule, {"a": normal, "b": normal})
    assert weights == pytest.approx({"a": 0.5, "b": 0.5})


@pytest.mark.parametrize("rule", WEIGHT_RULES)
def test_constant_scores_give_shares(rule: str) -> None:
    weights = channel_weights(rule, {"near": np.ones(20), "far": np.ones(20)})
    assert sum(weights.values()) == pytest.approx(1.0)


def test_scores_and_rules_that_cannot_be_used_are_refused(near_and_far: dict[str, Floats]) -> None:
    with pytest.raises(DataError, match="as many scores each"):
        channel_weights("equal", {"near": np.ones(2), "far": np.ones(3)})
    with pytest.raises(DataError, match="not finite"):
        channel_weights("equal", {"near": np.array([1.0, np.nan])})
    with pytest.raises(UsageError, match="known rules: equal, first"):
        channel_weights("guess", near_and_far)


@pytest.mark.parametrize("rule", ["separability", "hard-separability", "d-prime", "fisher", "best"])
def test_a_rule_that_failed_is_refused_by_name(rule: str, near_and_far: dict[str, Floats]) -> None:
    with pytest.raises(UsageError, match=r"was removed.* choose one of: equal, first") as caught:
        channel_weights(rule, near_and_far)
    assert "\n" not in str(caught.value)


def test_fusion_standardises_with_leave_one_out_statistics() -> None:
    rng = np.random.default_rng(0)
    normal = {"a@near": rng.normal(5, 2, 400), "a@far": rng.normal(3, 1, 400),
              "b@stereo": rng.normal(-1, 0.1, 400)}  # fmt: skip
    spec = fit_fusions(NESTED, {"fan": ClipScores(normal)}, FIRST)["fan"]
    channels, stereo = spec.terms
    assert isinstance(channels.of, FusionSpec)
    assert (channels.weight, stereo.weight) == (0.5, 0.5)
    assert [term.weight for term in channels.of.terms] == [1.0, 0.0]
    assert channels.of.terms[0].mean == 0.0 and channels.of.terms[0].std == 1.0
    assert stereo.mean == pytest.approx(normal["b@stereo"].mean())
    assert stereo.std == pytest.approx(normal["b@stereo"].std())
    fused = fuse(spec, normal)
    assert fused.mean() == pytest.approx(0.0, abs=1e-9)
    assert spec.labels is None and channels.of.method.startswith("label-free, first")


def test_a_spread_that_is_only_rounding_is_raised_to_the_floor() -> None:
    normal = {"near": np.full(10, 2.0), "far": np.zeros(10)}
    weighted = WeightedSum(("near", "far"), over="systems", standardise=True)
    near, far = fit_fusions(weighted, {"fan": ClipScores(normal)}, {})["fan"].terms
    assert near.std == pytest.approx(0.02)
    assert far.std == 1.0


def _labelled_machine(seed: int, far_helps: float) -> ClipScores:
    rng = np.random.default_rng(seed)
    anomalous = np.arange(200) % 2 == 1
    near = rng.normal(0, 1, 200) + 2.0 * anomalous
    far = rng.normal(0, 1, 200) + far_helps * anomalous
    normal = {"near": rng.normal(0, 1, 50), "far": rng.normal(0, 1, 50)}
    return ClipScores(normal, labelled={"near": near, "far": far})


def _mean_auc(fused: Mapping[str, Floats]) -> float:
    anomalous = np.arange(200) % 2 == 1
    return float(np.mean([np.mean(s[anomalous][:, None] > s[~anomalous]) for s in fused.values()]))


@pytest.mark.parametrize(("far_helps", "low", "high"), [(0.0, 0.85, 1.0), (2.0, 0.3, 0.7)])
def test_grid_search_pools_machines_and_says_which_labels_it_used(
    far_helps: float, low: float, high: float
) -> None:
    machines = {name: _labelled_machine(i, far_helps) for i, name in enumerate(("fan", "pump"))}
    rule = GridSearch(_mean_auc, labels="test clips of fan and pump")
    specs = fit_fusions(CHANNELS, machines, {"channels": rule})
    weights = [term.weight for term in specs["fan"].terms]
    assert low <= weights[0] <= high
    assert sum(weights) == pytest.approx(1.0)
    assert weights[0] * 20 == pytest.approx(round(weights[0] * 20))
    assert weights == [term.weight for term in specs["pump"].terms]
    assert specs["fan"].labels == "test clips of fan and pump"
    assert "grid search" in specs["fan"].method


def test_grid_search_breaks_ties_towards_equal_weights() -> None:
    scores = {"near": np.arange(4.0), "far": np.arange(4.0), "other": np.arange(4.0)}
    clip_scores = ClipScores(scores, labelled=scores)
    rule = GridSearch(lambda fused: 1.0, labels="none in truth")
    two = fit_fusions(CHANNELS, {"fan": clip_scores}, {"channels": rule})["fan"]
    three = fit_fusions(
        WeightedSum(("near", "far", "other")), {"fan": clip_scores}, {"channels": rule}
    )["fan"]
    assert [term.weight for term in two.terms] == [0.5, 0.5]
    assert [term.weight for term in three.terms] == [0.35, 0.35, 0.3]


def test_grid_search_tries_each_multiple_of_the_step_once() -> None:
    tried: list[float] = []
    scores = {"near": np.array([1.0]), "far": np.array([0.0])}

    def objective(fused: Mapping[str, Floats]) -> float:
        tried.append(float(fused["fan"][0]))
        return 0.0

    rule = GridSearch(objective, labels="of one clip")
    fit_fusions(CHANNELS, {"fan": ClipScores(scores, labelled=scores)}, {"channels": rule})
    assert sorted(tried) == pytest.approx(np.linspace(0, 1, 21))


def test_grid_search_without_labelled_clips_is_refused() -> None:
    scores = {"near": np.ones(3), "far": np.ones(3)}
    with pytest.raises(DataError, match=r"machines without: \['fan'\]"):
        fit_fusions(
            CHANNELS,
            {"fan": ClipScores(scores)},
            {"channels": GridSearch(_mean_auc, labels="none")},
        )


def test_fusion_of_scores_that_are_not_finite_is_refused() -> None:
    scores = {"near": np.array([1.0, np.nan]), "far": np.ones(2)}
    with pytest.raises(DataError, match="near are empty or not finite"):
        fit_fusions(CHANNELS, {"fan": ClipScores(scores)}, {"channels": LabelFree("equal")})


@pytest.mark.parametrize("rule", WEIGHT_RULES)
def test_a_part_that_is_alone_has_all_the_weight(rule: str) -> None:
    scores = {"stereo": np.linspace(1.0, 2.0, 20)}

    assert channel_weights(rule, scores) == {"stereo": 1.0}


def nested_scores() -> ClipScores:
    """Two extractors on two channels, and one on both; scores on different scales."""
    rng = np.random.default_rng(0)
    names = ("a@near", "a@far", "b@near", "b@far", "c@stereo")
    normal = {name: rng.normal(3 * i, 1 + i, 300) for i, name in enumerate(names)}
    return ClipScores(normal)


MODELS = WeightedSum(
    (WeightedSum(("a@near", "a@far")), WeightedSum(("b@near", "b@far"))), over="models"
)
ENSEMBLE = WeightedSum((MODELS, "c@stereo"), over="systems", standardise=True)


def test_channels_and_models_are_weighted_by_rules_of_their_own() -> None:
    rules = {"channels": LabelFree("mostly-first"), "models": LabelFree("equal")}

    spec = fit_fusions(MODELS, {"fan": nested_scores()}, rules)["fan"]

    assert [term.weight for term in spec.terms] == [0.5, 0.5]
    assert spec.method.startswith("label-free, equal")
    for term in spec.terms:
        assert isinstance(term.of, FusionSpec)
        assert term.of.terms[0].weight > 0.5
        assert term.of.method.startswith("label-free, mostly-first")
        assert (term.mean, term.std) == (0.0, 1.0)


def test_a_rule_of_models_sees_each_model_as_one_part() -> None:
    clip_scores = nested_scores()
    rules = {"channels": LabelFree("first"), "models": LabelFree("inverse-variance")}

    first, second = fit_fusions(MODELS, {"fan": clip_scores}, rules)["fan"].terms

    variances = [float(np.var(clip_scores.normal[name])) for name in ("a@near", "b@near")]
    assert first.weight == pytest.approx(variances[1] / sum(variances), abs=1e-6)
    assert first.weight + second.weight == pytest.approx(1.0)


@pytest.mark.parametrize("rule", ["first", "equal"])
def test_systems_count_equally_as_z_scores_whatever_the_other_rules_are(rule: str) -> None:
    rules = {"channels": LabelFree(rule), "models": LabelFree(rule)}
    clip_scores = nested_scores()

    spec = fit_fusions(ENSEMBLE, {"fan": clip_scores}, rules)["fan"]

    models, stereo = spec.terms
    assert (models.weight, stereo.weight) == (0.5, 0.5)
    assert spec.method.startswith("label-free, equal")
    for term in spec.terms:
        alone = fuse(FusionSpec(terms=(term.model_copy(update={"weight": 1.0}),), method=""),
                     dict(clip_scores.normal))  # fmt: skip
        assert np.mean(alone) == pytest.approx(0.0, abs=1e-9)
        assert np.std(alone) == pytest.approx(1.0)


def test_labels_weigh_channels_and_models_but_not_systems() -> None:
    anomalous = np.arange(200) % 2 == 1
    rng = np.random.default_rng(1)
    helps = {"a@near": 2.0, "a@far": 0.0, "b@near": 0.0, "b@far": 2.0, "c@stereo": 0.0}
    labelled = {name: rng.normal(0, 1, 200) + by * anomalous for name, by in helps.items()}
    rule = GridSearch(_mean_auc, labels="test clips of fan")
    rules = dict.fromkeys(("channels", "models"), rule)
    clip_scores = ClipScores(nested_scores().normal, labelled=labelled)

    spec = fit_fusions(ENSEMBLE, {"fan": clip_scores}, rules)["fan"]

    models, _ = spec.terms
    assert isinstance(models.of, FusionSpec)
    a, b = (term.of for term in models.of.terms)
    assert isinstance(a, FusionSpec) and isinstance(b, FusionSpec)
    assert a.terms[0].weight > 0.8 and b.terms[1].weight > 0.8
    assert [s.labels for s in (spec, models.of, a, b)] == [None, *["test clips of fan"] * 3]
    assert (models.weight, spec.terms[1].weight) == (0.5, 0.5)
