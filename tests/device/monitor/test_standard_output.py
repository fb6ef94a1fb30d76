"""Standard output of a live monitor whose reader does not read."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from contextlib import closing

from device.listening import ENVIRONMENT

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
