"""One file over HTTP that goes on where an earlier attempt broke off.

The bytes gather in `<file>.part`. Beside it, `<file>.part.json` says of which version of the
server's file they are the beginning. The server is asked for the rest with a `Range` header; the
answer's entity tag and length tell whether it is still the same file. (`If-Range` would let the
server decide, but servers that give out tags of their own making may not recognise them.)
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests
from pydantic import ValidationError
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from edge_asd.bundle.record import Record
from edge_asd.errors import DataError

__all__ = ["DownloadProgress", "Offer", "ask", "discard", "open_session", "receive"]

BACKOFF_S = 1.0  # before the second attempt; doubles with every further one
MAX_PAUSE_S = 30.0
MAX_FAILURES = 5  # in a row, none of which brought a single chunk
CHUNK_BYTES = 1 << 16

_TIMEOUT_S = (10.0, 60.0)  # to connect, between two bytes
_MD5_TAG = re.compile(r'"md5:([0-9a-f]{32})"')  # how Zenodo forms its entity tags
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """Who hears of a download: a line now and then, and (bytes here, bytes in all)."""

    say: Callable[[str], None]
    on_bytes: Callable[[int, int | None], None]


class Offer(Record):
    """The version of a file that a server offers."""

    etag: str | None
    n_bytes: int | None

    @property
    def md5(self) -> str | None:
        """The checksum that Zenodo states."""
        match = _MD5_TAG.fullmatch(self.etag or "")
        return match.group(1) if match else None


def open_session() -> requests.Session:
    """A session that repeats requests which did not get through, or met a busy server."""
    retry = Retry(
        total=4,
        connect=2,
        backoff_factor=BACKOFF_S,
        status_forcelist=(429, 500, 502, 503, 504),
        raise_on_status=False,
    )
    session = requests.Session()
    session.headers["Accept-Encoding"] = "identity"  # ranges count the bytes of the file itself
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def ask(session: requests.Session, url: str) -> Offer:
    """What the server offers at this address, without fetching it.

    Raises
    ------
    DataError
        When there is no such file, or no way to the server.
    """
    try:
        with session.head(url, allow_redirects=True, timeout=_TIMEOUT_S) as response:
            if response.status_code in (405, 501):  # a server that does not know HEAD
                return Offer(etag=None, n_bytes=None)
            _require_success(response)
            return _offer(response)
    except requests.RequestException as error:
        raise DataError(
            f"{url}: no connection ({type(error).__name__}); check the network "
            "(behind a proxy, set HTTPS_PROXY) and run the same command again"
        ) from error


def receive(session: requests.Session, url: str, part: Path, progress: DownloadProgress) -> None:
    """Fill `part` with the whole file, going on from what it holds already.

    Raises
    ------
    DataError
        When the server refuses, the connection breaks off time and again, or the disk is full.
        What has arrived stays in `part`.
    """
    failures, n_most = 0, _size(part)
    while True:
        try:
            _go_on(session, url, part, progress)
        except requests.RequestException as error:
            n_here = _size(part)
            failures = 1 if n_here > n_most else failures + 1
            n_most = max(n_most, n_here)
            if failures >= MAX_FAILURES:
                raise DataError(
                    f"{url}: the connection broke off {MAX_FAILURES} times "
                    f"({type(error).__name__}); {n_here:,} bytes are kept in {part}: "
                    "run the same command again to go on"
                ) from error
            pause_s = min(BACKOFF_S * 2 ** (failures - 1), MAX_PAUSE_S)
            progress.say(f"{part.stem}: connection lost after {n_here:,} bytes, trying again")
            time.sleep(pause_s)
        except OSError as error:
            raise DataError(
                f"cannot write {part}: {error.strerror}; what has arrived is kept: "
                "free some space and run the same command again to go on"
            ) from error
        else:
            return


def discard(part: Path) -> None:
    """No trace of a download that was taken over, or is of no use."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _go_on(session: requests.Session, url: str, part: Path, progress: DownloadProgress) -> None:
    """One attempt at the rest."""
    begun = _read_note(part)
    n_here = _size(part) if begun else 0
    if begun and n_here == begun.n_bytes:
        return
    headers = {"Range": f"bytes={n_here}-"} if n_here else {}
    with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT_S) as response:
        stale = n_here and (response.status_code == 416 or not _continues(response, n_here, begun))
        if not stale:
            _require_success(response)
            if n_here and response.status_code == 200:
                progress.say(f"{part.stem}: the server cannot go on in the middle, starting over")
            _write(response, part, n_here if response.status_code == 206 else 0, progress)
    if stale:
        progress.say(f"{part.stem}: the server's file has changed, starting over")
        _note(part).unlink()
        _go_on(session, url, part, progress)


def _continues(response: requests.Response, n_here: int, begun: Offer | None) -> bool:
    """Whether a partial answer carries on with the file that was begun."""
    if response.status_code != 206:
        return True  # the whole file, or an error: nothing to carry on with
    span = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return span is not None and int(span[1]) == n_here and _offer(response) == begun


def _write(
    response: requests.Response, part: Path, n_here: int, progress: DownloadProgress
) -> None:
    offer = _offer(response)
    if n_here == 0:
        part.unlink(missing_ok=True)  # first, so that a note never vouches for older bytes
        _note(part).write_text(offer.model_dump_json(), encoding="utf-8")
    with part.open("ab") as file:
        for chunk in response.iter_content(CHUNK_BYTES):
            file.write(chunk)
            n_here += len(chunk)
            progress.on_bytes(n_here, offer.n_bytes)


def _offer(response: requests.Response) -> Offer:
    """Tag and full length, also from an answer that holds the rest only."""
    span = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    n_bytes = span[2] if span else response.headers.get("Content-Length")
    return Offer(
        etag=response.headers.get("ETag"),
        n_bytes=int(n_bytes) if n_bytes is not None else None,
    )


def _require_success(response: requests.Response) -> None:
    status = f"HTTP {response.status_code} {response.reason}"
    if response.status_code == 429 or response.status_code >= 500:
        raise DataError(f"{response.url}: {status}; the server is busy: try again later")
    if response.status_code >= 400:
        raise DataError(
            f"{response.url}: {status}; look in a browser whether the record still has this "
            "file, and check --base-url if you gave one"
        )


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_note(part: Path) -> Offer | None:
    try:
        return Offer.model_validate_json(_note(part).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
