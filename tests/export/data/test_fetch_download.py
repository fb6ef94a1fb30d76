"""A download survives what networks, servers and disks do to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export.fetch_server import Fault, Zenodo, reset, serving, truncate

from edge_asd.errors import DataError
from edge_asd_export.data import resuming_download
from edge_asd_export.data.resuming_download import (
    CHUNK_BYTES,
    DownloadProgress,
    ask,
    open_session,
    receive,
)

CONTENT = np.random.default_rng(0).bytes(5 * CHUNK_BYTES)
OTHER_CONTENT = np.random.default_rng(1).bytes(5 * CHUNK_BYTES)
HALF = (len(CONTENT) // 2) // CHUNK_BYTES * CHUNK_BYTES  # whole chunks of half the file


class Client:
    """A download of one file, with all that it reports."""

    def __init__(self, zenodo: Zenodo, folder: Path) -> None:
        self.url = f"{zenodo.url}/fan.zip"
        self.part = folder / "fan.zip.part"
        self.said: list[str] = []
        self.progress: list[tuple[int, int | None]] = []

    def receive(self) -> bytes:
        progress = DownloadProgress(self.said.append, lambda *counts: self.progress.append(counts))
        with open_session() as session:
            receive(session, self.url, self.part, progress)
        return self.part.read_bytes()

    def receive_half(self, zenodo: Zenodo) -> None:
        """As an earlier call would have left it."""
        zenodo.faults.extend([truncate] * resuming_download.MAX_FAILURES)
        self.part.parent.mkdir(exist_ok=True)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(DataError):
            patch.setattr(resuming_download, "MAX_FAILURES", 1)
            self.receive()
        zenodo.faults.clear()
        zenodo.requests.clear()
        self.said.clear()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming_download, "BACKOFF_S", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def zenodo() -> Iterator[Zenodo]:
    with serving() as zenodo:
        zenodo.files["/fan.zip"] = CONTENT
        yield zenodo


@pytest.fixture
def client(zenodo: Zenodo, tmp_path: Path) -> Client:
    return Client(zenodo, tmp_path)


def test_an_undisturbed_download_takes_one_request_and_counts_its_bytes(
    zenodo: Zenodo, client: Client
) -> None:
    assert client.receive() == CONTENT

    assert [(request.range, request.encoding) for request in zenodo.gets] == [(None, "identity")]
    assert client.progress[0] == (CHUNK_BYTES, len(CONTENT))
    assert client.progress[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("fault", [truncate, reset])
def test_a_broken_transfer_goes_on_with_the_rest(
    zenodo: Zenodo, client: Client, fault: Fault
) -> None:
    zenodo.faults.append(fault)

    assert client.receive() == CONTENT

    _, second = zenodo.gets
    assert second.range is not None
    n_here = int(second.range.removeprefix("bytes=").removesuffix("-"))
    assert second.n_sent == len(CONTENT) - n_here
    assert len(client.said) == 1
    assert "connection lost" in client.said[0]


def test_a_transfer_that_broke_off_in_an_earlier_call_goes_on(
    zenodo: Zenodo, client: Client
) -> None:
    client.receive_half(zenodo)

    assert client.receive() == CONTENT

    assert [request.range for request in zenodo.gets] == [f"bytes={HALF}-"]
    assert [request.n_sent for request in zenodo.gets] == [len(CONTENT) - HALF]


def test_a_server_without_entity_tags_is_trusted_by_the_length(
    zenodo: Zenodo, client: Client
) -> None:
    zenodo.tags = False
    client.receive_half(zenodo)

    assert client.receive() == CONTENT

    assert [request.n_sent for request in zenodo.gets] == [len(CONTENT) - HALF]


def test_a_server_that_breaks_off_time_and_again_is_given_up(
    zenodo: Zenodo, client: Client
) -> None:
    zenodo.knows_ranges = False
    zenodo.faults.extend([truncate] * 20)

    with pytest.raises(DataError, match=r"broke off 5 times.* bytes are kept in .*go on") as caught:
        client.receive()

    assert len(zenodo.gets) == resuming_download.MAX_FAILURES
    assert client.part.read_bytes() == CONTENT[:HALF]
    assert "\n" not in str(caught.value)


def test_failures_in_a_row_do_not_count_while_the_download_gets_on(
    zenodo: Zenodo, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming_download, "MAX_FAILURES", 2)
    zenodo.faults.extend([truncate, truncate])

    assert client.receive() == CONTENT


def test_a_server_that_ignores_ranges_sends_everything_again(
    zenodo: Zenodo, client: Client
) -> None:
    client.receive_half(zenodo)
    zenodo.knows_ranges = False

    assert client.receive() == CONTENT

    assert [request.n_sent for request in zenodo.gets] == [len(CONTENT)]
    assert "cannot go on in the middle" in client.said[0]


@pytest.mark.parametrize(
    "new_content",
    [OTHER_CONTENT, OTHER_CONTENT[: HALF - 1], OTHER_CONTENT[: HALF + 7]],
    ids=["other bytes", "shorter than what is here", "shorter"],
)
@pytest.mark.parametrize("knows_ranges", [True, False])
def test_a_file_that_changed_on_the_server_is_not_glued_to_the_old_one(
    zenodo: Zenodo, client: Client, new_content: bytes, knows_ranges: bool
) -> None:
    client.receive_half(zenodo)
    zenodo.files["/fan.zip"] = new_content
    zenodo.knows_ranges = knows_ranges

    assert client.receive() == new_content

    assert "starting over" in client.said[0]


def test_an_answer_that_begins_elsewhere_than_asked_is_not_glued_on(
    zenodo: Zenodo, client: Client
) -> None:
    client.receive_half(zenodo)
    zenodo.range_shift = 10

    assert client.receive() == CONTENT


@pytest.mark.parametrize("note", [None, "", '{"etag": null}'])
def test_a_part_of_unknown_origin_is_not_continued(
    zenodo: Zenodo, client: Client, note: str | None
) -> None:
    client.part.write_bytes(OTHER_CONTENT[:HALF])
    if note is not None:
        client.part.with_name("fan.zip.part.json").write_text(note)

    assert client.receive() == CONTENT


def test_a_part_that_is_whole_is_not_asked_for_again(zenodo: Zenodo, client: Client) -> None:
    client.receive_half(zenodo)
    client.part.write_bytes(CONTENT)

    assert client.receive() == CONTENT

    assert zenodo.requests == []


def test_a_full_disk_is_one_line_that_says_how_to_go_on(zenodo: Zenodo, client: Client) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    real_open = Path.open

    def open_on_full_disk(path: Path, *args: Any, **options: Any) -> object:
        return real_open(full if path == client.part else path, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", open_on_full_disk)
        with pytest.raises(DataError, match=r"No space left.*free some space and run") as caught:
            client.receive()

    assert str(client.part) in str(caught.value)
    assert client.receive() == CONTENT


def test_a_missing_file_names_the_address_and_what_to_do(zenodo: Zenodo) -> None:
    url = f"{zenodo.url}/gone.zip"

    with open_session() as session, pytest.raises(DataError, match="HTTP 404") as caught:
        ask(session, url)

    assert str(caught.value).startswith(f"{url}: ")
    assert "look in a browser" in str(caught.value)


def test_no_way_to_the_server_is_one_line(zenodo: Zenodo) -> None:
    with serving() as gone:
        url = f"{gone.url}/fan.zip"

    with open_session() as session, pytest.raises(DataError, match=r"no connection") as caught:
        ask(session, url)

    assert "check the network" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_a_few_times(
    zenodo: Zenodo, client: Client, status: int
) -> None:
    zenodo.busy_answers, zenodo.busy_status = 2, status

    assert client.receive() == CONTENT

    assert len(zenodo.gets) == 3


def test_a_server_that_stays_busy_is_given_up(zenodo: Zenodo, client: Client) -> None:
    zenodo.busy_answers = 99

    with pytest.raises(DataError, match=r"HTTP 503 .*try again later"):
        client.receive()

    assert len(zenodo.gets) == 5


def test_zenodos_entity_tag_holds_the_checksum(zenodo: Zenodo) -> None:
    with open_session() as session:
        offer = ask(session, f"{zenodo.url}/fan.zip")

    assert offer.n_bytes == len(CONTENT)
    assert offer.etag == f'"md5:{offer.md5}"'


def test_a_server_that_does_not_know_head_promises_nothing(zenodo: Zenodo) -> None:
    zenodo.busy_answers, zenodo.busy_status = 1, 405

    with open_session() as session:
        offer = ask(session, f"{zenodo.url}/fan.zip")

    assert (offer.etag, offer.n_bytes, offer.md5) == (None, None, None)
