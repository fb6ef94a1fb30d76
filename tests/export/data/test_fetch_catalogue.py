"""The catalogue of DCASE 2026 Task 2 and the help that describes it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from edge_asd.cli import app
from edge_asd.errors import UsageError
from edge_asd_export.data.fetch_catalogue import Part, load_catalogue

PARTS = ("dev", "additional", "eval")


def part(name: str) -> Part:
    return load_catalogue("dcase2026").part(name)


@pytest.mark.parametrize(
    ("name", "machine", "path"),
    [
        ("dev", "fan", "19336329/files/dev_fan.zip"),
        ("dev", "ToyCar", "19336329/files/dev_ToyCar_r2.zip"),
        ("additional", "Sander", "20151556/files/eval_data_Sander_train.zip"),
        ("eval", "Sander", "20437238/files/eval_data_Sander_test.zip"),
    ],
)
def test_an_archive_lies_in_the_record_of_its_part(name: str, machine: str, path: str) -> None:
    url = part(name).url(machine, "https://zenodo.org/")

    assert url == f"https://zenodo.org/records/{path}"


def test_additional_and_eval_hold_the_two_splits_of_the_same_machines() -> None:
    additional, evaluation = part("additional"), part("eval")

    assert (additional.splits, evaluation.splits) == (("train",), ("test",))
    assert list(additional.archives) == list(evaluation.archives)


def test_no_archive_and_no_checksum_comes_twice() -> None:
    archives = [archive for name in PARTS for archive in part(name).archives.values()]
    checksums = [archive.md5 for archive in archives if archive.md5]

    assert len({archive.name for archive in archives}) == len(archives) == 17
    assert len(set(checksums)) == len(checksums) == 12


def test_named_machines_come_once_in_the_order_of_the_catalogue() -> None:
    assert part("dev").machines(["fan", "ToyCar", "fan"]) == ("ToyCar", "fan")


def test_all_machines_come_when_none_is_named() -> None:
    assert len(part("dev").machines([])) == 7


def test_an_unknown_machine_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no machine 'Fan' to fetch; choose from ToyCar, .* fan,"):
        part("dev").machines(["Fan"])


@pytest.mark.parametrize("name", PARTS)
def test_the_help_names_every_record_machine_and_the_licence(name: str) -> None:
    text = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["data", "fetch", "--help"]).output

    assert str(part(name).record) in text
    assert load_catalogue("dcase2026").licence in text
    assert [machine for machine in part(name).archives if machine not in text] == []
