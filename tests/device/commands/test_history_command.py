"""``edge-asd history``: what it prints, and what it refuses."""

from __future__ import annotations

import csv
import io
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from device.history_steps import HISTORY, RATE_HZ, a_minute
from device.made_events import BASE
from typer.testing import CliRunner, Result

from edge_asd.cli import app
from edge_asd.events.event import FaultRaisedEvent
from edge_asd.history.database import HistoryDatabase
from edge_asd.state.folder import folder_name

FAULT = FaultRaisedEvent(
    **BASE | {"time": datetime.now(UTC)},
    fault="capture_lost",
    severity="deaf",
    meaning="",
    detail="check\x1b[31m its plug",
    figures={},
)


def run(root: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["history", *arguments, "--state", str(root)])


def record(root: Path, machine: str = "pump-3", n: int = 5) -> HistoryDatabase:
    """Minutes until now; the file stays open, as that of a monitor that runs."""
    folder = root / machine
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    database = HistoryDatabase(folder / HISTORY, RATE_HZ, reserve_bytes=0)
    now = int(time.time()) // 60 * 60
    database.write([a_minute(now - 60 * i) for i in range(1, n + 1)], [FAULT])
    return database


def test_the_history_is_shown_while_the_monitor_writes_it(tmp_path: Path) -> None:
    with closing(record(tmp_path)) as database:
        database._opened().execute("BEGIN IMMEDIATE")  # it is in the middle of a minute
        shown = run(tmp_path)

    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    assert lines[0].startswith("pump-3, 7d: heard 5 min, deaf 0 s, off ")
    assert "fault capture_lost: check[31m its plug" in lines[-1]
    assert max(map(len, lines)) <= 100


def test_the_table_fits_a_terminal_of_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_asd.commands.history._PIPE_WIDTH", 80)
    record(tmp_path).close()

    shown = run(tmp_path).stdout

    assert "…" not in shown
    assert "cond. alarms faults heard" in shown


@pytest.mark.parametrize("since", ["1h", "30d", "400d", "99999d"])
def test_any_time_can_be_shown(tmp_path: Path, since: str) -> None:
    record(tmp_path).close()

    assert run(tmp_path, "--since", since).exit_code == 0


def test_csv_is_on_stdout_alone(tmp_path: Path) -> None:
    record(tmp_path).close()

    shown = run(tmp_path, "pump-3", "--since", "1h", "--csv")

    assert [line["windows"] for line in csv.DictReader(io.StringIO(shown.stdout))] == ["2"] * 5


def test_a_picture_is_written(tmp_path: Path) -> None:
    record(tmp_path).close()

    assert run(tmp_path, "--plot", str(tmp_path / "pump.png")).exit_code == 0

    assert (tmp_path / "pump.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (("--csv", "--json"), "--csv, --json and --plot exclude each other", 2),
        (("--since", "week"), "--since 'week' is not a duration", 2),
        (("--plot", "pump.jpg"), "does not end with .png", 2),
        (("--plot", "/nowhere/pump.png"), "cannot write /nowhere/pump.png", 1),
        (("nobody",), "no monitor of 'nobody' has run yet; there are pump-3", 1),
        (("pump-3", "--since", "1s"), "nothing of pump-3 was recorded in 1s", 1),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], message: str, code: int
) -> None:
    with closing(record(tmp_path)) as database:
        database._opened().execute("DELETE FROM days")
        database._opened().execute("DELETE FROM events")
        if arguments != ("pump-3", "--since", "1s"):
            database.write([a_minute(int(time.time()))], [])

    refused = run(tmp_path, *arguments)

    assert refused.exit_code == code
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_one_of_several_machines_has_to_be_named(tmp_path: Path) -> None:
    for machine in ("pump-3", "pump-4"):
        record(tmp_path, machine).close()

    assert "name one: edge-asd history pump-3" in run(tmp_path).stderr
    assert run(tmp_path, "pump-4").stdout.startswith("pump-4, 7d")


def test_a_machine_may_have_any_name(tmp_path: Path) -> None:
    record(tmp_path, folder_name("Pumpe 3, Süd [alt]")).close()

    assert run(tmp_path, "Pumpe 3, Süd [alt]").stdout.startswith("Pumpe 3, Süd [alt], 7d: heard")


def test_a_machine_without_history_is_said(tmp_path: Path) -> None:
    record(tmp_path).close()
    (tmp_path / "pump-3" / HISTORY).unlink()

    assert "has no history yet" in run(tmp_path).stderr


@pytest.mark.parametrize("what", ["pipe", "link", "text", "foreign"])
def test_what_is_no_history_is_refused_in_one_line(tmp_path: Path, what: str) -> None:
    record(tmp_path).close()
    file = tmp_path / "pump-3" / HISTORY
    if what == "foreign":
        with closing(sqlite3.connect(file)) as other, other:
            other.execute("UPDATE minutes SET states = 'no JSON'")
    else:
        file.unlink()
        {
            "pipe": lambda: os.mkfifo(file),
            "link": lambda: file.symlink_to("/etc/passwd"),
            "text": lambda: file.write_text("no database\n" * 400),
        }[what]()

    refused = run(tmp_path, "--since", "1h")

    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: ")
    assert refused.stderr.count("\n") == 1


def test_what_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "pump-3" / HISTORY)) as other, other:
        other.execute("DROP TABLE events")
        other.execute(
            "CREATE VIEW events AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
            "SELECT x AS id, -x AS time_ms, x AS event, x AS content, x AS number FROM n"
        )
    monkeypatch.setattr("edge_asd.history.reading._WITHIN_S", 0.05)

    assert "cannot be read: interrupted" in run(tmp_path).stderr


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_history_is_shown_or_refused_in_one_line(tmp_path: Path, seed: int) -> None:
    record(tmp_path, n=200).close()
    file = tmp_path / "pump-3" / HISTORY
    content = bytearray(file.read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, len(content), 40).tolist():
        content[place] = int(rng.integers(256))
    file.write_bytes(content)

    for arguments in ((), ("--csv",), ("--json",), ("--plot", str(tmp_path / "x.png"))):
        shown = run(tmp_path, "--since", "1d", *arguments)
        assert shown.exit_code in (0, 1)
        assert shown.exception is None or isinstance(shown.exception, SystemExit)
        assert shown.exit_code == 0 or shown.stderr.count("\n") == 1


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that another user may reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_reads_the_history_of_a_service_as_its_user(public_folder: Path) -> None:
    root = public_folder / "state"
    record(root).close()
    for path in [root, *root.rglob("*")]:
        os.chown(path, 65534, 65534)

    shown = run(root)

    assert shown.exit_code == 0
    assert {path.stat().st_uid for path in (root / "pump-3").iterdir()} == {65534}
