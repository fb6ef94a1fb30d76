"""Scores of many clips at once are those that the device gives to each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_asd.bundle.manifest import Domain
from edge_asd.bundle.system import System, WeightedSum, system_named
from edge_asd.errors import DataError, UsageError
from edge_asd.scoring.ensemble import ReferenceSet, ReferenceSets, open_exact
from edge_asd.scoring.held_out import Groups
from edge_asd.scoring.kinds import DirectSpec
from edge_asd.scoring.scorer import (
    BankScorer,
    Scorer,
    normalise_rows,
)
from edge_asd_export.calibration.scoring import (
    SCORINGS,
    Scoring,
    centre_banks,
    clip_scores,
    make_references,
    normal_scores,
    scorings_of,
)
from edge_asd_export.training.training_set import ClassName

ROUNDING = 1e-9  # float64 distances from inner products, relative
N_SEGMENTS = 3
DIM = 8


def embeddings(n: int, seed: int, n_segments: int = N_SEGMENTS) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, n_segments, DIM)).astype(np.float32)


@pytest.fixture
def train() -> dict[Domain, NDArray[np.float32]]:
    return {"source": embeddings(30, 0), "target": embeddings(12, 1)}


@pytest.fixture
def centres() -> ReferenceSets:
    return {"source": ReferenceSet.known_to_all(normalise_rows(embeddings(4, 2, 1)))}


def device_scorer(banks: ReferenceSets, scoring: Scoring) -> Scorer:
    """What a bundle with this scorer and these banks opens."""
    spec = scoring.spec
    if isinstance(spec, DirectSpec):
        return spec
    return BankScorer(open_exact(banks, spec), spec.average)


@pytest.mark.parametrize("name", SCORINGS)
@pytest.mark.parametrize("n_segments", [1, N_SEGMENTS])
def test_scores_of_clips_are_those_of_the_device(
    name: str,
    n_segments: int,
    train: Mapping[Domain, NDArray[np.float32]],
    centres: ReferenceSets,
) -> None:
    scoring = SCORINGS[name]
    banks = make_references(train, scoring, centres)
    clips = embeddings(10, 7, n_segments)

    scores = clip_scores(clips, banks, scoring)

    device = device_scorer(banks, scoring)
    assert scores.shape == (10,)
    assert scores.std() > 0
    assert scores == pytest.approx([device.score(clip) for clip in clips], rel=ROUNDING)


def every_clip_a_take(rows: Mapping[Domain, NDArray[np.float32]]) -> Groups:
    return {"source": np.arange(len(rows["source"])), "target": 30 + np.arange(len(rows["target"]))}


@pytest.mark.parametrize("name", [n for n, s in SCORINGS.items() if s.references == "clips"])
def test_a_training_clip_is_scored_without_its_take(
    name: str, train: Mapping[Domain, NDArray[np.float32]]
) -> None:
    scoring = SCORINGS[name]
    references = make_references(train, scoring, {})
    groups: Groups = {domain: np.arange(len(rows)) % 10 for domain, rows in train.items()}

    scores = normal_scores(train, references, scoring, groups)

    apart = {d: own.some(groups[d] != 3) for d, own in references.items()}
    for domain, rows in train.items():
        assert scores[domain][3] == pytest.approx(
            clip_scores(rows[3:4], apart, scoring)[0], rel=ROUNDING
        )


def test_members_of_an_ensemble_do_not_know_the_clips_of_their_fold(
    train: Mapping[Domain, NDArray[np.float32]],
) -> None:
    folds: Groups = {domain: np.arange(len(rows)) % 4 - 1 for domain, rows in train.items()}

    references = make_references(train, SCORINGS["nearest"], {}, folds=folds, members=N_SEGMENTS)

    assert references["source"].rows.shape == (30, N_SEGMENTS, DIM)
    assert references["target"].folds.tolist() == folds["target"].tolist()


@pytest.mark.parametrize("name", [n for n, s in SCORINGS.items() if s.references != "clips"])
def test_what_a_network_has_learned_cannot_forget_a_clip(
    name: str, train: Mapping[Domain, NDArray[np.float32]], centres: ReferenceSets
) -> None:
    scoring = SCORINGS[name]
    banks = make_references(train, scoring, centres)

    scores = normal_scores(train, banks, scoring, every_clip_a_take(train))

    for domain, rows in train.items():
        np.testing.assert_array_equal(scores[domain], clip_scores(rows, banks, scoring))


def test_centres_are_scored_by_the_largest_cosine_of_each_segment(centres: ReferenceSets) -> None:
    clips = embeddings(10, 7)

    scores = clip_scores(clips, centres, SCORINGS["centres"])

    unit = clips / np.linalg.norm(clips, axis=-1, keepdims=True)
    cosine = (unit @ centres["source"].rows[:, 0].T).max(axis=-1)
    np.testing.assert_allclose(scores, (1 - cosine).mean(axis=1), atol=1e-6)


def test_one_training_clip_gives_no_threshold() -> None:
    alone: dict[Domain, NDArray[np.float32]] = {"source": embeddings(1, 0)}
    scoring = SCORINGS["nearest"]

    with pytest.raises(DataError, match="at least two training clips"):
        normal_scores(
            alone, make_references(alone, scoring, {}), scoring, {"source": np.zeros(1, int)}
        )


def test_centres_of_a_network_without_any_are_refused(
    train: Mapping[Domain, NDArray[np.float32]],
) -> None:
    with pytest.raises(DataError, match="without class centres"):
        make_references(train, SCORINGS["centres"], {})


TWO = System("two", "", WeightedSum(("a@near", "a@far", "b@stereo")))


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({}, ("dldn-mean", "dldn-mean", "dldn-mean")),
        ({"": "nearest"}, ("nearest", "nearest", "nearest")),
        ({"b": "varmin"}, ("dldn-mean", "dldn-mean", "varmin")),
        ({"": "nearest", "a": "dldn-sum"}, ("dldn-sum", "dldn-sum", "nearest")),
    ],
)
def test_a_scorer_is_chosen_for_one_extractor_or_for_all(
    choices: dict[str, str], expected: tuple[str, ...]
) -> None:
    chosen = scorings_of(TWO, choices)

    assert chosen == {
        branch.name: SCORINGS[name] for branch, name in zip(TWO.branches, expected, strict=True)
    }


def test_what_a_system_fixes_yields_to_an_explicit_choice_only() -> None:
    system = system_named("system3")

    general = scorings_of(system, {"": "nearest"})
    explicit = scorings_of(system, {"resnet": "nearest"})

    assert general["resnet@stereo"] == SCORINGS["centres"]
    assert general["fkie@far"] == SCORINGS["nearest"]
    assert explicit["resnet@stereo"] == SCORINGS["nearest"]
    assert explicit["fkie@far"] == SCORINGS["dldn-mean"]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"c": "nearest"}, "two has no extractor 'c'; it has: a, b"),
        ({"a": "knn"}, "unknown scorer 'knn'; known scorers: dldn-mean"),
        ({"": "knn"}, "unknown scorer 'knn'"),
        ({"a": ""}, "unknown scorer ''"),
    ],
)
def test_unknown_choices_are_refused(choices: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        scorings_of(TWO, choices)


def test_a_choice_for_all_is_refused_where_the_system_leaves_none_open() -> None:
    with pytest.raises(UsageError, match=r"system2 leaves no scorer open: .* resnet=nearest"):
        scorings_of(system_named("system2"), {"": "nearest"})


CLASSES = [
    ClassName("fan", "source", "spd_1", "near"),
    ClassName("fan", "source", "spd_1", "far"),
    ClassName("fan", "target", "spd_1", "near"),
    ClassName("pump", "source", "", "near"),
    ClassName("pump", "", "", "near"),
    ClassName("saw", "source", "", ""),
    ClassName("saw", "target", "", ""),
    ClassName("fan", "source", "spd_1", "near", 0.92),  # no normal sound
]


@pytest.mark.parametrize(
    ("machine", "view", "rows"),
    [
        ("fan", "near", {"source": [0], "target": [2]}),
        ("fan", "far", {"source": [1]}),
        ("pump", "near", {"source": [3, 4]}),  # a class without a domain counts as source
        ("saw", "far", {"source": [5], "target": [6]}),  # views share their classes
        ("saw", "near", {"source": [5], "target": [6]}),
        ("lathe", "near", {}),
    ],
)
def test_centres_are_those_of_the_machine_its_view_and_domain(
    machine: str, view: str, rows: dict[Domain, list[int]]
) -> None:
    centres = normalise_rows(embeddings(len(CLASSES), 3, 1)[:, 0])

    banks = centre_banks(centres, CLASSES, machine, view)

    assert banks.keys() == rows.keys()
    for domain, index in rows.items():
        np.testing.assert_array_equal(banks[domain].rows[:, 0], centres[index])


def test_a_network_without_centres_gives_no_banks() -> None:
    assert centre_banks(None, CLASSES, "fan", "near") == {}
