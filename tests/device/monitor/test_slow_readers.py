"""Files, pipes and terminals that take nothing: live sound is scored on, a recording waits."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from device.fake_card import RATE_HZ as CARD_RATE_HZ
from device.fake_card import FakeCards, require_portaudio
from device.listening import (
    COMMAND,
    ENVIRONMENT,
    TIMEOUT_S,
    Events,
    of,
    parse,
    read_until,
    start,
    write,
)
from device.mini_bundle import machine_sound
from device.waiting import wait_until

_F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)
END_S = 30.0  # the end takes ten seconds at most, on an idle computer


@contextmanager
def live(folder: Path, bundle: Path, *args: str, **options: Any) -> Iterator[Any]:
    """``listen`` to a card that plays normal sound for half a minute."""
    require_portaudio()
    cards = FakeCards(folder / "cards")
    environment = ENVIRONMENT | cards.environment | {"XDG_STATE_HOME": str(folder / "state")}
    with (
        cards.add_fifo(1, machine_sound(30, seed=1, rate_hz=CARD_RATE_HZ)),
        subprocess.Popen(
            [*COMMAND, "--bundle", str(bundle), "--device", "hw:1", *args],
            env=environment,
            **options,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def lines_of(file: Path) -> Events:
    """The whole lines of a file that is written to."""
    whole = file.read_text().rpartition("\n")[0] if file.exists() else ""
    return parse(whole)


def end_of(process: subprocess.Popen[Any]) -> float:
    """Ask a process to end; return how long that took, in seconds."""
    begin_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT_S) == 0
    return time.monotonic() - begin_s


def test_a_pipe_that_nobody_reads_keeps_live_sound_from_nothing(
    tmp_path: Path, mini_bundle: Path
) -> None:
    pipe = tmp_path / "events"
    os.mkfifo(pipe)
    with live(
        tmp_path, mini_bundle, "--output", str(pipe), stdout=subprocess.PIPE, text=True
    ) as process:
        events = read_until(process.stdout, "score")

        assert end_of(process) < END_S
        assert events[0]["event"] == "started"


def test_a_reader_of_standard_output_that_stops_costs_live_sound_nothing(
    tmp_path: Path, mini_bundle: Path
) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, _F_SETPIPE_SZ, 4096)
    log = tmp_path / "events.jsonl"
    args = ["--output", str(log), "--hop-s", "0.05"]
    with live(tmp_path, mini_bundle, *args, stdout=writing):
        os.close(writing)
        wait_until(lambda: len(of(lines_of(log), "score")) > 4096 // 100)
    os.close(reading)


def test_a_terminal_that_is_stopped_costs_live_sound_nothing(
    tmp_path: Path, mini_bundle: Path
) -> None:
    terminal, inside = pty.openpty()
    log = tmp_path / "events.jsonl"
    with live(tmp_path, mini_bundle, "--output", str(log), stdout=inside, stderr=inside) as process:
        wait_until(lambda: of(lines_of(log), "score"))
        os.write(terminal, b"\x13")  # Ctrl-S
        time.sleep(0.5)
        told = len(of(lines_of(log), "score"))
        wait_until(lambda: len(of(lines_of(log), "score")) > told + 1)

        assert end_of(process) < END_S
    for descriptor in (terminal, inside):
        os.close(descriptor)
    assert lines_of(log)[-1]["event"] == "stopped"


def test_a_recording_waits_for_its_reader_and_loses_no_line(
    tmp_path: Path, mini_bundle: Path
) -> None:
    path = write(tmp_path / "long.wav", machine_sound(30, seed=1))
    log = tmp_path / "events.jsonl"
    args = ["--input", path, "--hop-s", "0.02", "--output", str(log)]
    with start(mini_bundle, args) as process:
        time.sleep(1.0)  # the pipe is full
        events = read_until(process.stdout, "stopped")
        assert process.wait(TIMEOUT_S) == 0

    assert len(of(events, "score")) == 1451
    assert events == lines_of(log)


@pytest.mark.parametrize("output", ["pipe without a reader", "reader that stopped"])
def test_a_recording_that_waits_for_its_reader_can_be_ended(
    tmp_path: Path, mini_bundle: Path, output: str
) -> None:
    path = write(tmp_path / "long.wav", machine_sound(30, seed=1))
    args = ["--input", path, "--hop-s", "0.01"]
    if output == "pipe without a reader":
        os.mkfifo(tmp_path / "pipe")
        args += ["--output", str(tmp_path / "pipe")]
    with start(mini_bundle, args) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(1.0)

        assert end_of(process) < END_S
        process.stdout.read()
