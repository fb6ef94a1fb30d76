"""Public recordings on this machine's disk: downloaded, verified, unpacked."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import requests
from rich.filesize import decimal

from edge_asd.errors import DataError, UsageError
from edge_asd_export.data.fetch_catalogue import Part
from edge_asd_export.data.resuming_download import (
    DownloadProgress,
    Offer,
    ask,
    discard,
    open_session,
    receive,
)
from edge_asd_export.data.unpack import missing_splits, unpack

__all__ = ["fetch"]

ARCHIVES_FOLDER = ".archives"

# 16-bit noise hardly packs: the 608 MB of bearingEmu unpack to 768 MB, 1200 clips of 10 s.
_UNPACKED_TO_ARCHIVE = 1.3


def fetch(
    part: Part,
    machines: Sequence[str],
    out: Path,
    say: Callable[[str], None],
    progress: Callable[[str, int, int | None], None],
    *,
    base_url: str,
    keep_archives: bool,
) -> None:
    """Give `out/<machine>/{train,test}` the clips of a part of a data set.

    A machine whose clips are there is skipped. Archives gather in `out/.archives`; what an
    interrupted call has downloaded stays there, and the next call goes on with it.

    Parameters
    ----------
    say : takes one line when something begins, ends, or goes wrong and is tried again
    progress : takes (archive name, bytes here, bytes in all)
    base_url : a server with Zenodo's paths
    keep_archives : leave the zip files in `ARCHIVES_FOLDER`

    Raises
    ------
    UsageError
        When another process is fetching into `out`.
    DataError
        When the server, the network, the disk or an archive does not play along.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _sole_user(out), open_session() as session:
        wanted = [name for name in machines if missing_splits(out / name, part.splits)]
        for name in machines:
            if name not in wanted:
                say(f"{name}: already there, skipped")
        store = out / ARCHIVES_FOLDER
        sources = _survey(session, part, wanted, store, base_url)
        _require_space(out, sources, keep_archives=keep_archives)
        for name, source in sources.items():
            path = _download(
                session, source, DownloadProgress(say, partial(progress, source.path.name))
            )
            say(f"{name}: unpacking")
            _unpack(path, name, part, out)
            if not keep_archives:
                path.unlink()
        if store.is_dir() and not any(store.iterdir()):
            store.rmdir()


@dataclass(frozen=True, slots=True)
class _Source:
    url: str
    path: Path  # where the archive will lie
    md5: str | None
    n_bytes: int  # 0 when the server does not say

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + ".part")

    @property
    def n_to_come(self) -> int:
        """Bytes that an earlier call has not downloaded yet."""
        here = self.path if self.path.exists() else self.part
        return max(0, self.n_bytes - here.stat().st_size) if here.exists() else self.n_bytes


@contextmanager
def _sole_user(out: Path) -> Iterator[None]:
    """Two processes would write to the same files; the lock goes when its process does."""
    descriptor = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UsageError(f"{out}: another 'edge-asd data fetch' is at work here") from None
    finally:
        os.close(descriptor)


def _survey(
    session: requests.Session, part: Part, machines: Sequence[str], store: Path, base_url: str
) -> dict[str, _Source]:
    """Size and checksum of every archive: what is amiss shows before the first long download."""
    sources = {}
    for machine in machines:
        archive, url = part.archives[machine], part.url(machine, base_url)
        path = store / archive.name
        whole = Offer(etag=None, n_bytes=path.stat().st_size) if path.exists() else None
        offer = whole or ask(session, url)
        if archive.md5 and offer.md5 and archive.md5 != offer.md5:
            raise DataError(
                f"{url}: expected md5 {archive.md5}, the server offers {offer.md5}; "
                "the record has changed, or --base-url leads elsewhere"
            )
        sources[machine] = _Source(url, path, archive.md5 or offer.md5, offer.n_bytes or 0)
    return sources


def _require_space(out: Path, sources: Mapping[str, _Source], *, keep_archives: bool) -> None:
    to_come = [source.n_to_come for source in sources.values()]
    n_archives = sum(to_come) if keep_archives else max(to_come, default=0)
    n_unpacked = sum(_UNPACKED_TO_ARCHIVE * source.n_bytes for source in sources.values())
    n_needed = n_archives + int(n_unpacked)
    n_free = shutil.disk_usage(out).free
    if n_needed > n_free:
        raise DataError(
            f"{out}: about {decimal(n_needed)} needed, {decimal(n_free)} free; "
            "free some space, choose another --out, or fetch fewer machines with --machine"
        )


def _download(session: requests.Session, source: _Source, progress: DownloadProgress) -> Path:
    """The verified archive; one that is there and whole is taken as it is."""
    if not source.path.exists() or _wrong_md5(source.path, source.md5):
        source.part.parent.mkdir(exist_ok=True)
        receive(session, source.url, source.part, progress)
        if found := _wrong_md5(source.part, source.md5):
            discard(source.part)
            raise DataError(
                f"{source.url}: expected md5:{source.md5} but got md5:{found}; the download was "
                "removed: run the same command again"
            )
        source.part.replace(source.path)
    discard(source.part)
    return source.path


def _wrong_md5(path: Path, expected: str | None) -> str | None:
    """The checksum of a file that has another one than expected."""
    if expected is None:
        return None
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    return found if found != expected else None


def _unpack(archive: Path, machine: str, part: Part, out: Path) -> None:
    try:
        unpack(archive, machine, part.splits, out)
    except DataError as error:
        archive.unlink()
        raise DataError(f"{error}; the archive was removed") from error
    except OSError as error:
        raise DataError(
            f"cannot unpack {archive}: {error.strerror}; the archive is kept: "
            "free some space and run the same command again"
        ) from error
