"""Which folders below a root are machines, how these are called, and what is passed over."""

from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_asd.errors import UsageError
from edge_asd_export.data.clips import scan
from edge_asd_export.data.problems import require_clean

GOOD = "section_00_source_train_normal_{:04d}_spd_1.wav"


def write_clip(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0.1 * np.random.default_rng(seed).standard_normal((1600, 2))
    file = io.BytesIO()
    soundfile.write(file, noise, 16_000, format="WAV")
    path.write_bytes(file.getvalue())  # whatever bytes its name has
    return path


def good_machine(root: Path, name: str = "fan") -> Path:
    for index in range(3):
        write_clip(root / name / "train" / GOOD.format(index), index)
    return root / name


def test_a_root_may_be_a_machine_folder(tmp_path: Path) -> None:
    fan = good_machine(tmp_path)

    assert scan([fan]).machines == scan([tmp_path]).machines


def test_train_and_test_of_a_machine_may_lie_in_two_roots(tmp_path: Path) -> None:
    write_clip(tmp_path / "a" / "fan" / "train" / GOOD.format(0))
    write_clip(tmp_path / "b" / "fan" / "test" / "section_00_0000.wav")

    inventory = scan([tmp_path / "a", tmp_path / "b"])

    require_clean(inventory.problems)
    fan = inventory.machines["fan"]
    assert (len(fan.train), len(fan.test)) == (1, 1)


def test_a_root_given_twice_counts_once(tmp_path: Path) -> None:
    fan = good_machine(tmp_path)

    assert scan([tmp_path, fan, tmp_path]) == scan([tmp_path])


@pytest.mark.parametrize(
    ("folders", "ignored"),
    [
        ((), []),
        (("fan",), ["neither train nor test inside; not a machine folder"]),
        (("fan/train", "fan/test"), ["no WAV or FLAC file in train or test"]),
    ],
)
def test_a_root_without_a_machine_is_a_problem(
    tmp_path: Path, folders: tuple[str, ...], ignored: list[str]
) -> None:
    for folder in folders:
        (tmp_path / folder).mkdir(parents=True)

    found = scan([tmp_path])

    assert [problem.reason for problem in found.problems] == ["no machine folder inside"]
    assert [one.reason for one in found.ignored] == ignored


def test_a_machine_folder_without_clips_is_a_problem_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "fan" / "train").mkdir(parents=True)

    (problem,) = scan([tmp_path / "fan"]).problems

    assert problem.reason == "no WAV or FLAC file in train or test"


@pytest.mark.parametrize(
    "name",
    ["lost+found", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "notes", "LOST+FOUND"],
)
def test_what_is_no_machine_is_named_and_passed_over(tmp_path: Path, name: str) -> None:
    good_machine(tmp_path)
    (tmp_path / name / "S-1-5-21").mkdir(parents=True)

    found = scan([tmp_path])

    require_clean(found.problems)
    assert list(found.machines) == ["fan"]
    (note,) = found.notes
    assert note.startswith(f"ignored: {tmp_path / name}: ")


@pytest.mark.parametrize("name", ["lost+found", "$RECYCLE.BIN", ".Trash-1000", ".pump"])
def test_clips_in_hidden_folders_and_those_of_the_system_are_not_learned(
    tmp_path: Path, name: str
) -> None:
    good_machine(tmp_path)
    good_machine(tmp_path, name)

    found = scan([tmp_path])

    require_clean(found.problems)
    assert list(found.machines) == ["fan"]
    assert len(found.ignored) == 1


def test_hidden_folders_without_clips_are_not_worth_a_word(tmp_path: Path) -> None:
    good_machine(tmp_path)
    (tmp_path / ".archives").mkdir()
    (tmp_path / "__MACOSX" / "fan").mkdir(parents=True)

    assert list(scan([tmp_path]).notes) == []


def test_linked_machine_folders_keep_the_names_of_their_links(tmp_path: Path) -> None:
    for disk, index in (("disk1", 1), ("disk2", 2)):
        write_clip(tmp_path / disk / "2026" / "train" / GOOD.format(0), index)
    root = tmp_path / "recordings"
    root.mkdir()
    (root / "pump-1").symlink_to(tmp_path / "disk1" / "2026")
    (root / "pump-2").symlink_to(tmp_path / "disk2" / "2026")

    found = scan([root])

    require_clean(found.problems)
    assert {name: len(one.train) for name, one in found.machines.items()} == {
        "pump-1": 1,
        "pump-2": 1,
    }


def test_linked_clips_may_be_of_two_machines(tmp_path: Path) -> None:
    pool = write_clip(tmp_path / "pool" / "a.wav")
    for machine in ("pump-1", "pump-2"):
        train = tmp_path / "recordings" / machine / "train"
        train.mkdir(parents=True)
        (train / GOOD.format(0)).symlink_to(pool)

    assert list(scan([tmp_path / "recordings"]).machines) == ["pump-1", "pump-2"]


def test_a_second_name_of_one_folder_is_passed_over(tmp_path: Path) -> None:
    fan = good_machine(tmp_path)
    (tmp_path / "fan-2").symlink_to(fan)

    found = scan([tmp_path])

    assert list(found.machines) == ["fan"]
    assert list(found.notes) == [f"ignored: {tmp_path / 'fan-2'}: the same folder as {fan}"]


def test_a_link_to_a_disk_that_is_not_there_is_named(tmp_path: Path) -> None:
    good_machine(tmp_path)
    (tmp_path / "pump").symlink_to(tmp_path / "not-mounted")

    (note,) = scan([tmp_path]).notes

    assert note.endswith("pump: a link to nothing")


def test_the_folder_one_stands_in_has_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(good_machine(tmp_path))

    assert list(scan([Path()]).machines) == ["fan"]


@pytest.mark.parametrize("name", ["pump 3", "-pump", "Lüfter", "ポンプ", "a'b\"c", "x" * 100])
def test_a_machine_may_have_any_name_that_people_can_read(tmp_path: Path, name: str) -> None:
    good_machine(tmp_path, name)

    found = scan([tmp_path])

    require_clean(found.problems)
    assert list(found.machines) == [name]


@pytest.mark.parametrize("name", [" pump", "pu\nmp", "pu\x1bmp", "x" * 200, "ポ" * 80, b"p\xff"])
def test_a_name_that_nobody_can_read_is_a_problem(tmp_path: Path, name: str | bytes) -> None:
    good_machine(tmp_path, name if isinstance(name, str) else name.decode(errors="surrogateescape"))

    found = scan([tmp_path])

    assert found.machines == {}
    assert len(found.problems) == 1


def test_two_spellings_of_one_letter_are_one_machine(tmp_path: Path) -> None:
    composed, apart = (unicodedata.normalize(form, "Lüfter") for form in ("NFC", "NFD"))
    write_clip(tmp_path / "a" / composed / "train" / GOOD.format(0), 0)
    write_clip(tmp_path / "b" / apart / "train" / GOOD.format(1), 1)

    found = scan([tmp_path / "a", tmp_path / "b"])

    assert {name: len(one.train) for name, one in found.machines.items()} == {composed: 2}


def test_names_that_differ_by_capitals_alone_are_doubted(tmp_path: Path) -> None:
    good_machine(tmp_path, "Fan")
    good_machine(tmp_path, "fan")

    found = scan([tmp_path])

    assert list(found.machines) == ["Fan", "fan"]
    assert list(found.notes) == [
        "machines 'Fan', 'fan' differ by capital letters alone: is it one?"
    ]


def test_a_root_that_is_a_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        scan([write_clip(tmp_path / "a.wav")])
