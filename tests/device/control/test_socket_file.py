"""Who may connect to the socket of a monitor, and what becomes of its file."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from device.answering import control_threads, echo, monitor
from device.waiting import wait_until

from edge_asd.control import control_socket
from edge_asd.control.control_socket import ControlServer, ask
from edge_asd.control.unix_socket import answers
from edge_asd.errors import ControlError

NOBODY_UID = 65534


def test_closing_takes_the_socket_and_the_threads_away(path: Path) -> None:
    server = ControlServer(path)

    server.close()
    server.close()

    assert not path.exists()
    wait_until(lambda: control_threads() == 0)
    assert not answers(path)


def test_the_socket_and_its_folder_are_the_owners_alone(path: Path) -> None:
    previous = os.umask(0)
    try:
        with closing(ControlServer(path)):
            socket_mode, folder_mode = path.stat().st_mode, path.parent.stat().st_mode
    finally:
        os.umask(previous)

    assert stat.S_IMODE(socket_mode) == 0o600
    assert stat.S_IMODE(folder_mode) == 0o700


ASK_AS_ANOTHER = """
import socket, sys
client = socket.socket(socket.AF_UNIX)
try:
    client.connect(sys.argv[1])
except OSError as error:
    print(type(error).__name__)
else:
    print(client.makefile().readline())
"""


def ask_as_nobody(path: Path) -> str:
    return subprocess.run(
        ["/usr/bin/env", "python3", "-c", ASK_AS_ANOTHER, str(path)],
        user=NOBODY_UID,
        group=NOBODY_UID,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@needs_root
def test_another_user_cannot_connect(open_folder: Path) -> None:
    path = open_folder / "pump" / "control.sock"

    with monitor(path, echo):
        assert ask_as_nobody(path) == "PermissionError"


@needs_root
def test_another_user_is_refused_even_where_the_file_lets_everybody_in(open_folder: Path) -> None:
    path = open_folder / "pump" / "control.sock"

    with monitor(path, echo):
        path.parent.chmod(0o755)
        path.chmod(0o666)
        answer = ask_as_nobody(path)

    assert json.loads(answer) == {"error": "the monitor belongs to another user"}


def test_the_socket_of_a_dead_monitor_is_replaced(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()

    with monitor(path, echo):
        assert ask(path, "status")["command"] == "status"


def test_the_socket_of_a_killed_process_is_replaced(path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path;"
        "from edge_asd.control.control_socket import ControlServer;"
        "server = ControlServer(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=False)
    assert path.is_socket()

    with monitor(path, echo):
        assert ask(path, "status")["command"] == "status"


def test_the_socket_of_a_live_monitor_is_left_alone(path: Path) -> None:
    with monitor(path, echo):
        with pytest.raises(ControlError, match="another monitor answers at"):
            ControlServer(path)

        assert ask(path, "status")["command"] == "status"


def test_a_socket_that_was_removed_comes_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_socket, "_LOOK_EVERY_S", 0.05)

    with monitor(path, echo):
        shutil.rmtree(path.parent)
        wait_until(path.exists)
        assert ask(path, "status")["command"] == "status"


def test_a_file_in_the_way_is_never_removed(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("precious")

    with pytest.raises(ControlError, match="is not a socket; move it away"):
        ControlServer(path)

    assert path.read_text() == "precious"


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ControlError, match=r"cannot listen at .*--state"):
        ControlServer(tmp_path / "file" / "pump" / "control.sock")


def test_the_path_of_the_socket_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 120) / ("b" * 120) / "control.sock"

    with monitor(path, echo):
        assert answers(path)
        assert ask(path, "status")["command"] == "status"
        with pytest.raises(ControlError, match="another monitor answers at"):
            ControlServer(path)
    assert not path.exists()


def test_no_descriptor_and_no_thread_is_left_behind(path: Path) -> None:
    def count() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    wait_until(lambda: control_threads() == 0)  # of other tests
    before = count()
    with monitor(path, echo):
        for _ in range(50):
            ask(path, "status")
    wait_until(lambda: count() == before)
