"""Zip archives become machine folders, whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from export.fetch_server import zipped

from edge_asd.errors import DataError
from edge_asd.recordings.clip_name import Split
from edge_asd_export.data.unpack import missing_splits, unpack

BOTH: tuple[Split, ...] = ("train", "test")
GOOD = {"fan/train/a.wav": b"a" * 1000, "fan/test/b.wav": b"b" * 1000}


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("lead", ["", "fan/", "dev_fan/fan/"])
def test_a_leading_folder_may_be_missing_or_one_too_many(
    out: Path, tmp_path: Path, lead: str
) -> None:
    archive = write(tmp_path / "a.zip", zipped({f"{lead}train/a.wav": b"a", f"{lead}test/b": b"b"}))

    unpack(archive, "fan", BOTH, out)

    assert tree(out) == {"fan/train/a.wav", "fan/test/b"}


def test_hidden_files_and_files_elsewhere_are_left_out(out: Path, tmp_path: Path) -> None:
    others = {"README.txt": b"", "__MACOSX/fan/train/._a.wav": b"", "fan/.DS_Store": b""}
    archive = write(tmp_path / "a.zip", zipped(GOOD | others))

    unpack(archive, "fan", BOTH, out)

    assert tree(out) == set(GOOD)


def test_two_archives_of_one_machine_share_its_folder(out: Path, tmp_path: Path) -> None:
    train = zipped({"fan/train/a.wav": b"a", "fan/attributes_00.csv": b"first"})
    test = zipped({"fan/test/b.wav": b"b", "fan/attributes_00.csv": b"second"})

    unpack(write(tmp_path / "train.zip", train), "fan", ("train",), out)
    unpack(write(tmp_path / "test.zip", test), "fan", ("test",), out)

    assert tree(out) == {"fan/train/a.wav", "fan/test/b.wav", "fan/attributes_00.csv"}
    assert (out / "fan/attributes_00.csv").read_bytes() == b"first"


def test_a_split_that_is_there_already_stays_as_it_is(out: Path, tmp_path: Path) -> None:
    (out / "fan/train").mkdir(parents=True)
    (out / "fan/test").mkdir()
    (out / "fan/train/own.wav").touch()

    unpack(write(tmp_path / "a.zip", zipped(GOOD)), "fan", BOTH, out)

    assert tree(out) == {"fan/train/own.wav", "fan/test/b.wav"}


def test_a_split_without_files_is_missing(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()

    assert missing_splits(tmp_path, BOTH) == BOTH


def link(name: str) -> bytes:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO(zipped(GOOD))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


def twice(name: str) -> bytes:
    buffer = io.BytesIO(zipped(GOOD))
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(name, b"other")
    return buffer.getvalue()


def encrypted() -> bytes:
    """The flag in the central directory is what a reader goes by."""
    content = bytearray(zipped(GOOD))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (zipped(GOOD | {"fan/train/../../../x": b""}), "points out of the archive"),
        (zipped(GOOD | {"/fan/train/x": b""}), "points out of the archive"),
        (zipped(GOOD | {"fan\\train\\..\\x": b""}), "points out of the archive"),
        (link("fan/train/x.wav"), "is a link or a device"),
        (twice("fan/train/a.wav"), "comes twice"),
        (zipped(GOOD | {"x/fan/train/a.wav": b""}), "comes twice"),
        (encrypted(), "is encrypted"),
        (zipped({"fan/train/a.wav": b""}), "no fan/test inside, only fan"),
        (zipped({"pump/train/a.wav": b""}), "no fan/train inside, only pump"),
        (zipped({}), "no fan/train inside, only nothing"),
        (b"<html>maintenance</html>", "not a readable zip archive"),
        (zipped(GOOD)[:-30], "not a readable zip archive"),
        (zipped(GOOD).replace(b"fan/train", b"fan/trail", 1), "not a readable zip archive"),
    ],
)
def test_a_hostile_or_damaged_archive_is_refused_and_leaves_nothing(
    out: Path, tmp_path: Path, content: bytes, reason: str
) -> None:
    archive = write(tmp_path / "a.zip", content)

    with pytest.raises(DataError, match=reason) as caught:
        unpack(archive, "fan", BOTH, out)

    assert "\n" not in str(caught.value)
    assert list(out.iterdir()) == []
    assert list(tmp_path.iterdir()) in ([archive, out], [out, archive])


def test_a_clip_with_a_wrong_checksum_is_noticed(out: Path, tmp_path: Path) -> None:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        for name, content in GOOD.items():
            archive.writestr(name, content)
    damaged = stored.getvalue().replace(b"aaaa", b"aaba", 1)

    with pytest.raises(DataError, match="Bad CRC-32"):
        unpack(write(tmp_path / "a.zip", damaged), "fan", BOTH, out)

    assert list(out.iterdir()) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_an_interrupted_unpacking_leaves_nothing(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    def copy_a_little_and_stop(source: io.BufferedIOBase, target: io.BufferedIOBase) -> None:
        target.write(source.read(10))
        raise stop

    monkeypatch.setattr(shutil, "copyfileobj", copy_a_little_and_stop)

    with pytest.raises(type(stop)):
        unpack(write(tmp_path / "a.zip", zipped(GOOD)), "fan", BOTH, out)

    assert list(out.iterdir()) == []


def test_what_does_not_fit_on_the_disk_is_not_begun(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(out)._replace(free=1999)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)

    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        unpack(write(tmp_path / "a.zip", zipped(GOOD)), "fan", BOTH, out)


def test_what_a_killed_process_left_is_cleared_away(out: Path, tmp_path: Path) -> None:
    (out / ".fan.unpacking-x/fan/train").mkdir(parents=True)

    unpack(write(tmp_path / "a.zip", zipped(GOOD)), "fan", BOTH, out)

    assert [path.name for path in out.iterdir()] == ["fan"]
