"""Which names a machine may have, and which folders they become."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_asd.errors import StateError, UsageError
from edge_asd.state.folder import StateFolder, folder_name, require_name


@pytest.mark.parametrize(
    "name", ["pump-3", "Halle 7, Pumpe 3", "../../x", "+/#", "Lüfter", "x" * 100]
)
def test_a_name_that_people_can_read_is_a_name(name: str) -> None:
    assert require_name(name) == name


@pytest.mark.parametrize(
    "name", ["", " ", " pump", "pump\n", "a\nb", "\x1b[31mpump", "\udcff", "x" * 101]
)
def test_a_name_that_people_cannot_read_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        require_name(name)

    assert str(refused.value).isprintable()


@pytest.mark.parametrize("name", ["..", ".", "../../x", "/etc", "", "a\0b", "\udcff", "x" * 5000])
def test_whatever_a_machine_is_called_its_folder_lies_in_the_root(
    tmp_path: Path, name: str
) -> None:
    folder = StateFolder(tmp_path, name)

    folder.make()

    assert [path.name for path in tmp_path.iterdir()] == [folder_name(name)]


def test_two_monitors_of_one_machine_cannot_run_at_once(tmp_path: Path) -> None:
    with StateFolder(tmp_path, "pump").lock():
        with pytest.raises(StateError, match=r"another monitor of 'pump' is running .*--state"):
            StateFolder(tmp_path, "pump").lock()
        StateFolder(tmp_path, "fan").lock().close()

    StateFolder(tmp_path, "pump").lock().close()


@pytest.mark.skipif(sys.platform != "linux", reason="needs abstract socket addresses")
def test_no_second_monitor_runs_where_the_folder_was_removed(tmp_path: Path) -> None:
    with StateFolder(tmp_path, "pump").lock():
        shutil.rmtree(tmp_path / "pump")
        with pytest.raises(StateError, match="another monitor of 'pump' is running"):
            StateFolder(tmp_path, "pump").lock()

    StateFolder(tmp_path, "pump").lock().close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(sys.platform != "linux", reason="needs abstract socket addresses")
def test_a_stranger_cannot_keep_a_monitor_from_starting(tmp_path: Path) -> None:
    state = StateFolder(tmp_path, "pump")
    address = b"\0edge-asd/" + hashlib.sha256(os.fsencode(state.path)).digest()
    code = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(bytes.fromhex(sys.argv[1]));"
        "s.listen(); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        ["/usr/bin/python3", "-c", code, address.hex()], user=65534, group=65534, extra_groups=[],
        cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as stranger:  # fmt: skip
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == b"\n"

        state.lock().close()
        stranger.terminate()


def test_what_a_killed_monitor_was_writing_is_removed_at_the_start(tmp_path: Path) -> None:
    state = StateFolder(tmp_path, "pump")
    state.make()
    for name in (".alarm.json.4711", ".faults.json.1", "alarm.json", ".hidden"):
        (state.path / name).write_text("{}")
    (state.path / ".folder.12").mkdir()

    state.lock().close()

    kept = {path.name for path in state.path.iterdir()}
    assert kept == {"alarm.json", ".hidden", ".folder.12", "lock"}


def test_a_pipe_in_place_of_the_lock_is_named(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path, "pump")
    folder.make()
    os.mkfifo(folder.path / "lock")

    with pytest.raises(StateError, match="pump: lock is a pipe or a device"):
        folder.lock()
