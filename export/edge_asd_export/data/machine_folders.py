"""Which folders are machines, how these are called, and which folders are none."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from edge_asd.errors import UsageError
from edge_asd.machine_name import machine_name
from edge_asd.recordings.clip_name import Split
from edge_asd.state.folder import require_name
from edge_asd_export.data.problems import Problem

__all__ = ["SPLITS", "alike", "clip_files", "machine_of"]

SPLITS: tuple[Split, ...] = ("train", "test")
SUFFIXES = frozenset({".wav", ".flac"})

# What file systems, network storage and archive tools leave beside the machines.
_SYSTEM_FOLDERS = frozenset(
    {
        "lost+found",
        "@eadir",
        "@recycle",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "recycler",
        "system volume information",
    }
)


def clip_files(
    roots: Sequence[Path], problems: list[Problem], ignored: list[Problem]
) -> Iterator[Path]:
    """Every audio file of every machine; files met twice by overlapping roots come once.

    Parameters
    ----------
    problems, ignored : get what is wrong, and the folders that are no machines

    Raises
    ------
    UsageError
        When a root is not a folder.
    """
    seen: set[tuple[str, Path]] = set()
    folders: dict[Path, Path] = {}
    for root in roots:
        if not _is_folder(root):
            raise UsageError(f"{root}: no such folder; give a folder of machine folders")
        if not _is_readable(root):
            raise UsageError(f"{root}: no permission to read it")
        for folder in _machine_folders(root, problems, ignored):
            name = _name(folder)
            first = folders.setdefault(folder.resolve(), folder)
            if _name(first) != name:
                ignored.append(Problem(folder, f"the same folder as {first}"))
                continue
            for split in SPLITS:
                for path in _visible(folder / split):
                    if _is_audio(path) and (name, path.resolve()) not in seen:
                        seen.add((name, path.resolve()))
                        yield path


def machine_of(path: Path) -> str:
    """Machine of a clip or of its problem: the name of the folder, or of the link to it."""
    return _name(path.parent.parent)


def alike(names: Collection[str]) -> Iterator[tuple[str, ...]]:
    """Names of machines that differ by capital letters alone."""
    same: dict[str, list[str]] = defaultdict(list)
    for name in names:
        same[name.casefold()].append(name)
    yield from (tuple(sorted(group)) for group in same.values() if len(group) > 1)


def _name(folder: Path) -> str:
    # "." and ".." have no name of their own.
    return machine_name((folder if folder.name.strip(".") else folder.resolve()).name)


def _machine_folders(root: Path, problems: list[Problem], ignored: list[Problem]) -> Iterator[Path]:
    if _holds_split(root):
        if _holds_clips(root):
            yield from _named([root], problems)
        else:
            problems.append(Problem(root, "no WAV or FLAC file in train or test"))
        return
    machines = []
    for folder in sorted(root.iterdir()):
        if why := _why_no_machine(folder):
            ignored.append(Problem(folder, why))
        elif _holds_clips(folder) and not _is_hidden(folder):
            machines.append(folder)
    if not machines:
        problems.append(Problem(root, "no machine folder inside"))
    yield from _named(machines, problems)


def _named(folders: Sequence[Path], problems: list[Problem]) -> Iterator[Path]:
    for folder in folders:
        try:
            require_name(_name(folder))
        except UsageError as error:
            problems.append(Problem(folder, str(error)))
        else:
            yield folder


def _why_no_machine(folder: Path) -> str | None:
    """Why something beside the machines is none; None for machines, files and hidden things."""
    if not _is_folder(folder):
        return "a link to nothing" if folder.is_symlink() else None
    if folder.name.casefold() in _SYSTEM_FOLDERS:
        return "a folder of the system"
    if _is_hidden(folder):
        return "a hidden folder; rename it if it is a machine" if _holds_clips(folder) else None
    if not all(map(_is_readable, [folder, *(folder / split for split in SPLITS)])):
        return "no permission to read it"
    if not _holds_split(folder):
        return "neither train nor test inside; not a machine folder"
    if not _holds_clips(folder):
        return "no WAV or FLAC file in train or test"
    return None


def _holds_split(folder: Path) -> bool:
    return any(_is_folder(folder / split) for split in SPLITS)


def _holds_clips(folder: Path) -> bool:
    return any(_is_audio(path) for split in SPLITS for path in _visible(folder / split))


def _is_audio(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _is_hidden(path: Path) -> bool:
    """Archive tools of macOS leave `._name` and `__MACOSX` twins behind."""
    return path.name.startswith((".", "__"))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError:  # of what is above it
        return False


def _is_readable(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK) or not os.path.lexists(folder)


def _visible(folder: Path) -> list[Path]:
    """Sorted entries; none where the folder cannot be read."""
    if not _is_folder(folder) or not _is_readable(folder):
        return []
    return sorted(path for path in folder.iterdir() if not _is_hidden(path))
