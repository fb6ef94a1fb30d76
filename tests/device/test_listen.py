"""``edge-asd listen``, mostly as a process of its own, on fake sound cards and on files."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import soundfile
from device.fake_card import RATE_HZ as CARD_RATE_HZ
from device.fake_card import FakeCards, require_portaudio
from device.mini_bundle import MACHINE, RATE_HZ, machine_day, machine_sound
from device.stream import sliced_scores
from numpy.typing import NDArray
from typer.testing import CliRunner

from edge_asd.bundle import Bundle
from edge_asd.cli import app
from edge_asd.commands.listen import _open_source
from edge_asd.errors import AudioError
from edge_asd.profile import load_profile

WINDOW_S = 1.0
SCORE_TOLERANCE = 1e-6
TIMEOUT_S = 100
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
        env=ENVIRONMENT | (env or {}),
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
        env=ENVIRONMENT | (env or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


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


def test_a_fault_at_the_microphone_hw_1_is_raised_and_cleared(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    sound = machine_day({"normal": 3, "fault": 3, "normal again": 3.5}, rate_hz=CARD_RATE_HZ)

    with cards.add_fifo(1, sound):
        exit_code, events, stderr = run(
            mini_bundle, ["--device", "hw:1", "--duration-s", "9"], env=cards.environment
        )

    assert (exit_code, stderr) == (0, "")
    assert events[0]["event"] == "started"
    assert (events[0]["source"], events[0]["source_rate_hz"]) == ("hw:1,0", CARD_RATE_HZ)
    (raised,) = of(events, "alarm_raised")
    (cleared,) = of(events, "alarm_cleared")
    assert 3 < raised["stream_time_s"] <= 3 + 2 * WINDOW_S
    assert 6 < cleared["stream_time_s"] <= 6 + 2 * WINDOW_S
    (stopped,) = of(events, "stopped")
    assert events[-1] == stopped
    assert (stopped["windows"], stopped["alarms"], stopped["alarm"]) == (17, 1, False)
    assert (stopped["seconds"], stopped["gaps"], stopped["dropped_frames"]) == (9.0, 0, 0)


def test_hw_1_is_not_taken_for_hw_10(tmp_path: Path, mini_bundle: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    cards.add_file(10, machine_sound(2, seed=1, faulty=True, rate_hz=CARD_RATE_HZ))
    cards.add_file(1, machine_sound(2, seed=1, rate_hz=CARD_RATE_HZ))

    for device, is_faulty in (("hw:1", False), ("hw:10", True)):
        _, events, _ = run(
            mini_bundle, ["--device", device, "--duration-s", "2"], env=cards.environment
        )

        assert events[0]["source"] == f"{device},0"
        (first, *_) = of(events, "score")
        assert (first["score"] > first["threshold"]) == is_faulty


def test_a_card_faster_than_the_program_counts_what_was_lost(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    cards.add_file(1, machine_sound(2, seed=1, rate_hz=CARD_RATE_HZ))

    exit_code, events, _ = run(
        mini_bundle, ["--device", "hw:1", "--duration-s", "300"], env=cards.environment
    )

    gaps = of(events, "audio_gap")
    stopped = events[-1]
    assert exit_code == 0
    assert gaps
    assert stopped["seconds"] == 300
    assert stopped["dropped_frames"] == pytest.approx(
        sum(gap["lost_s"] for gap in gaps) * RATE_HZ, abs=len(gaps)
    )
    for gap in gaps:
        spanning = [
            score
            for score in of(events, "score")
            if score["window_start_s"] < gap["stream_time_s"] < score["stream_time_s"]
        ]
        assert spanning == []


@pytest.mark.parametrize("query", ["hw:7", "nonsense"])
def test_an_unknown_device_lists_those_there_are(
    tmp_path: Path, mini_bundle: Path, query: str
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    cards.add_file(1, np.zeros((2, 4800), np.float32))

    exit_code, events, stderr = run(mini_bundle, ["--device", query], env=cards.environment)

    assert (exit_code, events) == (1, [])
    assert query in stderr
    assert "hw:1,0" in stderr
    assert len(stderr.splitlines()) == 1


def test_a_stalled_card_is_waited_for_and_ctrl_c_still_ends_it(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)

    with (
        cards.add_fifo(1, machine_sound(1.5, seed=1, rate_hz=CARD_RATE_HZ)) as feeder,
        start(mini_bundle, ["--device", "hw:1"], cards.environment) as process,
    ):
        read_until(process.stdout, "score")
        feeder.exhausted.wait(TIMEOUT_S)  # from here on PortAudio hangs in the driver

        process.send_signal(signal.SIGINT)
        stopped = read_until(process.stdout, "stopped")[-1]

        assert process.wait(TIMEOUT_S) == 0
        assert "hangs" in text_of(process.stderr)
    assert stopped["reason"] == "interrupted"


@pytest.mark.slow
def test_a_card_that_stalls_and_comes_back_is_a_gap(tmp_path: Path, mini_bundle: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path)
    feeder = cards.add_fifo(1, machine_sound(3.5, seed=1, rate_hz=CARD_RATE_HZ))
    feeder.stalls.append((1.5, 4.0))

    with feeder:
        exit_code, events, _ = run(
            mini_bundle, ["--device", "hw:1", "--duration-s", "7"], env=cards.environment
        )

    (gap,) = of(events, "audio_gap")
    assert exit_code == 0
    assert gap["lost_s"] == pytest.approx(4.0, abs=0.5)
    assert of(events, "score")[-1]["window_start_s"] >= gap["stream_time_s"]
    assert of(events, "alarm_raised") == []


def test_a_dead_card_ends_the_program_with_an_error(tmp_path: Path, mini_bundle: Path) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path / "cards")
    profile = tmp_path / "site.toml"
    profile.write_text("[capture]\nstall_timeout_s = 1.0\n", encoding="utf-8")

    with cards.add_fifo(1, machine_sound(1.5, seed=1, rate_hz=CARD_RATE_HZ)):
        exit_code, events, stderr = run(
            mini_bundle, ["--device", "hw:1", "--profile", str(profile)], env=cards.environment
        )

    assert exit_code == 1
    assert "delivered nothing for 1 s" in stderr
    assert events[-1]["reason"].startswith("failed: sound device 'hw:1,0' delivered nothing")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_program_cleanly_with_a_summary(
    mini_bundle: Path, number: signal.Signals
) -> None:
    with start(mini_bundle, ["--input", "-", "--input-rate-hz", "16000"]) as process:
        read_until(process.stdout, "started")

        process.send_signal(number)
        (stopped,) = read_until(process.stdout, "stopped")

        assert (process.wait(TIMEOUT_S), text_of(process.stderr)) == (0, "")
        assert stopped["reason"] == "interrupted"


def test_a_reader_that_goes_away_ends_the_program_quietly(
    tmp_path: Path, mini_bundle: Path
) -> None:
    path = write(tmp_path / "long.wav", machine_sound(60, seed=1))
    log = tmp_path / "events.jsonl"
    args = ["--input", path, "--hop-s", "0.01", "--output", str(log)]
    with start(mini_bundle, args) as process:
        assert process.stdout is not None
        process.stdout.readline()

        process.stdout.close()

        assert (process.wait(TIMEOUT_S), text_of(process.stderr)) == (0, "")
    assert parse(log.read_text())[-1]["reason"] == "the output was closed"


def test_a_file_gives_the_same_scores_as_its_slices(tmp_path: Path, mini_bundle: Path) -> None:
    audio = machine_day({"normal": 2, "fault": 2, "normal again": 2})
    path = write(tmp_path / "a.wav", audio)

    exit_code, events, _ = run_in_process(mini_bundle, "--input", path, "--block-s", "0.037")

    detector = Bundle.open(mini_bundle).detector(MACHINE)
    expected = sliced_scores(detector, audio, RATE_HZ // 2)
    scores = of(events, "score")
    assert exit_code == 0
    assert [event["score"] for event in scores] == pytest.approx(
        [score.score for _, score in expected], abs=SCORE_TOLERANCE
    )
    assert [event["window_start_s"] * RATE_HZ for event in scores] == [s for s, _ in expected]
    assert set(scores[0]["branches"]) == {"fkie@near", "fkie@far"}
    assert set(scores[0]["level_dbfs"]) == {"near", "far"}


def test_a_file_gives_the_same_events_on_every_run(tmp_path: Path, mini_bundle: Path) -> None:
    path = write(tmp_path / "a.flac.wav", machine_day({"normal": 2, "fault": 2}))
    args = ["--input", path, "--start", "2026-11-22T22:00:00Z"]

    first = run_in_process(mini_bundle, *args)

    assert first == run_in_process(mini_bundle, *args)
    assert first[1][1]["time"] == "2026-11-22T22:00:01.000Z"


def test_raw_pcm_on_stdin_gives_the_scores_of_the_file(tmp_path: Path, mini_bundle: Path) -> None:
    audio = machine_day({"normal": 1.5, "fault": 1.5}, rate_hz=44100)
    path = tmp_path / "a.wav"
    soundfile.write(path, audio.T, 44100, subtype="PCM_16")
    raw = soundfile.read(path, dtype="int16")[0].astype("<i2").tobytes()

    exit_code, events, _ = run(
        mini_bundle, ["--input", "-", "--input-rate-hz", "44100", "--json"], stdin=raw
    )

    _, from_file, _ = run_in_process(mini_bundle, "--input", str(path))
    assert exit_code == 0
    assert [event["score"] for event in of(events, "score")] == pytest.approx(
        [event["score"] for event in of(from_file, "score")], abs=SCORE_TOLERANCE
    )
    assert of(events, "alarm_raised")


def test_events_are_appended_to_the_output_file_too(tmp_path: Path, mini_bundle: Path) -> None:
    path = write(tmp_path / "a.wav", machine_sound(2, seed=1))
    log = tmp_path / "events.jsonl"

    runs = [run_in_process(mini_bundle, "--input", path, "--output", str(log))[1] for _ in range(2)]

    assert parse(log.read_text(encoding="utf-8")) == runs[0] + runs[1]


def test_hop_and_duration_can_be_chosen(tmp_path: Path, mini_bundle: Path) -> None:
    path = write(tmp_path / "a.wav", machine_sound(9, seed=1))

    _, events, _ = run_in_process(
        mini_bundle, "--input", path, "--hop-s", "0.25", "--duration-s", "2"
    )

    assert [event["stream_time_s"] for event in of(events, "score")] == [1, 1.25, 1.5, 1.75, 2]
    assert events[0]["hop_s"] == 0.25
    assert events[-1]["seconds"] == 2


def test_the_profile_decides_how_patient_the_alarm_is(tmp_path: Path, mini_bundle: Path) -> None:
    path = write(tmp_path / "a.wav", machine_day({"normal": 2, "fault": 2, "normal again": 2}))
    profile = tmp_path / "site.toml"
    profile.write_text("[alarm]\nmin_duration_s = 3.0\n", encoding="utf-8")

    _, events, _ = run_in_process(mini_bundle, "--input", path, "--profile", str(profile))

    assert events[0]["min_duration_s"] == 3
    assert of(events, "alarm_raised") == []


def test_a_fault_that_lasts_to_the_end_is_in_the_summary(tmp_path: Path, mini_bundle: Path) -> None:
    path = write(tmp_path / "a.wav", machine_day({"normal": 2, "fault": 2}))

    _, events, _ = run_in_process(mini_bundle, "--input", path)

    assert (events[-1]["alarms"], events[-1]["alarm"]) == (1, True)


def test_a_pipe_that_ends_before_the_first_window_is_an_error(mini_bundle: Path) -> None:
    exit_code, events, stderr = run(
        mini_bundle, ["--input", "-", "--input-rate-hz", "16000"], stdin=b"\0" * 4 * 8000
    )

    assert exit_code == 1
    assert stderr == "error: stdin ended after 0.5 s, before one window of 1 s was complete\n"
    assert events[-1]["event"] == "stopped"


def test_a_closed_standard_input_is_one_line(
    mini_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    opened = Bundle.open(mini_bundle).detector()

    with pytest.raises(AudioError, match="no standard input"):
        _open_source(None, "-", 16000, None, load_profile().capture, opened)


@pytest.mark.parametrize(
    ("args", "exit_code", "complaint"),
    [
        (["--input", "mono.wav"], 1, "mono.wav has 1 channel, expected 2"),
        (["--input", "short.wav"], 1, "short.wav is 0.5 s long, shorter than one window of 1 s"),
        (["--input", "gone.wav"], 1, "no audio file at gone.wav"),
        (["--input", "a.wav", "--device", "hw:1"], 2, "exclude each other"),
        (["--input", "-"], 2, "--input-rate-hz"),
        (["--input", "a.wav", "--input-rate-hz", "8000"], 2, "--input-rate-hz"),
        (["--input", "a.wav", "--start", "noon"], 2, "2026-11-22T08:30:00Z"),
        (["--input", "a.wav", "--machine", "fan"], 2, "pump"),
        (["--input", "a.wav", "--profile", "bad.toml"], 1, "did you mean 'capture.block_s'"),
        (["--input", "a.wav", "--output", "no/such/folder.jsonl"], 1, "cannot write no/such"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path,
    mini_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: list[str],
    exit_code: int,
    complaint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("a.wav"), machine_sound(1, seed=1))
    write(Path("mono.wav"), machine_sound(1, seed=1)[:1])
    write(Path("short.wav"), machine_sound(0.5, seed=1))
    Path("bad.toml").write_text("[capture]\nblock = 1\n", encoding="utf-8")

    found, events, stderr = run_in_process(mini_bundle, *args)

    assert (found, events) == (exit_code, [])
    assert complaint in stderr
    assert len(stderr.splitlines()) == 1


def test_a_terminal_shows_a_live_view(tmp_path: Path, mini_bundle: Path) -> None:
    path = write(tmp_path / "a.wav", machine_day({"normal": 2, "fault": 2, "normal again": 2}))
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "--bundle", str(mini_bundle), "--input", path],
        env=ENVIRONMENT | {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
        stdout=inside,
    )
    os.close(inside)
    shown = b""
    while select.select([terminal], [], [], TIMEOUT_S)[0]:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # the program has ended
            break
    os.close(terminal)

    assert process.wait(timeout=TIMEOUT_S) == 0
    text = shown.decode()
    for part in ("near", "far", "dBFS", "score", "threshold", "ALARM", "cleared after", "windows"):
        assert part in text
    assert '"event"' not in text
