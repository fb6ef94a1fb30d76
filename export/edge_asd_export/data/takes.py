"""Takes: which training clips share audio, found once and kept in ``takes.csv`` beside them.

A file that is there is obeyed, whoever wrote it; clips that it does not name are compared with
all others. Test clips are never read for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path, PureWindowsPath
from types import MappingProxyType

from edge_asd.audio.decode import read_audio
from edge_asd.audio.takes import WhiteSound, joined, most_of, shared_sound, whitened
from edge_asd.errors import DataError, UsageError
from edge_asd.recordings.takes_file import TAKES_FILE, read_takes, write_takes
from edge_asd_export.data.clips import Clip, MachineClips
from edge_asd_export.data.folds import N_FOLDS

__all__ = ["divisible", "takes_line", "takes_of"]

Say = Callable[[str], None]


def takes_of(
    machines: Mapping[str, MachineClips],
    *,
    file: Path | None = None,
    say: Say = lambda line: None,
    progress: Callable[[int, int], None] | None = None,
    white: Mapping[Clip, Sequence[WhiteSound]] = MappingProxyType({}),
) -> dict[Clip, str]:
    """Return the take of every training clip; names are unique within a machine.

    They are read from the `takes.csv` of each machine, and found and written there where clips
    are not named. Where nearly all clips of a domain share sound with each other, takes are
    cut where they share least, so that none has more than a fifth of the domain's clips.

    Parameters
    ----------
    file : a table that names the takes of all clips instead; where names of clips repeat, `file`
        is a path with the folder of the machine in it
    say : is told in a line what was found, and what could not be written
    progress : called with (pairs of clips compared, in all)
    white : of clips that were decoded before; all others are now

    Raises
    ------
    UsageError
        When `file` is missing or names no take for some clip.
    DataError
        When a table cannot be used, or a clip cannot be read.
    """
    if file is not None:
        return _all_named(machines, file)
    named = {name: _beside(machine, say) for name, machine in machines.items()}
    unknown = [m for name, m in machines.items() if any(c not in named[name] for c in m.train)]
    n_pairs = {machine.name: _n_pairs(len(machine.train)) for machine in unknown}
    n_before, refusals = 0, []
    for machine in unknown:

        def advance(n_clips: int, before: int = n_before) -> None:
            if progress is not None:
                progress(before + _n_pairs(n_clips), sum(n_pairs.values()))

        named[machine.name] = _found(machine, named[machine.name], white, say, advance)
        refusals += _write(named[machine.name])
        n_before += n_pairs[machine.name]
    if refusals:
        say(f"{refusals[0]}: takes are found again each time")
    return {clip: take for takes in named.values() for clip, take in takes.items()}


def takes_line(machines: Mapping[str, MachineClips], takes: Mapping[Clip, str]) -> str:
    """How many takes each machine has, in one line."""
    counts = [
        f"{name} {len({takes[clip] for clip in machine.train})} of {len(machine.train)} clips"
        for name, machine in machines.items()
    ]
    return f"takes (clips that share sound are one): {', '.join(counts)}"


def divisible(machines: Mapping[str, MachineClips], takes: Mapping[Clip, str]) -> dict[Clip, str]:
    """Return the takes with the only one of a domain divided into some that follow each other.

    Without that, nothing of the domain could be held out.
    """
    divided = dict(takes)
    for machine in machines.values():
        for domain in {clip.domain for clip in machine.train}:
            clips = [clip for clip in machine.train if clip.domain == domain]
            if len(clips) > 1 and len({takes[clip] for clip in clips}) == 1:
                for i, clip in enumerate(clips):
                    divided[clip] = f"{takes[clip]}, part {1 + i * N_FOLDS // len(clips)}"
    return divided


def _n_pairs(n_clips: int) -> int:
    """Each clip with itself and those before it, so that one clip is some progress, too."""
    return n_clips * (n_clips + 1) // 2


def _found(
    machine: MachineClips,
    named: Mapping[Clip, str],
    white: Mapping[Clip, Sequence[WhiteSound]],
    say: Say,
    progress: Callable[[int], None],
) -> dict[Clip, str]:
    clips = machine.train
    sounds = (
        white.get(clip) or whitened([read_audio(clip.path)[0]], machine.sample_rate_hz)
        for clip in clips
    )
    _, shared = shared_sound(sounds, progress=progress)
    numbers = joined(
        len(clips),
        shared,
        known=[named.get(clip) for clip in clips],
        parts=[clip.domain for clip in clips],
        most=most_of,
    )
    names = {n: named[clip] for n, clip in zip(numbers, clips, strict=True) if clip in named}
    free = (name for name in map(str, count(1)) if name not in set(named.values()))
    for n in sorted(set(numbers) - names.keys()):
        names[n] = next(free)
    takes = {clip: names[n] for n, clip in zip(numbers, clips, strict=True)}
    if n_cut := sum(numbers[pair.first] != numbers[pair.second] for pair in shared):
        say(
            f"{machine.name}: so many clips share sound that takes are cut where they share least; "
            f"{n_cut} of {len(shared)} pairs that share some lie in two takes"
        )
    return takes


def _beside(machine: MachineClips, say: Say) -> dict[Clip, str]:
    """The takes that the tables beside the clips name, as far as they do."""
    named: dict[Clip, str] = {}
    for folder, clips in _by_folder(machine.train).items():
        path = folder / TAKES_FILE
        table = {Path(name).name: take for name, take in read_takes(path).items()}
        own = {clip: table[clip.path.name] for clip in clips if clip.path.name in table}
        named |= own
        if not table:
            continue
        if new := len(clips) - len(own):
            say(f"{path} does not name {new} of {len(clips)} clips: compared with all others")
        if gone := sorted(table.keys() - {clip.path.name for clip in clips}):
            say(f"{path} names {len(gone)} clips that are not used, {gone[0]} first")
    return named


def _all_named(machines: Mapping[str, MachineClips], file: Path) -> dict[Clip, str]:
    if not file.is_file():
        raise UsageError(f"{file}: no such file; expected a CSV file with columns file, take")
    table = read_takes(file)
    named: dict[tuple[str | None, str], str] = {}  # by machine, if one is named, and file name
    for name, take in table.items():
        path = PureWindowsPath(name)  # whose separator may be / as well
        machine = next((part for part in path.parts[-2::-1] if part in machines), None)
        if named.setdefault((machine, path.name), take) != take:
            raise DataError(f"{file}: {name} belongs to two takes; leave one of its lines")
    takes: dict[Clip, str] = {}
    for clip in (clip for one in machines.values() for clip in one.train):
        found = named.get((clip.machine, clip.path.name), named.get((None, clip.path.name)))
        if found is None:
            raise UsageError(f"{file} names no take for {clip.path}; name all training clips")
        takes[clip] = found
    return takes


def _write(takes: Mapping[Clip, str]) -> list[str]:
    """Write the table of each folder; return what went wrong."""
    wrong: list[str] = []
    for folder, clips in _by_folder(list(takes)).items():
        path = folder / TAKES_FILE
        # Nothing stops root from writing; data that nobody may write to are left as they are.
        if not folder.stat().st_mode & 0o222:
            wrong.append(f"cannot write {path} (read-only folder)")
            continue
        table = read_takes(path)
        known = {Path(name).name for name in table}
        table |= {c.path.name: takes[c] for c in clips if c.path.name not in known}
        try:
            write_takes(path, table)
        except OSError as error:
            wrong.append(f"cannot write {path} ({error.strerror or error})")
    return wrong


def _by_folder(clips: Sequence[Clip]) -> dict[Path, list[Clip]]:
    """Clips by the folder of their machine; it may be spread over several."""
    folders: dict[Path, list[Clip]] = {}
    for clip in clips:
        folders.setdefault(clip.path.parent.parent, []).append(clip)
    return folders
