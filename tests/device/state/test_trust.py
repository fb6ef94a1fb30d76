"""Root in the state of a service: led no further than its user, and never kept waiting."""

from __future__ import annotations

import encodings
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_asd.clips.folder import EVENT_FILE, EventRecord
from edge_asd.control.monitors import recent_alarms, report_on
from edge_asd.errors import StateError
from edge_asd.events.fault_reporter import SavedFaults
from edge_asd.learn.store import LearnedStore
from edge_asd.state.folder import StateFolder
from edge_asd.state.trust import acting_as_owner, read_regular

SERVICE_UID, SERVICE_GID = 65534, 65533

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def root() -> Iterator[Path]:
    """Folder of all states, of the service's user; every user can enter the one around it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        state = Path(name) / "state"
        state.mkdir()
        os.chown(state, SERVICE_UID, SERVICE_GID)
        yield state


def owners(folder: Path) -> set[tuple[int, int]]:
    found = [folder, *folder.rglob("*")]
    return {(one.lstat().st_uid, one.lstat().st_gid) for one in found}


@needs_root
def test_what_root_writes_belongs_to_the_service_whatever_its_umask(root: Path) -> None:
    folder = StateFolder(root, "pump")
    before = os.umask(0o077)
    try:
        with LearnedStore(folder).writing():
            pass
        with acting_as_owner(folder.path), folder.lock():
            SavedFaults().save(folder.fault_file)
    finally:
        os.umask(before)

    assert owners(folder.path) == {(SERVICE_UID, SERVICE_GID)}
    assert (os.geteuid(), os.getegid()) == (0, 0)


@needs_root
@pytest.mark.parametrize("failure", [LookupError("unknown encoding: cp437"), ImportError("numpy")])
def test_a_program_that_the_service_may_not_read_is_named(
    failure: Exception, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = root.parent / "of-root"
    (library / "encodings").mkdir(parents=True)
    (library / "encodings/__init__.py").touch()
    library.chmod(0o700)
    folder = StateFolder(root, "pump").path
    monkeypatch.setattr(encodings, "__file__", str(library / "encodings/__init__.py"))
    refused = pytest.raises(StateError, match=rf"may not read {library}; install")
    with refused, acting_as_owner(folder):
        raise failure

    assert os.geteuid() == 0


@needs_root
@pytest.mark.parametrize("link", ["pump", "pump/learned"])
def test_a_link_leads_root_nowhere_that_the_service_may_not_go(root: Path, link: str) -> None:
    secret = root.parent / "of-root"
    secret.mkdir(mode=0o700)
    (root / link).parent.mkdir(exist_ok=True)
    os.chown((root / link).parent, SERVICE_UID, SERVICE_GID)
    (root / link).symlink_to(secret)

    with (
        pytest.raises(StateError, match="ermi"),
        LearnedStore(StateFolder(root, "pump")).writing(),
    ):
        pass

    assert list(secret.iterdir()) == []
    assert secret.stat().st_mode & 0o777 == 0o700


@needs_root
def test_a_folder_of_roots_own_is_used_as_root(root: Path) -> None:
    os.chown(root, 0, 0)

    with acting_as_owner(StateFolder(root, "pump").path):
        assert os.geteuid() == 0


@needs_root
def test_a_machines_folder_counts_where_all_states_are_in_a_folder_of_roots(root: Path) -> None:
    os.chown(root, 0, 0)
    (root / "pump").mkdir()
    os.chown(root / "pump", SERVICE_UID, SERVICE_GID)

    with acting_as_owner(StateFolder(root, "pump").path):
        assert os.geteuid() == SERVICE_UID


def make_link(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [os.mkfifo, make_link, Path.mkdir])
def test_what_is_no_file_is_neither_waited_for_nor_followed(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "faults.json")

    with pytest.raises((StateError, OSError)):
        read_regular(tmp_path / "faults.json", 1000)
    assert SavedFaults.load_or_set_aside(tmp_path / "faults.json") is None


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "faults.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)

    with pytest.raises(StateError, match="larger than 1000 bytes"):
        read_regular(path, 1000)


def test_a_listing_of_alarms_waits_for_no_pipe(tmp_path: Path) -> None:
    state = StateFolder(tmp_path, "pump")
    event = state.events / "pump-20261122T083005000Z"
    event.mkdir(parents=True)
    os.mkfifo(event / EVENT_FILE)

    assert report_on(state).alarms == []
    assert list(recent_alarms(state.events)) == []
    with pytest.raises(StateError):
        EventRecord.load(event / EVENT_FILE)


def test_a_lock_is_no_pipe(tmp_path: Path) -> None:
    state = StateFolder(tmp_path, "pump")
    state.make()
    (state.path / "lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StateError, match="cannot use the state folder"):
        state.lock()

    assert not (tmp_path / "elsewhere").exists()
