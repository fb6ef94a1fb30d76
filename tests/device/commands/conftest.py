"""A device for commands: its usual places are below ``tmp_path``."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from device.live_monitor import LiveMonitor

from edge_asd.state.places import SERVICE_STATE, below, state_roots


@pytest.fixture(autouse=True)
def usual_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setattr(state_roots, "__kwdefaults__", {"system": tmp_path})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where a monitor of this user keeps its state."""
    return tmp_path / "home" / "edge-asd"


@pytest.fixture
def service_root(tmp_path: Path) -> Path:
    """Where a service keeps its state."""
    return below(tmp_path, SERVICE_STATE)


@pytest.fixture
def live(root: Path) -> Iterator[Callable[..., LiveMonitor]]:
    """Start a monitor of a machine, whose state is in a folder."""
    with ExitStack() as stack:
        yield lambda machine="pump", at=root: stack.enter_context(closing(LiveMonitor(at, machine)))


@pytest.fixture
def service_of_another_user(service_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the services' state unreadable, also for root, who runs some of the tests."""
    iterdir = Path.iterdir

    def closed(path: Path) -> Iterator[Path]:
        if path == service_root:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return iterdir(path)

    monkeypatch.setattr(Path, "iterdir", closed)
