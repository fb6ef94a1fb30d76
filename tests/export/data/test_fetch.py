"""`edge-asd data fetch` against a web server on the loopback interface."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from export.fetch_server import (
    Fault,
    Handler,
    Zenodo,
    anonymous_test_files,
    labelled_test_files,
    reset,
    serving,
    train_files,
    truncate,
    zipped,
)
from typer.testing import CliRunner, Result

from edge_asd.cli import app
from edge_asd_export.data import resuming_download
from edge_asd_export.data.clips import scan

FAN = "/records/19336329/files/dev_fan.zip"
VALVE = "/records/19336329/files/dev_valveEmu.zip"
SANDER = {
    "additional": "/records/20151556/files/eval_data_Sander_train.zip",
    "eval": "/records/20437238/files/eval_data_Sander_test.zip",
}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming_download, "BACKOFF_S", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def zenodo() -> Iterator[Zenodo]:
    """Two machines of the development set."""
    with serving() as zenodo:
        for path, machine in ((FAN, "fan"), (VALVE, "valveEmu")):
            zenodo.files[path] = zipped(train_files(machine) | labelled_test_files(machine))
        yield zenodo


def fetch(zenodo: Zenodo, out: Path, *options: str, part: str = "dev") -> Result:
    words = ["data", "fetch", "dcase2026", "--part", part, "--out", str(out), *options]
    return CliRunner().invoke(app, [*words, "--base-url", zenodo.url])


def fetch_fan(zenodo: Zenodo, out: Path, *options: str) -> Result:
    return fetch(zenodo, out, "--machine", "fan", *options)


def machine_folders(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def last_line(result: Result) -> str:
    return str(result.stderr).splitlines()[-1]


def test_machines_are_unpacked_and_counted_and_their_archives_removed(
    zenodo: Zenodo, tmp_path: Path
) -> None:
    result = fetch(zenodo, tmp_path, "--machine", "fan", "--machine", "valveEmu")

    assert result.exit_code == 0, result.output
    assert machine_folders(tmp_path) == ["fan", "valveEmu"]
    rows = [line.split() for line in result.stdout.splitlines() if "1/1" in line]
    assert [row[:4] for row in rows] == [[name, "1", "0", "4/0"] for name in ("fan", "valveEmu")]
    assert "no problems" in result.stdout
    assert "CC BY-NC-SA 4.0; cite https://doi.org/10.5281/zenodo.19336329" in last_line(result)


def test_what_was_fetched_is_clean(zenodo: Zenodo, tmp_path: Path) -> None:
    fetch_fan(zenodo, tmp_path)

    inventory = scan([tmp_path])

    assert inventory.problems == ()
    assert len(inventory.machines["fan"].train) == 4


def test_kept_archives_are_not_downloaded_again(zenodo: Zenodo, tmp_path: Path) -> None:
    fetch_fan(zenodo, tmp_path, "--keep-archives")
    assert (tmp_path / ".archives/dev_fan.zip").read_bytes() == zenodo.files[FAN]
    shutil.rmtree(tmp_path / "fan")
    zenodo.requests.clear()

    result = fetch_fan(zenodo, tmp_path)

    assert result.exit_code == 0, result.output
    assert machine_folders(tmp_path) == ["fan"]
    assert zenodo.requests == []


def test_a_machine_that_is_there_is_skipped(zenodo: Zenodo, tmp_path: Path) -> None:
    fetch_fan(zenodo, tmp_path)
    zenodo.requests.clear()

    result = fetch_fan(zenodo, tmp_path)

    assert "fan: already there, skipped" in result.stderr
    assert zenodo.requests == []
    assert result.exit_code == 0


@pytest.mark.parametrize("order", [("additional", "eval"), ("eval", "additional")])
def test_additional_and_eval_end_in_one_folder(
    zenodo: Zenodo, tmp_path: Path, order: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"additional": train_files("Sander"), "eval": anonymous_test_files("Sander")}
    without_checksums(monkeypatch)
    for part in order:
        zenodo.files[SANDER[part]] = zipped(files[part])
        result = fetch(zenodo, tmp_path, "--machine", "Sander", part=part)
        assert result.exit_code == 0, result.output
        assert ("no train clips yet" in result.stderr) == (part == "eval" == order[0])

    sander = scan([tmp_path]).machines["Sander"]
    assert (len(sander.train), len(sander.test)) == (4, 2)


def without_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pinned ones are those of the real archives."""
    from edge_asd_export.data import fetch_catalogue

    def load(data_set: str) -> fetch_catalogue.Catalogue:
        catalogue = original(data_set).model_dump()
        for part in catalogue["parts"].values():
            for archive in part["archives"].values():
                archive["md5"] = None
        return fetch_catalogue.Catalogue.model_validate(catalogue)

    original = fetch_catalogue.load_catalogue
    monkeypatch.setattr(fetch_catalogue, "load_catalogue", load)


def test_problems_of_the_clips_are_named_and_the_exit_code_is_1(
    zenodo: Zenodo, tmp_path: Path
) -> None:
    stray = {"fan/train/section_00_source_train_anomaly_0000_noAttribute.wav": b""}
    zenodo.files[FAN] = zipped(train_files("fan") | labelled_test_files("fan") | stray)

    result = fetch_fan(zenodo, tmp_path)

    assert "anomaly clip in train" in result.stdout
    assert "1 problem" in result.stdout
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("dcase2025", "--part", "dev"), "no data set 'dcase2025' to fetch; choose from dcase2026"),
        (("dcase2026", "--part", "test"), "no part 'test' to fetch; choose from dev, additional"),
        (
            ("dcase2026", "--part", "eval", "--machine", "fan"),
            "no machine 'fan' to fetch; choose from BlowerDustCollector, Sander, SewingMachine",
        ),
    ],
)
def test_what_does_not_exist_is_one_line_and_exit_code_2(
    tmp_path: Path, words: tuple[str, ...], line: str
) -> None:
    result = CliRunner().invoke(app, ["data", "fetch", *words, "--out", str(tmp_path / "out")])

    assert result.stderr.startswith(f"error: {line}")
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fault", [truncate, reset])
def test_an_interrupted_transfer_is_continued_without_a_word_from_the_user(
    zenodo: Zenodo, tmp_path: Path, fault: Fault
) -> None:
    zenodo.faults.append(fault)

    result = fetch_fan(zenodo, tmp_path)

    assert result.exit_code == 0, result.output
    assert "connection lost" in result.stderr
    assert [bool(request.range) for request in zenodo.gets] == [False, True]


def test_an_archive_missing_on_the_server_shows_before_any_download(
    zenodo: Zenodo, tmp_path: Path
) -> None:
    result = fetch(zenodo, tmp_path, "--machine", "fan", "--machine", "gearboxEmu")

    assert f"{zenodo.url}/records/19336329/files/dev_gearboxEmu.zip: HTTP 404" in result.stderr
    assert result.exit_code == 1
    assert zenodo.gets == []


def test_a_server_with_another_checksum_than_the_pinned_one_is_refused_at_once(
    zenodo: Zenodo, tmp_path: Path
) -> None:
    zenodo.files[FAN.replace("fan", "ToyCar_r2")] = zenodo.files[FAN]

    result = fetch(zenodo, tmp_path, "--machine", "ToyCar")

    assert "expected md5 353201db217e25377a7e7eccf9c1c8a7, the server offers" in result.stderr
    assert result.exit_code == 1
    assert zenodo.gets == []


def test_a_download_with_a_wrong_checksum_is_removed(zenodo: Zenodo, tmp_path: Path) -> None:
    def spoil(handler: Handler, body: bytes) -> None:
        handler.send(body[:-1] + b"!")

    zenodo.faults.append(spoil)

    result = fetch_fan(zenodo, tmp_path)

    assert "expected md5:" in last_line(result)
    assert "but got" in last_line(result)
    assert result.exit_code == 1
    assert list((tmp_path / ".archives").iterdir()) == []
    assert fetch_fan(zenodo, tmp_path).exit_code == 0


def test_a_damaged_archive_is_removed(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.files[FAN] = b"<html>maintenance</html>"

    result = fetch_fan(zenodo, tmp_path)

    assert "not a readable zip archive" in last_line(result)
    assert "the archive was removed" in last_line(result)
    assert result.exit_code == 1
    assert list((tmp_path / ".archives").iterdir()) == []


def test_too_small_a_disk_is_one_line_before_any_download(
    zenodo: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=500_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)

    result = fetch_fan(zenodo, tmp_path)

    assert "needed, 500.0 kB free; free some space" in last_line(result)
    assert result.exit_code == 1
    assert zenodo.gets == []


def test_a_disk_that_fills_while_unpacking_keeps_the_archive(
    zenodo: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", no_space)
        result = fetch_fan(zenodo, tmp_path)

    assert "No space left on device; the archive is kept" in last_line(result)
    assert result.exit_code == 1
    assert machine_folders(tmp_path) == [".archives"]
    assert fetch_fan(zenodo, tmp_path).exit_code == 0
    assert len(zenodo.gets) == 1


def test_ctrl_c_keeps_what_has_arrived_and_says_how_to_go_on(
    zenodo: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arriving = requests.Response.iter_content

    def one_chunk_then_ctrl_c(self: requests.Response, chunk_size: int) -> Iterator[bytes]:
        for chunk in arriving(self, chunk_size):
            yield chunk
            if self.request.method == "GET":
                raise KeyboardInterrupt  # a signal would come at another place in every run

    with monkeypatch.context() as patch:
        patch.setattr(requests.Response, "iter_content", one_chunk_then_ctrl_c)
        result = fetch_fan(zenodo, tmp_path)

    assert "kept" in result.stderr.splitlines()[-2]
    assert "run the same command again to go on" in result.stderr.splitlines()[-2]
    assert last_line(result) == "interrupted"
    assert result.exit_code == 130
    assert fetch_fan(zenodo, tmp_path).exit_code == 0
    assert zenodo.gets[1].range is not None


def test_ctrl_c_while_verifying_does_not_cost_the_download(
    zenodo: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press_ctrl_c(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", press_ctrl_c)
        assert fetch_fan(zenodo, tmp_path).exit_code == 130

    assert fetch_fan(zenodo, tmp_path).exit_code == 0
    assert len(zenodo.gets) == 1


def test_two_processes_do_not_fetch_into_one_folder(zenodo: Zenodo, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)

    result = fetch_fan(zenodo, tmp_path)

    os.close(descriptor)
    assert "another 'edge-asd data fetch' is at work here" in result.stderr
    assert result.exit_code == 2
