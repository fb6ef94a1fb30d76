"""A folder that appears whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from edge_asd.errors import DataError, UsageError
from edge_asd_export.atomic_folder import atomic_folder


def make(out: Path, text: str) -> None:
    with atomic_folder(out, "marker") as staging:
        (staging / "marker").write_text(text)


def test_folder_appears_with_its_files_and_nothing_else(tmp_path: Path) -> None:
    make(tmp_path / "deep" / "out", "new")

    assert (tmp_path / "deep" / "out" / "marker").read_text() == "new"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_earlier_folder_of_the_kind_is_replaced(tmp_path: Path) -> None:
    make(tmp_path / "out", "old")
    (tmp_path / "out" / "extra").touch()

    make(tmp_path / "out", "new")

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["marker"]


def test_folder_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").touch()

    with pytest.raises(UsageError, match="has no marker"):
        make(tmp_path / "out", "new")

    assert (tmp_path / "out" / "thesis.txt").exists()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("bad")])
def test_nothing_is_left_after_a_failure(tmp_path: Path, error: BaseException) -> None:
    make(tmp_path / "out", "old")

    with pytest.raises(type(error)), atomic_folder(tmp_path / "out", "marker") as staging:
        (staging / "marker").write_text("new")
        raise error

    assert (tmp_path / "out" / "marker").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_full_disk_is_one_line_and_keeps_the_old_folder(tmp_path: Path) -> None:
    make(tmp_path / "out", "old")

    with (
        pytest.raises(DataError, match="No space left on device"),
        atomic_folder(tmp_path / "out", "marker"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert (tmp_path / "out" / "marker").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_interrupt_between_the_two_renames_keeps_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "out", "old")
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if ".partial-" in self.name:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "out", "new")

    assert (tmp_path / "out" / "marker").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
