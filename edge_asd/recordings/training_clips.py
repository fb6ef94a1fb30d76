"""The training clips of one machine: a folder that grows, and is whole at any time.

::

    <root>/<machine>/
        train/section_00_source_train_normal_0000_speed_2.flac ...
        takes.csv        see :mod:`edge_asd.recordings.takes_file`
        .record.lock     held while somebody adds clips

The line of a clip in ``takes.csv`` is written before the clip, so that none is ever without
its take.
"""

from __future__ import annotations

import errno
import hashlib
import io
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge_asd.audio.decode import float32_to_pcm16, open_audio
from edge_asd.bundle.manifest import Domain
from edge_asd.errors import AudioError, DataError, OutputError, UsageError
from edge_asd.recordings.clip_name import MOST_CLIPS, SAMPLE_RATE_HZ, ClipName, parse_name
from edge_asd.recordings.takes_file import TAKES_FILE, read_takes, write_takes
from edge_asd.state.atomic import write_atomically
from edge_asd.state.folder import lock_file, require_name

__all__ = ["TrainingClips", "training_clips"]

CLIP_S = 10.0  # where nobody says otherwise

_SUFFIXES = (".flac", ".wav")
_SPLITS = ("train", "test")
# In the header of a FLAC file: its mark, the head of its first block, 18 bytes, then the MD5 sum
# of the samples (RFC 9639, 8.2).
_MD5_AT = 4 + 4 + 18
_FULL = (errno.ENOSPC, errno.EDQUOT)


class TrainingClips:
    """Adds clips to a folder; from :func:`training_clips`.

    Parameters
    ----------
    folder : of the machine; its folder ``train`` exists
    clip_s : length of a clip; None: as long as the clips that are there, else ten seconds
    reserve_bytes : always left free on the disk
    free : free bytes on the disk of a folder

    Raises
    ------
    UsageError
        When the clips that are there have another length.
    DataError
        When ``takes.csv`` is damaged.
    """

    def __init__(
        self,
        folder: Path,
        clip_s: float | None,
        *,
        reserve_bytes: int,
        free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self.folder = folder
        self._train = folder / "train"
        self._reserve_bytes = reserve_bytes
        self._free = free
        self._takes = read_takes(folder / TAKES_FILE)
        self._kinds: Counter[tuple[Domain | None, str]] = Counter()
        self._by_digest: dict[bytes, str] = {}  # file names by MD5 of the samples
        self._number = 0  # of the next clip
        there = sorted(path for path in self._train.iterdir() if path.suffix in _SUFFIXES)
        for path in there:
            self._count(path)
        for name in self._takes:
            self._pass_number(Path(name))
        self.clip_samples = _clip_samples(folder, there, clip_s)

    @property
    def clip_s(self) -> float:
        """Length of a clip in seconds."""
        return self.clip_samples / SAMPLE_RATE_HZ

    def n_clips(self, domain: Domain, attribute_text: str) -> int:
        """How many clips of a kind there are."""
        return self._kinds[domain, attribute_text]

    def new_take(self) -> str:
        """Return a name for a take that begins with the next clip; nobody has or had it."""
        return f"take-{self._number:04d}"

    def take_of(self, audio: NDArray[np.float32]) -> str | None:
        """Return the take of the clip that has these very samples (2, n); None: none has."""
        name = self._by_digest.get(_digest(float32_to_pcm16(audio)))
        return None if name is None else self._takes.get(name, name)

    def add(
        self, audio: NDArray[np.float32], domain: Domain, attribute_text: str, take: str
    ) -> None:
        """Write a clip (2, clip_samples) of normal sound.

        Raises
        ------
        OutputError
            When the disk is full, or all numbers are taken.
        """
        if self._number >= MOST_CLIPS:
            raise OutputError(
                f"{self.folder} has clip number {MOST_CLIPS - 1}, and names have four digits: "
                "go on in another folder"
            )
        name = ClipName("00", "train", domain, "normal", self._number, attribute_text)
        path = self._train / f"{name.stem}.flac"
        frames = float32_to_pcm16(audio)
        content = io.BytesIO()
        soundfile.write(content, frames, SAMPLE_RATE_HZ, subtype="PCM_16", format="FLAC")
        self._require_room(content.getbuffer().nbytes)
        try:
            write_takes(self.folder / TAKES_FILE, self._takes | {path.name: take})
            write_atomically(path, content.getvalue())
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise OutputError(
                f"the disk of {self.folder} is full: make room, then run the same command again"
            ) from error
        self._takes[path.name] = take
        self._kinds[domain, attribute_text] += 1
        self._by_digest[_digest(frames)] = path.name
        self._number += 1

    def n_takes(self, domain: Domain, attribute_text: str) -> int:
        """How many takes the clips of a kind belong to."""
        names = {path.name for path in self._train.iterdir()}
        kind = domain, attribute_text
        return len({t for n, t in self._takes.items() if n in names and _kind(Path(n)) == kind})

    def lacks_room(self, n_clips: int) -> str | None:
        """Return in words that so many clips may not fit beside the reserve; None: they will."""
        most = n_clips * self.clip_samples * 4  # FLAC needs less
        free = self._free(self._train) - self._reserve_bytes
        if free >= most:
            return None
        return f"{_megabytes(most)} may be needed, {_megabytes(free)} are free beside the reserve"

    def _count(self, path: Path) -> None:
        """Take note of a clip that is there."""
        if (kind := _kind(path)) is not None:
            self._kinds[kind] += 1
            self._pass_number(path)
            if path.suffix == ".flac":
                with path.open("rb") as file:
                    file.seek(_MD5_AT)
                    self._by_digest[file.read(16)] = path.name

    def _pass_number(self, path: Path) -> None:
        with suppress(DataError):
            self._number = max(self._number, parse_name(path).index + 1)

    def _require_room(self, n_bytes: int) -> None:
        free = self._free(self._train)
        if free - n_bytes < self._reserve_bytes:
            raise OutputError(
                f"{_megabytes(free)} are free on the disk of {self.folder}, of which "
                f"{_megabytes(self._reserve_bytes)} stay free: make room or lower "
                "clips.reserve_bytes of the profile, then run the same command again"
            )


@contextmanager
def training_clips(
    root: Path, machine: str, clip_s: float | None, *, reserve_bytes: int
) -> Iterator[TrainingClips]:
    """Yield the training clips of a machine below `root`, and keep others from adding any.

    What a killed program left unfinished is removed, and so is the folder if it stays empty.

    Raises
    ------
    UsageError
        When no folder can have the machine's name, another program adds clips, or as
        :class:`TrainingClips`.
    DataError
        As :class:`TrainingClips`.
    """
    folder = root / _folder_name(machine)
    train = folder / "train"
    train.mkdir(parents=True, exist_ok=True)
    lock_path = folder / ".record.lock"
    lock = lock_file(lock_path)
    if lock is None:
        raise UsageError(f"another command adds clips to {folder}; wait until it is done")
    with lock:
        for unfinished in train.glob(".section_*"):
            unfinished.unlink()
        try:
            yield TrainingClips(folder, clip_s, reserve_bytes=reserve_bytes)
        finally:
            with suppress(OSError):
                train.rmdir()
                lock_path.unlink()
                folder.rmdir()


def _folder_name(machine: str) -> str:
    """Return the machine's name, which is that of its folder.

    Raises
    ------
    UsageError
        When training would not find such a folder, or the system refuses it.
    """
    require_name(machine)
    if "/" in machine or machine.startswith((".", "__")) or machine in _SPLITS:
        raise UsageError(f"{machine!r} is no name for a folder of clips; choose one such as pump-3")
    return machine


def _kind(path: Path) -> tuple[Domain | None, str] | None:
    """Return domain and attributes of a clip's name; None when it is no such name."""
    try:
        name = parse_name(path)
    except DataError:
        return None
    return name.domain, name.attribute_text


def _digest(frames: NDArray[np.int16]) -> bytes:
    """Return the MD5 sum of samples (n, 2) that is in the header of their FLAC file."""
    return hashlib.md5(frames.astype("<i2").tobytes(), usedforsecurity=False).digest()


def _clip_samples(folder: Path, there: list[Path], clip_s: float | None) -> int:
    wanted = None if clip_s is None else round(clip_s * SAMPLE_RATE_HZ)
    for path in there:
        with suppress(AudioError), open_audio(path) as clip:
            found = round(clip.n_frames * SAMPLE_RATE_HZ / clip.sample_rate_hz)
            if wanted not in (None, found):
                raise UsageError(
                    f"the clips in {folder} are {found / SAMPLE_RATE_HZ:g} s long, and those of a "
                    "machine have one length: leave --clip-s out, or name another --out"
                )
            return found
    return wanted or round(CLIP_S * SAMPLE_RATE_HZ)


def _megabytes(n_bytes: int) -> str:
    return f"{max(n_bytes, 0) / 1e6:.1f} MB"
