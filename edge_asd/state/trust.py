"""What a command may be led to by a state folder: no further than its owner could go.

A service keeps its state as a user of its own, who may put anything there: links, pipes, devices.
What root does there, it does with the rights of that user; so new files belong to the service, too.
"""

from __future__ import annotations

import encodings
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_asd.errors import StateError

__all__ = ["acting_as_owner", "read_regular", "require_regular"]

_ROOT_UID = 0


@contextmanager
def acting_as_owner(folder: Path) -> Iterator[None]:
    """Act as the owner of a state folder, or of the one in which it will be made.

    Changes nothing for anybody but root. The rights are those of the whole process: only one
    thread may do this.

    Parameters
    ----------
    folder : of one machine, directly below the folder of all states

    Raises
    ------
    StateError
        When something fails because the owner may not read the program.
    """
    if os.geteuid() != _ROOT_UID:
        yield
        return
    owner = _owner(folder)
    if owner.st_uid == _ROOT_UID:
        yield
        return
    gid, groups = os.getegid(), os.getgroups()
    os.setgroups(_groups(owner))
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    except (ImportError, LookupError) as error:  # an encoding is loaded when it is used first
        unreadable = _unreadable_part_of_the_program()
        if unreadable is None:
            raise
        raise StateError(
            f"{folder} is used with the rights of its owner, who may not read {unreadable}; "
            "install edge-asd and its Python where everybody may read them, such as below /opt"
        ) from error
    finally:
        os.seteuid(_ROOT_UID)
        os.setegid(gid)
        os.setgroups(groups)


def read_regular(path: Path, most_bytes: int) -> bytes:
    """Return what a file of the state holds; never waits, and follows no link.

    Raises
    ------
    StateError
        When it is a link, a pipe or a device, or larger than `most_bytes`.
    OSError
        As the system does: FileNotFoundError when there is none.
    """
    require_regular(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # exchanged since
            raise StateError(f"{path} is no regular file")
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise StateError(f"{path} is larger than {most_bytes} bytes; remove it")
    return content


def require_regular(path: Path) -> None:
    """Refuse a link, a pipe or a device in place of a file.

    Raises
    ------
    StateError
        When it is one.
    OSError
        As the system does: FileNotFoundError when there is none.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise StateError(f"{path} is a link, a pipe or a device in place of a file; remove it")


def _owner(folder: Path) -> os.stat_result:
    """Owner of the folder of all states; where that is root, of the machine's own below it.

    Only root can put a link into a folder that root owns, so that one may be followed.
    """
    above = folder.parent
    while not above.exists() and above != above.parent:
        above = above.parent
    status = above.stat()
    if status.st_uid == _ROOT_UID:
        with suppress(FileNotFoundError, NotADirectoryError):
            return folder.stat()
    return status


def _unreadable_part_of_the_program() -> Path | None:
    for part in (encodings.__file__, __file__):
        if part is not None and not os.access(part, os.R_OK, effective_ids=True):
            return Path(part).parents[1]
    return None


def _groups(owner: os.stat_result) -> list[int]:
    try:
        name = pwd.getpwuid(owner.st_uid).pw_name
    except KeyError:
        return [owner.st_gid]
    return os.getgrouplist(name, owner.st_gid)
