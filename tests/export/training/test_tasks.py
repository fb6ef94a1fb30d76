"""Which networks a run trains, and on what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from edge_asd.bundle.system import SYSTEMS, System, WeightedSum
from edge_asd.errors import UsageError
from edge_asd_export.data.clips import MachineClips, scan
from edge_asd_export.training.config import TrainConfig
from edge_asd_export.training.tasks import network_name, plan_tasks, views_of


@pytest.fixture(scope="module")
def machines(small_data: Path) -> Mapping[str, MachineClips]:
    return scan([small_data]).machines


def test_all_machines_and_views_train_one_network(machines: Mapping[str, MachineClips]) -> None:
    tasks = plan_tasks(TrainConfig(systems=("system4",)), machines)

    assert list(tasks) == ["fkie"]
    record = tasks["fkie"].record
    # Two machines, fourteen clips, two views; two domains, two speeds each.
    assert (record.n_channels, record.n_items, len(record.classes)) == (1, 56, 16)
    assert len(tasks["fkie"].items) == 56
    assert {item.view for item in tasks["fkie"].items} == {"near", "far"}


def test_a_network_per_machine_sees_that_machine_only(
    machines: Mapping[str, MachineClips],
) -> None:
    tasks = plan_tasks(TrainConfig(systems=("baseline-mse",)), machines)

    assert list(tasks) == ["autoencoder/fan", "autoencoder/pump"]
    for name, task in tasks.items():
        assert {item.clip.machine for item in task.items} == {name.partition("/")[2]}
        assert {item.view for item in task.items} == {"near"}


def test_systems_share_what_they_have_in_common(machines: Mapping[str, MachineClips]) -> None:
    config = TrainConfig(systems=("baseline-mse", "system4", "system2", "baseline-mahala"))

    tasks = plan_tasks(config, machines)

    assert list(tasks) == ["autoencoder/fan", "autoencoder/pump", "fkie", "resnet"]


def test_both_microphones_are_one_view_of_two_channels(
    machines: Mapping[str, MachineClips],
) -> None:
    task = plan_tasks(TrainConfig(systems=("system2",)), machines)["resnet"]

    assert (task.record.n_channels, task.record.n_items) == (2, 28)
    assert {name[3] for name in task.record.classes} == {"stereo"}


def test_classes_can_be_shared_by_views(machines: Mapping[str, MachineClips]) -> None:
    task = plan_tasks(TrainConfig(systems=("system4",), view_classes=False), machines)["fkie"]

    assert len(task.record.classes) == 8
    assert {name[3] for name in task.record.classes} == {""}


def test_a_network_cannot_hear_one_and_two_microphones() -> None:
    mixed = System("mixed", "", WeightedSum(("fkie@near", "fkie@stereo")))

    with pytest.raises(UsageError, match=r"'fkie' cannot take .*: near, stereo; train"):
        views_of("fkie", [SYSTEMS["system2"], mixed])


def test_views_of_several_systems_are_joined() -> None:
    near = System("near", "", WeightedSum(("fkie@near",)))
    far = System("far", "", WeightedSum(("fkie@far", "resnet@stereo")))

    assert views_of("fkie", [near, far, near]) == ["near", "far"]


@pytest.mark.parametrize(
    ("extractor", "name"), [("fkie", "fkie"), ("autoencoder", "autoencoder/fan")]
)
def test_a_machine_s_network_is_called_by_the_machine_where_it_has_its_own(
    extractor: str, name: str
) -> None:
    assert network_name(extractor, "fan") == name


def test_an_extractor_without_recipe_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no recipe for extractor 'oracle'; known .*fkie"):
        network_name("oracle", "fan")
