"""The clips of a data set in the layout of the DCASE 2026 Task 2 challenge.

    <root>/<machine>/train/section_00_source_train_normal_0000_spd_1.wav
    <root>/<machine>/test/section_00_target_test_anomaly_0003_spd_2.wav
    <root>/<machine>/test/section_00_0000.wav        anonymous: no domain, no label

Domain and attributes are read from the file name; `attributes_00.csv` may be absent and is
never opened. The attributes of TEST clips are never read either: in one machine of the
development set they spell the label.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from edge_asd.bundle.manifest import Domain
from edge_asd.errors import DataError, UsageError
from edge_asd.recordings.clip_name import SAMPLE_RATE_HZ, Label, Split, parse_name
from edge_asd_export.data.clip_file import clip_samples, fingerprint

__all__ = [
    "Clip",
    "Inventory",
    "MachineClips",
    "Problem",
    "machine_of",
    "require_clean",
    "require_clean_train",
    "require_enough",
    "scan",
]

SUFFIXES = frozenset({".wav", ".flac"})
MAX_LISTED_PROBLEMS = 20
N_LEAST_CLIPS = 2  # a normal score compares a clip with another

_SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True, slots=True)
class Clip:
    """One usable clip."""

    path: Path
    machine: str
    section: str
    split: Split
    domain: Domain | None  # None: anonymous evaluation clip
    label: Label | None  # None: anonymous evaluation clip
    index: int  # running number; some machines count per class, some over all: not an identity
    attribute_text: str  # as in the name, case kept; always empty for test clips
    n_samples: int  # per channel

    @property
    def class_key(self) -> tuple[str, Domain | None, str]:
        """The training class: machine, domain and attribute text."""
        return self.machine, self.domain, self.attribute_text


@dataclass(frozen=True, slots=True)
class MachineClips:
    """The usable clips of one machine, all of one length, sorted by split and file name."""

    name: str
    window_samples: int  # length of this machine's clips, from their headers
    sample_rate_hz: int
    clips: tuple[Clip, ...]

    @property
    def train(self) -> tuple[Clip, ...]:
        """The clips to train on."""
        return tuple(clip for clip in self.clips if clip.split == "train")

    @property
    def test(self) -> tuple[Clip, ...]:
        """The clips to score."""
        return tuple(clip for clip in self.clips if clip.split == "test")


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A file or folder that cannot be used, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything found below the given roots: usable clips by machine, and all problems."""

    machines: dict[str, MachineClips]
    problems: Sequence[Problem]


def scan(
    roots: Sequence[Path],
    *,
    read_samples: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Inventory:
    """All clips below the given folders, with everything that is wrong with them.

    Parameters
    ----------
    roots
        Folders of machine folders, or machine folders themselves. A machine may be spread over
        several roots (train clips in one, test clips in another).
    read_samples
        Decode every clip to find truncated FLAC files and samples that are not finite.
    progress
        Called from this thread with (clips done, clips in all).

    Raises
    ------
    UsageError
        When a root is not a folder. What is wrong inside a root is reported, never raised.
    """
    problems: list[Problem] = []
    found = list(_find(roots, problems))
    check = partial(_check, read_samples=read_samples)
    clips: list[Clip] = []
    # Decoding releases the interpreter lock, so threads are enough.
    with ThreadPoolExecutor() as pool:
        for n_done, result in enumerate(pool.map(check, found), start=1):
            if isinstance(result, Problem):
                problems.append(result)
            else:
                clips.append(result)
            if progress:
                progress(n_done, len(found))
    folders: dict[str, Path] = {}
    for path in found:
        folders.setdefault(machine_of(path), path.parent.parent)
    machines = {
        name: machine
        for name, folder in sorted(folders.items())
        if (machine := _machine(name, folder, clips, problems))
    }
    return Inventory(machines, tuple(sorted(problems)))


def machine_of(path: Path) -> str:
    """Machine of a clip or of its problem: the folder's name, whatever links lead there."""
    return path.parent.parent.resolve().name


def require_clean(problems: Sequence[Problem]) -> None:
    """Nothing when there are no problems.

    Raises
    ------
    DataError
        With one summary line, then one line per problem.
    """
    if not problems:
        return
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = [f"{count} in the recordings; repair, move away or delete these and try again:"]
    lines += [f"{problem.path}: {problem.reason}" for problem in problems[:MAX_LISTED_PROBLEMS]]
    if len(problems) > MAX_LISTED_PROBLEMS:
        lines.append(f"and {len(problems) - MAX_LISTED_PROBLEMS} more")
    raise DataError("\n  ".join(lines))


def require_clean_train(inventory: Inventory) -> tuple[Problem, ...]:
    """The problems of test clips, when all train clips are usable.

    Raises
    ------
    DataError
        As :func:`require_clean`, for everything that is not a test clip.
    """
    of_tests = tuple(p for p in inventory.problems if p.path.parent.name == "test")
    require_clean([problem for problem in inventory.problems if problem not in of_tests])
    return of_tests


def require_enough(machine: MachineClips) -> None:
    """Nothing when a threshold can be made of the machine's training clips.

    Raises
    ------
    DataError
        When there are too few, or all are the same.
    """
    if len(machine.train) < N_LEAST_CLIPS:
        raise DataError(
            f"machine {machine.name!r} has {len(machine.train)} train clip, a threshold needs at "
            f"least {N_LEAST_CLIPS}: record more, or leave the machine out and train without it"
        )
    if len({fingerprint(clip.path) for clip in machine.train}) == 1:
        raise DataError(
            f"the {len(machine.train)} train clips of machine {machine.name!r} are copies of one, "
            "or all silent: record others, or leave the machine out and train without it"
        )


def _find(roots: Sequence[Path], problems: list[Problem]) -> Iterator[Path]:
    """Every audio file of every machine; files met twice by overlapping roots come once."""
    seen: set[Path] = set()
    for root in roots:
        if not root.is_dir():
            raise UsageError(f"{root}: no such folder; give a folder of machine folders")
        for folder in _machine_folders(root, problems):
            for split in _SPLITS:
                for path in _visible(folder / split):
                    if _is_audio(path) and path.resolve() not in seen:
                        seen.add(path.resolve())
                        yield path


def _machine_folders(root: Path, problems: list[Problem]) -> Iterator[Path]:
    folders = [entry for entry in _visible(root) if entry.is_dir()]
    if _holds_split(root):
        folders = [root]
    elif not folders:
        problems.append(Problem(root, "no machine folder inside"))
    for folder in folders:
        if not _holds_split(folder):
            problems.append(Problem(folder, "neither train nor test inside; not a machine folder"))
        elif not any(_is_audio(path) for split in _SPLITS for path in _visible(folder / split)):
            problems.append(Problem(folder, "no WAV or FLAC file in train or test"))
        else:
            yield folder


def _holds_split(folder: Path) -> bool:
    return any((folder / split).is_dir() for split in _SPLITS)


def _is_audio(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _visible(folder: Path) -> list[Path]:
    """Sorted entries; archive tools of macOS leave `._name` and `__MACOSX` twins behind."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))


def _check(path: Path, *, read_samples: bool) -> Clip | Problem:
    split = cast("Split", path.parent.name)
    try:
        name = parse_name(path)
        if name.split not in (None, split):
            raise DataError(f"the name says {name.split}, the folder is {split}")
        if split == "train" and name.label != "normal":
            what = "anomaly" if name.label else "anonymous"
            raise DataError(f"{what} clip in train, which must hold named normal clips")
        n_samples = clip_samples(path, read_samples=read_samples)
    except DataError as error:
        return Problem(path, str(error))
    return Clip(
        path=path,
        machine=machine_of(path),
        section=name.section,
        split=split,
        domain=name.domain,
        label=name.label,
        index=name.index,
        attribute_text=name.attribute_text if split == "train" else "",
        n_samples=n_samples,
    )


def _machine(
    name: str, folder: Path, clips: Iterable[Clip], problems: list[Problem]
) -> MachineClips | None:
    own = [clip for clip in clips if clip.machine == name]
    usable = _of_one_length(_without_twins(own, problems), problems)
    if not any(clip.split == "train" for clip in usable):
        problems.append(Problem(folder, "no usable train clip"))
    if not usable:
        return None
    order = sorted(usable, key=lambda clip: (_SPLITS.index(clip.split), clip.path.name))
    return MachineClips(name, usable[0].n_samples, SAMPLE_RATE_HZ, tuple(order))


def _without_twins(clips: Iterable[Clip], problems: list[Problem]) -> list[Clip]:
    """One clip per split and name: as WAV and as FLAC, or in two roots, it would count twice."""
    first: dict[tuple[str, str], Clip] = {}
    for clip in clips:
        kept = first.setdefault((clip.split, clip.path.stem), clip)
        if kept is not clip:
            problems.append(Problem(clip.path, f"same clip name as {kept.path}"))
    return list(first.values())


def _of_one_length(clips: Iterable[Clip], problems: list[Problem]) -> list[Clip]:
    """The clips of the most common length; the others are reported."""
    by_length: dict[int, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_length[clip.n_samples].append(clip)
    if not by_length:
        return []
    n_usual = max(by_length, key=lambda n_samples: len(by_length[n_samples]))
    for n_samples in by_length.keys() - {n_usual}:
        reason = f"{_length(n_samples)} long, most clips of this machine are {_length(n_usual)}"
        problems.extend(Problem(clip.path, reason) for clip in by_length[n_samples])
    return by_length[n_usual]


def _length(n_samples: int) -> str:
    return f"{n_samples} samples ({n_samples / SAMPLE_RATE_HZ:g} s)"
