"""Runs ``listen`` as a user does, and reads what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import soundfile
from device.mini_bundle import RATE_HZ
from numpy.typing import NDArray
from typer.testing import CliRunner

from edge_asd.cli import app

WINDOW_S = 1.0
SCORE_TOLERANCE = 1e-6
TIMEOUT_S = 600
COMMAND = [sys.executable, "-m", "edge_asd", "listen"]
ENVIRONMENT = os.environ | {"PYTHONPATH": ":".join(sys.path)}

Events = list[dict[str, Any]]


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def parse(text: str) -> Events:
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def of(events: Events, kind: str) -> Events:
    return [event for event in events if event["event"] == kind]


def write(path: Path, audio: NDArray[np.float32], rate_hz: int = RATE_HZ) -> str:
    soundfile.write(path, audio.T, rate_hz, subtype="FLOAT")
    return str(path)


def run_in_process(bundle: Path, *args: str) -> tuple[int, Events, str]:
    """Exit code, events and stderr."""
    result = CliRunner().invoke(app, ["listen", "--bundle", str(bundle), *args])
    return result.exit_code, parse(result.stdout), result.stderr


def run(
    bundle: Path, args: Sequence[str], *, env: dict[str, str] | None = None, stdin: bytes = b""
) -> tuple[int, Events, str]:
    """Exit code, events and stderr of a process of its own."""
    result = subprocess.run(
        [*COMMAND, "--bundle", str(bundle), *args],
        env=_environment(env),
        input=stdin,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return result.returncode, parse(result.stdout.decode()), result.stderr.decode()


def start(
    bundle: Path, args: Sequence[str], env: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "--bundle", str(bundle), *args],
        env=_environment(env),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _environment(env: dict[str, str] | None) -> dict[str, str]:
    """With a state folder of its own, unless the test names one."""
    return ENVIRONMENT | {"XDG_STATE_HOME": tempfile.mkdtemp()} | (env or {})


def read_until(stream: IO[str] | None, kind: str) -> Events:
    assert stream is not None
    events: Events = []
    while not of(events, kind):
        line = stream.readline()
        assert line, f"no {kind} event before the end of the output: {events}"
        events += parse(line)
    return events


def text_of(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.read()
