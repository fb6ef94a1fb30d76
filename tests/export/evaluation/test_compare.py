"""Rows of a comparison, their differences and means, and what cannot be compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from export.comparison_fakes import manifest, scored_bundle
from export.evaluation_fakes import write_clip, write_machine

from edge_asd.errors import DataError, UsageError
from edge_asd.scoring.fusion import fuse
from edge_asd_export.data.clips import scan
from edge_asd_export.evaluation.compare import Difference, averages, compare, has_repetitions
from edge_asd_export.evaluation.metrics import machine_metrics, official_score
from edge_asd_export.evaluation.published import PUBLISHED, published_beside
from edge_asd_export.evaluation.test_sets import name_bundles, plan_test_sets

SEVEN = ("bearingEmu", "fan", "gearboxEmu", "sliderEmu", "ToyCar", "ToyCarEmu", "valveEmu")
SAME_SCORE = 1e-12


def test_every_system_of_every_bundle_is_a_row_sorted_by_system() -> None:
    bundles = (scored_bundle("a"), scored_bundle("b", "system4"))

    found = [(row.kind.system, row.bundle) for row in compare(bundles, n_replicates=20).rows]

    assert found == [
        ("system1", "a"),
        ("system2", "a"),
        ("system3", "a"),
        ("system4", "a"),
        ("system4", "b"),
    ]


def test_a_row_has_the_figures_of_its_systems_fused_scores() -> None:
    bundle = scored_bundle(networks={"beats": "beats-mini"})

    whole = next(
        row for row in compare([bundle], n_replicates=20).rows if row.kind.system == "system3"
    )

    expected = []
    for clips in bundle.machines:
        assert clips.is_anomaly is not None
        assert clips.is_target is not None
        fused = fuse(bundle.manifest.machines[clips.machine].fusion, dict(clips.scores))
        expected.append(machine_metrics(fused, clips.is_anomaly, clips.is_target))
    assert whole.figures["pump"].metrics == expected[1]
    assert whole.official.score == pytest.approx(official_score(expected), rel=SAME_SCORE)
    assert whole.kind.networks == ("beats-mini", "fkie", "resnet")


def test_differences_are_paired_so_that_equal_scores_differ_by_nothing() -> None:
    whole = scored_bundle("a", "system4")
    rows = compare([whole, replace(whole, name="b"), scored_bundle("c", "system4", seed=1)]).rows

    same, other = Difference.of(rows[0], rows[1]), Difference.of(rows[2], rows[0])

    assert (same.value, same.std) == (0.0, 0.0)
    assert other.value == rows[2].official.score - rows[0].official.score
    assert other.std > 0


def test_a_paired_difference_of_alike_scores_is_surer_than_two_separate_ones() -> None:
    bundle = scored_bundle("a", "system4")
    nudged = tuple(
        replace(
            clips,
            scores={
                name: scores + np.random.default_rng(3).normal(0, 1e-2, scores.size)
                for name, scores in clips.scores.items()
            },
        )
        for clips in bundle.machines
    )

    rows = compare([bundle, replace(bundle, name="b", machines=nudged)]).rows

    assert Difference.of(*rows).std < rows[0].official.std / 2


def test_rows_alike_in_system_networks_and_precision_are_averaged() -> None:
    bundles = [scored_bundle(str(seed), "system4", seed=seed) for seed in range(3)]
    bundles.append(scored_bundle("fp32", "system4", precisions={"fkie": "fp32"}))
    rows = compare(bundles, n_replicates=20).rows

    (average,) = averages(rows)

    scores = [row.official.score for row in rows[:3]]
    assert average.official.score == pytest.approx(np.mean(scores))
    assert average.official.std == pytest.approx(np.std(scores, ddof=1))
    paucs = [row.figures["fan"].metrics.pauc for row in rows[:3]]
    assert average.machine("fan")["pauc"].score == pytest.approx(np.mean(paucs))


def test_there_is_something_to_average_only_with_two_rows_alike() -> None:
    mini = manifest("system1", networks={"beats": "beats-mini"})

    assert has_repetitions([mini, mini])
    assert has_repetitions([mini, manifest("system1")])  # the systems 4 inside are alike
    assert not has_repetitions([manifest("system1"), manifest("system2")])


def test_bundles_are_named_by_as_much_of_their_paths_as_tells_them_apart() -> None:
    paths = [Path("runs/seed0/bundles/system3"), Path("runs/seed1/bundles/system3")]

    assert name_bundles([Path("bundles/a"), Path("bundles/b")]) == {
        "a": Path("bundles/a"),
        "b": Path("bundles/b"),
    }
    assert list(name_bundles(paths)) == ["seed0/bundles/system3", "seed1/bundles/system3"]


def test_a_bundle_given_twice_and_no_bundle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")

    with pytest.raises(UsageError, match="is given twice"):
        name_bundles([tmp_path / "a", tmp_path / "link"])
    with pytest.raises(UsageError, match="no bundle to compare"):
        name_bundles([])


def test_only_machines_of_every_bundle_are_compared_and_the_others_named(tmp_path: Path) -> None:
    for machine in ("fan", "pump", "saw"):
        write_machine(tmp_path / machine)
    bundles = {
        "a": manifest("system4", ("fan", "pump", "valve")),
        "b": manifest("system4", ("fan", "valve")),
    }

    test_sets, warnings = plan_test_sets(scan([tmp_path]), bundles, need_figures=True)

    assert [one.machine for one in test_sets] == ["fan"]
    assert warnings == (
        "machine 'pump' is left out: b does not know it",
        "machine 'saw' is left out: a, b does not know it",
        "machine 'valve' is left out: the data has no test clips of it",
    )


def test_a_bundle_that_shares_no_machine_with_the_data_is_named(tmp_path: Path) -> None:
    write_machine(tmp_path / "fan")
    bundles = {"a": manifest("system4", ("fan",)), "b": manifest("system4", ("pump",))}

    with pytest.raises(DataError, match=r"bundle b shares no machine .* pump, .* clips of fan"):
        plan_test_sets(scan([tmp_path]), bundles, need_figures=True)


def test_bundles_of_different_machines_are_refused_with_what_each_knows(tmp_path: Path) -> None:
    write_machine(tmp_path / "fan")
    write_machine(tmp_path / "pump")
    bundles = {"a": manifest("system4", ("fan",)), "b": manifest("system4", ("pump",))}

    with pytest.raises(DataError, match=r"share no machine.*: a knows fan; b knows pump"):
        plan_test_sets(scan([tmp_path]), bundles, need_figures=True)


def test_a_bundle_that_cannot_take_the_clips_is_named(tmp_path: Path) -> None:
    write_machine(tmp_path / "fan", n_samples=800)

    with pytest.raises(DataError, match=r"bundle a: clips of machine 'fan' are 0\.05 s long"):
        plan_test_sets(scan([tmp_path]), {"a": manifest("system4", ("fan",))})


def test_anonymous_clips_alone_are_refused_before_scoring(tmp_path: Path) -> None:
    write_clip(tmp_path / "fan" / "test" / "section_00_0000.wav")

    with pytest.raises(DataError, match=r"nothing to compare: fan: .* --ground-truth"):
        plan_test_sets(scan([tmp_path]), {"a": manifest("system4", ("fan",))}, need_figures=True)


def test_a_machine_without_figures_is_left_out_with_the_reason(tmp_path: Path) -> None:
    write_machine(tmp_path / "fan")
    write_clip(tmp_path / "pump" / "test" / "section_00_source_test_normal_0000.wav")

    test_sets, warnings = plan_test_sets(
        scan([tmp_path]), {"a": manifest("system4")}, need_figures=True
    )

    assert [one.machine for one in test_sets] == ["fan"]
    assert "machine 'pump' is left out: found 1 source normals, 0 target" in warnings[0]


def test_published_figures_stand_beside_those_of_the_published_machines() -> None:
    beside = published_beside(SEVEN)

    assert beside.systems == PUBLISHED
    assert beside.all_machines
    assert [one.official for one in beside.named("baseline-mse")] == [57.06, 56.66]
    assert "comparable only when" in str(beside.note)


def test_a_fan_among_machines_that_were_not_published_is_another_fan() -> None:
    beside = published_beside(["fan", "uavA"])
    wanted = published_beside(["fan", "uavA"], wanted=True)

    assert beside.systems == ()
    assert "not shown: the data has uavA, which that set has not" in str(beside.note)
    assert wanted.systems == PUBLISHED
    assert "its fan is most likely another machine" in str(wanted.note)


def test_published_figures_are_left_out_on_request_and_refused_where_there_are_none() -> None:
    assert published_beside(SEVEN, wanted=False).systems == ()
    assert published_beside(["pump"]).note is None
    with pytest.raises(UsageError, match="no published figures for pump"):
        published_beside(["pump"], wanted=True)


def test_totals_of_some_machines_are_recomputed_from_the_published_rows() -> None:
    system4 = next(one for one in PUBLISHED if one.name == "system4")

    assert system4.recomputed_over(["fan"]) == pytest.approx(
        3 / (1 / 63.68 + 1 / 48.84 + 1 / 53.63)
    )
    assert system4.recomputed_over(["fan", "uavA"]) is None
    assert system4.recomputed_over([]) is None
    assert not published_beside(["fan"]).all_machines
