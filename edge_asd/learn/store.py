"""Versions of what was learned of one machine: numbered, never changed, the newest few kept.

::

    learned/
        current     name of the version in use; no such file: none
        v0001/ ...  see :mod:`edge_asd.learn.learned`
        .lock       held while something is being learned

A version is made in a temporary folder and renamed, and ``current`` is replaced in one step:
whatever happens, there is the old version or the new one.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from edge_asd.errors import StateError
from edge_asd.learn.learned import Learned, read_site, read_version, write_version
from edge_asd.state.atomic import atomic_folder, write_atomically
from edge_asd.state.folder import StateFolder, lock_file
from edge_asd.state.trust import acting_as_owner, read_regular

__all__ = ["KEPT_VERSIONS", "LearnedStore", "learned_states"]

KEPT_VERSIONS = 5  # a few megabytes each

_VERSION = re.compile(r"v\d{4,}")
_CURRENT = "current"

_log = logging.getLogger(__name__)


class LearnedStore:
    """What was learned of one machine.

    Parameters
    ----------
    state : of the machine; its folder need not exist
    """

    def __init__(self, state: StateFolder) -> None:
        self._state = state
        self._folder = state.learned

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other commands from learning at the same time.

        Raises
        ------
        StateError
            When another one is at it, or the folder cannot be written.
        """
        with acting_as_owner(self._state.path):
            self._state.make()
            try:
                self._folder.mkdir(exist_ok=True)
                lock = lock_file(self._folder / ".lock")
            except OSError as error:
                raise self._unwritable(error) from error
        if lock is None:
            raise StateError(
                f"another command is learning {self._state.machine!r}; wait until it is done"
            )
        with lock:
            yield

    @property
    def versions(self) -> list[str]:
        """Names of the versions that are kept, the oldest first."""
        return _versions(self._folder)

    @property
    def current(self) -> str | None:
        """Name of the version in use.

        Raises
        ------
        StateError
            When the folder does not say, or names one that is not there.
        """
        try:
            with acting_as_owner(self._state.path):
                name = read_regular(self._folder / _CURRENT, 100).decode("ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._damaged(_CURRENT, str(error)) from error
        if name not in self.versions:
            raise self._damaged(name if _VERSION.fullmatch(name) else _CURRENT, "it is not there")
        return name

    def load(self, version: str | None = None) -> Learned | None:
        """Read a version, by default the one in use; None when nothing is in use.

        Raises
        ------
        StateError
            When there is no such version, or it is damaged: with how to go back.
        """
        name = version or self.current
        if name is None:
            return None
        if name not in self.versions:
            kept = ", ".join(self.versions) or "none"
            raise StateError(
                f"{self._state.machine!r} has no learned version {name!r}; there are: {kept}"
            )
        try:
            with acting_as_owner(self._state.path):
                learned = read_version(self._folder / name)
        except StateError as error:
            raise self._damaged(name, str(error)) from error
        if learned.site.machine != self._state.machine:
            raise self._damaged(name, f"it was learned of {learned.site.machine!r}")
        return learned

    def add(self, learned: Learned) -> str:
        """Keep a new version, use it from now on, drop the oldest; return its name.

        Call it while :meth:`writing`.

        Raises
        ------
        StateError
            When the disk is full or cannot be written; then the old version stays in use.
        """
        name = f"v{max(map(_number, self.versions), default=0) + 1:04d}"
        with acting_as_owner(self._state.path):
            try:
                for left_behind in self._folder.glob(".v*"):  # by a command that lost power
                    shutil.rmtree(left_behind)
                with atomic_folder(self._folder / name) as staging:
                    write_version(staging, learned)
                write_atomically(self._folder / _CURRENT, f"{name}\n")
            except OSError as error:
                raise self._unwritable(error) from error
            for old in self.versions[:-KEPT_VERSIONS]:
                shutil.rmtree(self._folder / old, ignore_errors=True)
        return name

    def use(self, version: str | None) -> None:
        """Go to a version that is kept, or to none: the bundle alone.

        Raises
        ------
        StateError
            When there is no such version, or it is damaged.
        """
        try:
            with acting_as_owner(self._state.path):
                if version is None:
                    (self._folder / _CURRENT).unlink(missing_ok=True)
                elif self.load(version):
                    write_atomically(self._folder / _CURRENT, f"{version}\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def _damaged(self, name: str, reason: str) -> StateError:
        others = [version for version in self.versions if version != name]
        back = others[-1] if others else "bundle"
        return StateError(
            f"{name} of what was learned of {self._state.machine!r} is damaged: {reason}; go back "
            f"with 'edge-asd forget --machine {quote(self._state.machine)} --to {back}' or enrol "
            "again"
        )

    def _unwritable(self, error: OSError) -> StateError:
        return StateError(
            f"cannot write {self._folder}: {error.strerror or error}; nothing was changed"
        )


def learned_states(root: Path) -> list[StateFolder]:
    """State of every machine below a root of which something was learned."""
    states = []
    for folder in sorted(root.glob("*/learned")):
        with acting_as_owner(folder.parent):
            for name in reversed(_versions(folder)):
                try:
                    states.append(StateFolder(root, read_site(folder / name).machine))
                    break
                except StateError as error:
                    _log.warning("%s: %s", folder / name, error)
    return states


def _versions(folder: Path) -> list[str]:
    names = [path.name for path in folder.glob("v*") if _VERSION.fullmatch(path.name)]
    return sorted(names, key=_number)


def _number(version: str) -> int:
    return int(version[1:])
