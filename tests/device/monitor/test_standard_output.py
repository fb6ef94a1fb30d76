"""Standard output of a live monitor whose reader does not read."""

from __future__ import annotations

import fcntl
import io
import logging
import os
import pty
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime

import pytest
from device.listening import ENVIRONMENT

from edge_asd.events.fault import noticed
from edge_asd.events.fault_reporter import FaultReporter
from edge_asd.events.moment import Moment
from edge_asd.events.status import Status, StatusBoard
from edge_asd.monitor.ending import RunEnd
from edge_asd.monitor.standard_output import standard_output
from edge_asd.monitor.stop import Stop
from edge_asd.outputs.outbox import Outbox

_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)
_PROGRAM = """
import sys
from contextlib import closing
from datetime import UTC, datetime

from edge_asd.events.event import NoticeEvent
from edge_asd.monitor.ending import RunEnd
from edge_asd.monitor.standard_output import standard_output
from edge_asd.events.status import Status, StatusBoard
from edge_asd.monitor.stop import Stop
from edge_asd.outputs.outbox import Outbox

nothing = lambda *_: None
with closing(RunEnd()) as ending:
    _, (sink,) = standard_output(
        StatusBoard(Status(machine="pump", started=datetime.now(UTC))), Stop(), ending,
        as_json=True, live=True, report=nothing, outbox=Outbox(None, nothing),
    )
    for number in range(20):
        sink.emit(NoticeEvent(
            time=datetime.now(UTC), stream_time_s=0.0, machine=f"pump-{number}", notice="heat",
            text="x" * 1000, figures={},
        ))
sys.exit(75)
"""


def test_a_reader_that_stalls_does_not_keep_the_process_alive() -> None:
    buffered = {name: value for name, value in ENVIRONMENT.items() if name != "PYTHONUNBUFFERED"}
    reading, writing = os.pipe()
    fcntl.fcntl(writing, _F_SETPIPE_SZ, 4096)
    with closing(os.fdopen(reading, "rb")), closing(os.fdopen(writing, "wb")):
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            env=buffered,
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=300,
            check=False,
        )

    assert done.returncode == 75
    assert done.stderr.count(b"\n") == 1
    assert b"could not be delivered to stdout" in done.stderr


def test_a_fault_that_the_live_view_says_is_not_logged_beside_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    terminal, inside = pty.openpty()
    with os.fdopen(inside, "w") as stream, closing(os.fdopen(terminal, "rb")):
        monkeypatch.setattr(
            "edge_asd.monitor.standard_output._stream_apart", lambda _: io.StringIO()
        )
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        board = StatusBoard(Status(machine="pump", started=datetime.now(UTC)))
        with closing(RunEnd()) as ending:
            standard_output(
                board,
                Stop(),
                ending,
                as_json=False,
                live=True,
                report=lambda _: None,
                outbox=Outbox(None, lambda _: None),
            )
            _fault()
            assert not caplog.records
        monkeypatch.undo()
    _fault()

    assert [record.getMessage() for record in caplog.records] == [
        "the clock is not set; times may be wrong: no time server"
    ]


def _fault() -> None:
    at = Moment(datetime.now(UTC), 0.0, "pump")
    assert FaultReporter().take(noticed("clock", "no time server"), at)
