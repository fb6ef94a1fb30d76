"""``edge-asd listen``, mostly as a process of its own, on files, pipes and a terminal."""

from __future__ import annotations

import os
import pty
import select
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
import soundfile
from device.listening import (
    COMMAND,
    ENVIRONMENT,
    SCORE_TOLERANCE,
    TIMEOUT_S,
    of,
    parse,
    read_until,
    run,
    run_in_process,
    start,
    text_of,
    write,
)
from device.mini_bundle import MACHINE, RATE_HZ, machine_day, machine_sound
from device.stream import sliced_scores

from edge_asd.audio.decode import read_audio
from edge_asd.bundle.bundle import Bundle


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
    audio, _ = read_audio(path)

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
    profile.write_text("[alarm]\nmin_duration_s = 3.0\nextreme = 'off'\n", encoding="utf-8")

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
    assert stderr == "error: stdin ended after 0.5 s, before one window of 1 s was scored\n"
    assert events[-1]["event"] == "stopped"


def test_raw_pcm_without_its_rate_is_one_line(mini_bundle: Path) -> None:
    exit_code, _, stderr = run(mini_bundle, ["--input", "-"], stdin=b"\1" * 4 * 16_000)

    assert exit_code == 2
    assert len(stderr.splitlines()) == 1
    assert "give --input-rate-hz" in stderr


def test_a_wav_stream_gives_the_events_of_the_file(tmp_path: Path, mini_bundle: Path) -> None:
    path = write(tmp_path / "a.wav", machine_day({"normal": 1.5, "fault": 1.5}))
    when = ["--start", "2026-11-22T22:00:00Z"]

    exit_code, events, _ = run(
        mini_bundle, ["--input", "-", *when, "--json"], stdin=Path(path).read_bytes()
    )

    _, from_file, _ = run_in_process(mini_bundle, "--input", path, *when)
    assert exit_code == 0
    assert [event["score"] for event in of(events, "score")] == pytest.approx(
        [event["score"] for event in of(from_file, "score")], abs=SCORE_TOLERANCE
    )
    assert of(events, "alarm_raised")


@pytest.mark.parametrize(
    ("closed", "args", "exit_code", "complaint"),
    [
        ("<&-", ["--input", "-", "--input-rate-hz", "16000"], 1, "there is no standard input"),
        (">&-", ["--input", "a.wav", "--output", "events.jsonl"], 0, ""),
    ],
)
def test_a_closed_stream_of_the_shell_is_no_traceback(
    tmp_path: Path, mini_bundle: Path, closed: str, args: list[str], exit_code: int, complaint: str
) -> None:
    write(tmp_path / "a.wav", machine_sound(1, seed=1))
    command = shlex.join([*COMMAND, "--bundle", str(mini_bundle), *args])

    result = subprocess.run(
        ["sh", "-c", f"{command} {closed}"],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert result.returncode == exit_code
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == (1 if complaint else 0)
    if not exit_code:
        assert parse((tmp_path / "events.jsonl").read_text())[-1]["event"] == "stopped"


@pytest.mark.parametrize(
    ("args", "exit_code", "complaint"),
    [
        (["--input", "mono.wav"], 1, "mono.wav has 1 channel, expected 2"),
        (["--input", "short.wav"], 1, "short.wav is 0.5 s long, shorter than one window of 1 s"),
        (["--input", "gone.wav"], 1, "no audio file at gone.wav"),
        (["--input", "a.wav", "--device", "hw:1"], 2, "exclude each other"),
        (["--input", "a.wav", "--input-rate-hz", "8000"], 2, "--input-rate-hz"),
        (["--input", "a.wav", "--start", "noon"], 2, "2026-11-22T08:30:00Z"),
        (["--input", "a.wav", "--start", "9999-12-31T23:59"], 2, "2026-11-22T08:30:00Z"),
        (["--input", "a.wav", "--start", "0001-01-01T00:00+14:00"], 2, "2026-11-22T08:30:00Z"),
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


@pytest.mark.parametrize("option", ["--hop-s", "--duration-s"])
def test_a_time_that_no_clock_counts_is_refused(
    tmp_path: Path, mini_bundle: Path, option: str
) -> None:
    path = write(tmp_path / "a.wav", machine_sound(1, seed=1))

    exit_code, events, stderr = run_in_process(mini_bundle, "--input", path, option, "1e308")

    assert (exit_code, events) == (2, [])
    assert "less than or equal" in stderr


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
