"""Which systems a bundle holds, and what their ablations are."""

from __future__ import annotations

import numpy as np
import pytest
from export.comparison_fakes import branch_scores, fitted, labels, manifest, normal_scores

from edge_asd.bundle.manifest import FusionSpec, TermSpec
from edge_asd.bundle.system import SYSTEMS
from edge_asd.scoring.fusion import fuse
from edge_asd_export.calibration.fit_fusion import ClipScores, GridSearch, fit_fusions
from edge_asd_export.evaluation.contained_systems import (
    ablations,
    contained_systems,
    contains,
    labels_of,
    largest,
    networks_of,
    precision_of,
    restricted,
)
from edge_asd_export.evaluation.metrics import machine_metrics

MACHINES = ("fan", "pump")
SAME_SUM = 1e-12  # of float64 scores near one


def scores(system: str) -> dict[str, np.ndarray]:
    return {name: branch_scores(name, 1) for name in SYSTEMS[system].fusion.branches()}


def grid(seen: list[str]) -> GridSearch:
    """A search that is answered by the true labels, as the development set's would be."""

    def objective(fused: object) -> float:
        assert isinstance(fused, dict)
        seen.append("searched")
        return min(machine_metrics(one, *labels()).hmean for one in fused.values())

    return GridSearch(objective, "labels of dev", step=0.5)


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("system1", ["system4", "system1"]),
        ("system2", ["system2"]),
        ("system3", ["system1", "system2", "system4", "system3"]),
        ("system4", ["system4"]),
        ("baseline-mse", ["baseline-mse"]),
    ],
)
def test_a_bundle_holds_its_system_and_those_inside_it(system: str, expected: list[str]) -> None:
    assert list(contained_systems(manifest(system))) == expected


@pytest.mark.parametrize("system", ["system1", "system2", "system4"])
def test_a_contained_system_is_fused_as_in_a_bundle_of_its_own(system: str) -> None:
    inside = contained_systems(manifest("system3", MACHINES))[system]
    own = fitted(system, MACHINES)

    for machine in MACHINES:
        np.testing.assert_allclose(
            fuse(inside[machine], scores(system)), fuse(own[machine], scores(system)), rtol=SAME_SUM
        )
    assert inside["fan"].branches() == own["fan"].branches()


@pytest.mark.parametrize("system", ["system1", "system4"])
def test_weights_of_a_contained_system_chosen_with_labels_are_its_own_too(system: str) -> None:
    seen: list[str] = []
    known = {
        machine: ClipScores(
            one.normal, labelled={name: branch_scores(name, 5) for name in one.normal}
        )
        for machine, one in normal_scores("system3", MACHINES).items()
    }
    rules = dict.fromkeys(("channels", "models"), grid(seen))

    whole = fit_fusions(SYSTEMS["system3"].fusion, known, rules)
    inside = contained_systems(manifest("system3", MACHINES, fusions=whole))[system]

    assert seen
    assert inside == fit_fusions(
        SYSTEMS[system].fusion,
        {
            machine: ClipScores(
                {n: one.normal[n] for n in SYSTEMS[system].fusion.branches()},
                labelled={n: branch_scores(n, 5) for n in SYSTEMS[system].fusion.branches()},
            )
            for machine, one in known.items()
        },
        rules,
    )
    assert labels_of(whole["fan"]) == ("labels of dev",)


def test_an_unknown_system_is_present_under_its_own_name() -> None:
    made = manifest("system4").model_copy(update={"system": "system9"})

    assert list(contained_systems(made)) == ["system9"]


def test_a_system_whose_branches_the_fusion_lacks_is_not_present() -> None:
    fusion = FusionSpec(terms=(TermSpec(of="fkie@near", weight=1.0),), method="one")
    made = manifest("system1", fusions=dict.fromkeys(MACHINES, fusion))

    assert list(contained_systems(made)) == ["system1"]


def test_systems_that_share_a_network_but_not_a_scorer_do_not_contain_each_other() -> None:
    mse, mahala = SYSTEMS["baseline-mse"], SYSTEMS["baseline-mahala"]

    assert not contains(mse, mahala)
    assert not contains(mahala, mse)


def test_the_largest_systems_contain_all_others() -> None:
    names = [system.name for system in largest(list(SYSTEMS.values()))]

    assert names == ["system3", "system4-clean", "system5", "baseline-mse", "baseline-mahala"]


def test_models_and_microphones_are_left_out_in_all_combinations() -> None:
    found = [(one.system, one.models, one.microphones) for one in ablations(manifest("system1"))]

    assert found == [
        ("system1", models, microphones)
        for models in ("beats", "fkie", "beats + fkie")
        for microphones in ("near", "far", "near + far")
    ]


@pytest.mark.parametrize(
    ("system", "shown"),
    [("system3", {"system1"}), ("system4", {"system4"}), ("system2", set())],
)
def test_systems_inside_others_and_of_one_branch_have_no_ablations_of_their_own(
    system: str, shown: set[str]
) -> None:
    assert {one.system for one in ablations(manifest(system))} == shown


def test_the_last_ablation_is_the_whole_system() -> None:
    made = manifest("system1")

    whole = ablations(made)[-1].fusions["fan"]

    np.testing.assert_allclose(
        fuse(whole, scores("system1")),
        fuse(made.machines["fan"].fusion, scores("system1")),
        rtol=SAME_SUM,
    )


def test_one_model_alone_is_its_own_mix_and_one_microphone_keeps_the_models_weights() -> None:
    made = manifest("system1")
    beats, fkie = made.machines["fan"].fusion.terms
    by_name = {(one.models, one.microphones): one.fusions["fan"] for one in ablations(made)}
    branch = scores("system1")

    near = fuse(by_name["beats + fkie", "near"], branch)

    assert isinstance(fkie.of, FusionSpec)
    np.testing.assert_allclose(
        fuse(by_name["fkie", "near + far"], branch), fuse(fkie.of, branch), rtol=SAME_SUM
    )
    expected = beats.weight * branch["beats@near"] + fkie.weight * branch["fkie@near"]
    np.testing.assert_allclose(near, expected, rtol=SAME_SUM)
    assert beats.weight != fkie.weight


def test_weights_of_what_is_left_sum_to_one_and_zero_weights_become_equal() -> None:
    fusion = FusionSpec(
        terms=tuple(
            TermSpec(of=name, weight=weight) for name, weight in zip("abc", (1, 0, 0), strict=True)
        ),
        method="stated",
    )

    left = restricted(fusion, {"b", "c"})

    assert left is not None
    assert [term.weight for term in left.terms] == [0.5, 0.5]
    assert restricted(fusion, {"d"}) is None


def test_networks_and_precisions_are_those_of_the_systems_own_branches() -> None:
    made = manifest(
        "system3", networks={"beats": "beats-mini"}, precisions={"beats": "fp32", "fkie": "int8"}
    )
    present = contained_systems(made)

    assert networks_of(made, present["system1"]) == ("beats-mini", "fkie")
    assert networks_of(made, present["system2"]) == ("resnet",)
    assert precision_of(made, present["system1"]) == "beats fp32, fkie int8"
    assert precision_of(made, present["system4"]) == "int8"
