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
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from edge_asd.audio.takes import WhiteSound
from edge_asd.bundle.manifest import Domain
from edge_asd.errors import DataError
from edge_asd.recordings.clip_name import SAMPLE_RATE_HZ, Label, Split, parse_name
from edge_asd.recordings.takes_file import TAKES_FILE, read_takes
from edge_asd.signal.recorded import beside_others
from edge_asd_export.data.clip_file import fingerprint, read_clip
from edge_asd_export.data.clip_sound import MeasuredClip, measure_sound
from edge_asd_export.data.machine_folders import SPLITS, alike, clip_files, machine_of
from edge_asd_export.data.problems import ClipFinding, Problem, require_clean

__all__ = [
    "Clip",
    "Inventory",
    "MachineClips",
    "require_clean_train",
    "require_enough",
    "scan",
]

N_LEAST_CLIPS = 2  # a normal score compares a clip with another


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


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything found below the given roots: usable clips by machine, and all that is wrong."""

    machines: dict[str, MachineClips]  # without excluded clips
    problems: Sequence[Problem]
    findings: Sequence[ClipFinding] = ()  # in the sound of decoded clips
    ignored: Sequence[Problem] = ()  # folders that are no machines
    doubts: Sequence[str] = ()  # of machines, in a line each
    # Of the decoded train clips that no table of takes names, what takes are found by.
    white: Mapping[Clip, Sequence[WhiteSound]] = field(default_factory=dict, compare=False)

    @property
    def notes(self) -> Iterator[str]:
        """What is said and stops nothing, but for findings."""
        yield from (f"ignored: {one}" for one in self.ignored)
        yield from self.doubts


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
        Decode every clip to find truncated FLAC files, samples that are not finite, and sound that
        the monitor would not trust; train clips with such sound are excluded.
    progress
        Called from this thread with (clips done, clips in all).

    Raises
    ------
    UsageError
        When a root is not a folder. What is wrong inside a root is reported, never raised.
    """
    problems: list[Problem] = []
    ignored: list[Problem] = []
    found = list(clip_files(roots, problems, ignored))
    check = partial(_check, read_samples=read_samples, in_takes=_in_takes(found))
    clips: list[Clip] = []
    sounds: dict[Clip, MeasuredClip] = {}
    # Decoding releases the interpreter lock, so threads are enough.
    with ThreadPoolExecutor() as pool:
        for n_done, result in enumerate(pool.map(check, found), start=1):
            if isinstance(result, Problem):
                problems.append(result)
            else:
                clip, sound = result
                clips.append(clip)
                if sound is not None:
                    sounds[clip] = sound
            if progress:
                progress(n_done, len(found))
    folders: dict[str, Path] = {}
    for path in found:
        folders.setdefault(machine_of(path), path.parent.parent)
    findings: list[ClipFinding] = []
    machines = {
        name: machine
        for name, folder in sorted(folders.items())
        if (machine := _machine(name, folder, clips, sounds, problems, findings))
    }
    return Inventory(
        machines,
        tuple(sorted(problems)),
        tuple(sorted(findings)),
        tuple(sorted(ignored)),
        tuple(_doubt(names) for names in alike(machines)),
        {clip: sound.white for clip, sound in sounds.items() if sound.white},
    )


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


def _doubt(names: Sequence[str]) -> str:
    listed = ", ".join(map(repr, names))
    return f"machines {listed} differ by capital letters alone: is it one?"


def _in_takes(paths: Iterable[Path]) -> frozenset[Path]:
    """The clips that tables of takes name; they need not be compared."""
    folders = {path.parent.parent for path in paths}
    named: set[Path] = set()
    for folder in folders:
        with suppress(DataError):  # told where takes are needed
            named |= {
                folder / "train" / Path(name).name for name in read_takes(folder / TAKES_FILE)
            }
    return frozenset(named)


def _check(
    path: Path, *, read_samples: bool, in_takes: Container[Path]
) -> tuple[Clip, MeasuredClip | None] | Problem:
    split = cast("Split", path.parent.name)
    try:
        name = parse_name(path)
        if name.split not in (None, split):
            raise DataError(f"the name says {name.split}, the folder is {split}")
        if split == "train" and name.label != "normal":
            what = "anomaly" if name.label else "anonymous"
            raise DataError(f"{what} clip in train, which must hold named normal clips")
        n_samples, audio = read_clip(path, read_samples=read_samples)
    except DataError as error:
        return Problem(path, str(error))
    clip = Clip(
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
    if audio is None:
        return clip, None
    return clip, measure_sound(audio, for_takes=split == "train" and path not in in_takes)


def _machine(
    name: str,
    folder: Path,
    clips: Iterable[Clip],
    sounds: Mapping[Clip, MeasuredClip],
    problems: list[Problem],
    findings: list[ClipFinding],
) -> MachineClips | None:
    own = [clip for clip in clips if clip.machine == name]
    readable = _of_one_length(_without_twins(own, problems), problems)
    excluded = _excluded(readable, sounds, findings)
    usable = [clip for clip in readable if clip not in excluded]
    if not any(clip.split == "train" for clip in usable):
        all_excluded = f": all {len(excluded)} are excluded" if excluded else ""
        problems.append(Problem(folder, f"no usable train clip{all_excluded}"))
    if not usable:
        return None
    order = sorted(usable, key=lambda clip: (SPLITS.index(clip.split), clip.path.name))
    return MachineClips(name, usable[0].n_samples, SAMPLE_RATE_HZ, tuple(order))


def _excluded(
    clips: Sequence[Clip], sounds: Mapping[Clip, MeasuredClip], findings: list[ClipFinding]
) -> set[Clip]:
    """The train clips of a machine that nothing is learned from; `findings` gets all of them."""
    found = [(clip, one) for clip in clips if clip in sounds for one in sounds[clip].findings]
    spoilt = {clip for clip, one in found if not one.learned}
    train = [clip for clip in clips if clip.split == "train" and clip in sounds]
    compared = [sounds[clip].reference if clip not in spoilt else None for clip in train]
    found += [(train[i], one) for i, one in beside_others(compared)]
    excluded = set()
    for clip, one in found:
        leave_out = clip.split == "train" and not one.learned
        findings.append(ClipFinding(clip.path, one.text, leave_out))
        if leave_out:
            excluded.add(clip)
    return excluded


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
