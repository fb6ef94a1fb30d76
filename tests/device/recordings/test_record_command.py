from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from device.fake_card import RATE_HZ as CARD_RATE_HZ
from device.fake_card import FakeCards, Feeder, require_portaudio
from device.faulty_sound import mono, near_unplugged, room
from device.listening import ENVIRONMENT, TIMEOUT_S, write
from typer.testing import CliRunner, Result

from edge_asd.cli import app
from edge_asd.recordings.takes_file import read_takes

PROGRAM = (sys.executable, "-m", "edge_asd", "record", "--machine", "pump-3", "--out")


def record(out: Path, *args: str) -> Result:
    return CliRunner().invoke(app, ["record", "--machine", "pump-3", "--out", str(out), *args])


def clips(out: Path) -> list[Path]:
    return sorted((out / "pump-3/train").glob("*.flac"))


def hour(seconds: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Sound that never repeats, (2, n)."""
    return np.concatenate([room(5, seed=seed) for seed in range(seconds // 5)], axis=1)


@pytest.fixture
def sound(tmp_path: Path) -> str:
    return write(tmp_path / "night.wav", hour(75))


def test_a_file_becomes_clips_that_hold_all_of_it(tmp_path: Path, sound: str) -> None:
    result = record(tmp_path / "out", "--input", sound, "--attribute", "speed=2")

    assert result.exit_code == 0, result.stderr
    assert "1.2 min of source speed_2 sound" in result.stdout
    assert "7 clips of 10 s, 7 of them new, in 2 takes" in result.stdout
    assert "edge-asd train recordings" in result.stdout
    paths = clips(tmp_path / "out")
    assert paths[6].name == "section_00_source_train_normal_0006_speed_2.flac"
    read = np.concatenate([soundfile.read(path, dtype="float32")[0] for path in paths])
    assert np.array_equal(read.T, hour(75)[:, : 70 * 16_000])
    takes = read_takes(tmp_path / "out/pump-3/takes.csv")
    assert list(takes.values()) == ["take-0000"] * 6 + ["take-0006"]


def test_bad_files_are_named_and_the_others_recorded(tmp_path: Path, sound: str) -> None:
    (tmp_path / "a.wav").write_text("near,far")
    cut = tmp_path / "z.wav"
    cut.write_bytes(Path(sound).read_bytes()[:99_999])

    inputs = [part for path in (tmp_path / "a.wav", sound, cut) for part in ("--input", str(path))]
    result = record(tmp_path / "out", *inputs)

    assert result.exit_code == 1
    assert len(clips(tmp_path / "out")) == 7
    assert "2 of 3 files cannot be used" in result.stderr
    assert "a.wav cannot be decoded" in result.stderr
    assert "z.wav is cut short" in result.stderr


def test_files_without_their_upper_half_are_told_once_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    low = write(tmp_path / "low.wav", room(30, rate_hz=8000), 8000)

    record(tmp_path / "out", "--input", low)

    assert caplog.text.count("low.wav: 8000 Hz hold nothing above 4 kHz") == 1


def test_the_same_command_goes_on(tmp_path: Path, sound: str) -> None:
    more = write(tmp_path / "morning.wav", room(16, seed=77))
    record(tmp_path / "out", "--input", sound, "--minutes", "0.5", "--clip-s", "5")

    result = record(tmp_path / "out", "--input", more, "--minutes", "1", "--json")

    assert "0.5 min are there, 0.5 min to record" in result.stderr
    content = json.loads(result.stdout)
    assert (content["clips"], content["new"], content["missing"]) == (9, 3, 3)
    assert (content["clip_s"], content["takes"]) == (5.0, 2)
    assert [path.name[31:35] for path in clips(tmp_path / "out")] == [f"{i:04d}" for i in range(9)]


def test_a_file_that_was_recorded_is_not_recorded_twice(tmp_path: Path, sound: str) -> None:
    record(tmp_path / "out", "--input", sound)
    for path in clips(tmp_path / "out")[3:]:  # as if it had been killed in the first take
        path.unlink()

    result = record(tmp_path / "out", "--input", sound)

    assert "3 clips of this sound were there before" in result.stdout
    assert len(clips(tmp_path / "out")) == 7
    takes = read_takes(tmp_path / "out/pump-3/takes.csv")
    assert [takes[path.name] for path in clips(tmp_path / "out")][:6] == ["take-0000"] * 6


def test_unusable_clips_are_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    audio = hour(60)
    audio[:, 160_000:320_000] = near_unplugged(audio[:, 160_000:320_000])

    result = record(tmp_path / "out", "--input", write(tmp_path / "a.wav", audio))

    assert result.exit_code == 0
    assert "1 clips left out: the near channel is dead (1)" in result.stdout
    assert "check the near microphone" in caplog.text
    assert len(clips(tmp_path / "out")) == 5


def test_silent_files_hide_neither_the_others_nor_their_errors(
    tmp_path: Path, sound: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.wav").write_text("near,far")
    silent = [write(tmp_path / f"{name}.wav", hour(100) * 0) for name in "bc"]

    inputs = [p for path in (tmp_path / "a.wav", *silent, sound) for p in ("--input", str(path))]
    result = record(tmp_path / "out", *inputs)

    assert result.exit_code == 1
    assert len(clips(tmp_path / "out")) == 7
    assert "20 clips left out: both channels are digital silence (20)" in result.stdout
    assert "a.wav cannot be decoded" in result.stderr
    for path in silent:
        assert caplog.text.count(f"{path}: a clip is left out: both channels are digital") == 1


def test_a_file_that_is_shorter_than_a_clip_is_told(
    tmp_path: Path, sound: str, caplog: pytest.LogCaptureFixture
) -> None:
    short = write(tmp_path / "short.wav", room(5))

    result = record(tmp_path / "out", "--input", short, "--input", sound)

    assert result.exit_code == 0
    assert f"{short} holds no clip of 10 s" in caplog.text
    assert f"{sound} holds no clip" not in caplog.text


def test_mostly_unusable_sound_is_refused_with_the_reason(tmp_path: Path) -> None:
    audio = mono(hour(100))

    result = record(tmp_path / "out", "--input", write(tmp_path / "a.wav", audio))

    assert (result.exit_code, result.stdout) == (1, "")
    last = result.stderr.splitlines()[-1]
    assert "10 of 10 clips cannot be used: both channels are the same signal" in last
    assert not (tmp_path / "out/pump-3").exists()
    again = record(tmp_path / "out", "--input", str(tmp_path / "a.wav"), "--accept-quality")
    assert again.exit_code == 0
    assert len(clips(tmp_path / "out")) == 10


def test_raw_pcm_is_recorded_from_a_pipe(tmp_path: Path) -> None:
    pcm = (room(12, rate_hz=48_000) * 32768).T.astype("<i2").tobytes()

    result = subprocess.run(
        [*PROGRAM, str(tmp_path), "--input", "-", "--input-rate-hz", "48000", "--minutes", "0.15"],
        env=ENVIRONMENT, input=pcm, capture_output=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip

    assert result.returncode == 0, result.stderr
    assert [soundfile.info(path).frames for path in clips(tmp_path)] == [160_000]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--attribute", "a_b=1"], "expected KEY=VALUE"),
        (["--device", "hw:1"], "exclude each other"),
        (["--input", "-"], "'--input -' goes with no other input"),
        (["--input-rate-hz", "16000"], "is for raw PCM on stdin"),
        (["--minutes", "10000"], "ask for 1667 at most"),
        (["--machine", "a/b"], "no name for a folder of clips"),
        (["--domain", "other"], "--domain"),
    ],
)
def test_what_cannot_be_recorded_is_said_and_nothing_is_made(
    tmp_path: Path, sound: str, args: list[str], message: str
) -> None:
    result = record(tmp_path / "out", "--input", sound, *args)

    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert not list(tmp_path.glob("out/*"))


def test_a_sound_that_is_too_short_says_so(tmp_path: Path) -> None:
    result = record(tmp_path / "out", "--input", write(tmp_path / "a.wav", room(5)))

    assert (result.exit_code, result.stdout) == (1, "")
    assert "holds no clip of 10 s" in result.stderr


def test_the_reserve_of_the_profile_ends_it(tmp_path: Path, sound: str) -> None:
    profile = tmp_path / "site.toml"
    profile.write_text("[clips]\nreserve_bytes = 1000000000000000\n")

    result = record(tmp_path / "out", "--input", sound, "--profile", str(profile))

    assert (result.exit_code, result.stdout) == (1, "")
    assert "lower clips.reserve_bytes" in result.stderr.splitlines()[-1]


def start(cards: FakeCards, *args: str) -> subprocess.Popen[str]:
    """Record into the folder of the cards."""
    return subprocess.Popen(
        [*PROGRAM, str(cards.folder), "--device", "hw:1", "--clip-s", "1", *args],
        env=ENVIRONMENT | cards.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def until_clips(process: subprocess.Popen[str], out: Path, n_clips: int) -> None:
    deadline_s = time.monotonic() + TIMEOUT_S
    while len(clips(out)) < n_clips:
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.fixture
def cards(tmp_path: Path) -> FakeCards:
    require_portaudio()
    return FakeCards(tmp_path)


def feeder(cards: FakeCards) -> Feeder:
    """Plug in a card that delivers in real time."""
    return cards.add_fifo(1, room(16, rate_hz=CARD_RATE_HZ), repeat=True)


def test_a_card_is_recorded_until_there_is_enough(tmp_path: Path, cards: FakeCards) -> None:
    with feeder(cards):
        process = start(cards, "--minutes", "0.05")
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 0, stderr
    assert "3 clips of 1 s, 3 of them new" in stdout
    assert [soundfile.info(path).frames for path in clips(tmp_path)] == [16_000] * 3


def test_ctrl_c_ends_with_a_summary_and_whole_clips(tmp_path: Path, cards: FakeCards) -> None:
    with feeder(cards):
        process = start(cards)
        until_clips(process, tmp_path, 2)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == 130, stderr
    assert "min are missing: the same command goes on from here" in stdout
    assert {soundfile.info(path).frames for path in clips(tmp_path)} == {16_000}


def test_kill_leaves_whole_clips_with_their_takes_and_recording_goes_on(
    tmp_path: Path, cards: FakeCards
) -> None:
    with feeder(cards):
        process = start(cards)
        until_clips(process, tmp_path, 2)
        process.kill()
        process.communicate(timeout=TIMEOUT_S)
    n_clips = len(clips(tmp_path))
    more = write(tmp_path / "more.wav", room(2, seed=7))

    again = record(tmp_path, "--input", more)

    assert again.exit_code == 0, again.stderr
    assert len(clips(tmp_path)) == n_clips + 2
    assert {soundfile.info(path).frames for path in clips(tmp_path)} == {16_000}
    takes = read_takes(tmp_path / "pump-3/takes.csv")
    assert all(path.name in takes for path in clips(tmp_path))


def test_a_missing_card_is_an_error_after_the_wait(tmp_path: Path, cards: FakeCards) -> None:
    process = start(cards, "--wait", "0")
    stdout, stderr = process.communicate(timeout=TIMEOUT_S)

    assert (process.returncode, stdout) == (1, "")
    assert "no sound device 'hw:1'" in stderr.splitlines()[-1]
    assert not (tmp_path / "pump-3").exists()
