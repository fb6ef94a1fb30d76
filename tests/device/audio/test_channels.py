"""Near and far of recordings with more than two channels."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from device.listening import of, run_in_process
from device.mini_bundle import RATE_HZ, machine_day, machine_sound
from device.stream import everything, joined, noise
from device.wav_bytes import header, pcm16
from typer.testing import CliRunner

from edge_asd.audio.channels import rows_of
from edge_asd.audio.decode import read_audio
from edge_asd.audio.pipe import PipeSource
from edge_asd.audio.source import FileSource
from edge_asd.cli import app
from edge_asd.errors import AudioError, ProfileError
from edge_asd.profile import load_profile


def eight(near_far: np.ndarray) -> np.ndarray:
    """Eight channels, of which the third is near and the fifth far."""
    audio = np.concatenate([noise(near_far.shape[1])[:1] for _ in range(8)])
    audio[[2, 4]] = near_far
    return audio


def site(folder: Path, channels: str) -> str:
    path = folder / "site.toml"
    path.write_text(f"[capture]\nchannels = {channels}\n", encoding="utf-8")
    return str(path)


def heard_of_pipe(content: bytes, channels: list[int] | None, rate_hz: int | None) -> np.ndarray:
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    source = PipeSource(
        reader,
        source_rate_hz=rate_hz,
        sample_rate_hz=RATE_HZ,
        block_s=0.1,
        stall_timeout_s=5.0,
        channels=channels,
    )
    try:
        return joined(everything(source))
    finally:
        os.close(reader)


def test_without_a_choice_only_two_channels_will_do() -> None:
    assert rows_of("a.wav", 2, None) == [0, 1]
    with pytest.raises(AudioError, match=r"a\.wav has 1 channel, expected 2"):
        rows_of("a.wav", 1, None)
    with pytest.raises(AudioError, match=r"a\.wav has 8 channels, expected 2.*capture\.channels"):
        rows_of("a.wav", 8, None)


def test_channels_that_are_not_there_are_refused() -> None:
    assert rows_of("a.wav", 5, [3, 5]) == [2, 4]
    assert rows_of("a.wav", 2, [2, 1]) == [1, 0]
    with pytest.raises(AudioError, match=r"has 4 channels, capture\.channels = \[3, 5\] asks"):
        rows_of("a.wav", 4, [3, 5])


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_file_gives_the_channels_that_are_chosen(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, eight(noise(3200)).T, RATE_HZ)

    file = FileSource(tmp_path / name, sample_rate_hz=RATE_HZ, channels=[3, 5])

    assert np.array_equal(joined(everything(file)), read_audio(tmp_path / name)[0][[2, 4]])


def test_a_pipe_gives_the_channels_that_are_chosen() -> None:
    audio = noise(800)
    stream = header(0, n_channels=8) + pcm16(eight(audio))

    found = heard_of_pipe(stream, [3, 5], None)

    assert np.array_equal(found, heard_of_pipe(pcm16(audio), None, RATE_HZ))
    assert np.array_equal(heard_of_pipe(pcm16(audio), [2, 1], RATE_HZ), found[::-1])


def test_raw_pcm_has_no_more_than_two_channels() -> None:
    with pytest.raises(AudioError, match=r"raw PCM on stdin has 2 channels.*asks for more"):
        heard_of_pipe(pcm16(noise(800)), [3, 5], RATE_HZ)


@pytest.mark.parametrize("channels", ["[3, 3]", "[0, 1]", "[1]", "[1, 2, 3]", "[1, 65]", "3"])
def test_a_choice_of_anything_but_two_channels_is_refused(tmp_path: Path, channels: str) -> None:
    with pytest.raises(ProfileError, match="channel"):
        load_profile(site(tmp_path, channels))


def test_every_command_hears_the_channels_that_are_chosen(
    tmp_path: Path, mini_bundle: Path
) -> None:
    day = machine_day({"normal": 3, "fault": 3})
    soundfile.write(tmp_path / "two.wav", day.T, RATE_HZ, subtype="FLOAT")
    soundfile.write(tmp_path / "eight.wav", eight(day).T, RATE_HZ, subtype="FLOAT")
    two, many = str(tmp_path / "two.wav"), str(tmp_path / "eight.wav")
    profile = ("--profile", site(tmp_path, "[3, 5]"))
    scoring = ["score", "--bundle", str(mini_bundle), "--json"]

    _, expected, _ = run_in_process(mini_bundle, "--input", two)
    _, heard, _ = run_in_process(mini_bundle, "--input", many, *profile)
    rows = [
        json.loads(CliRunner().invoke(app, [*scoring, *args]).stdout)
        for args in ((two,), (many, *profile))
    ]

    assert [e["score"] for e in of(heard, "score")] == [e["score"] for e in of(expected, "score")]
    assert of(heard, "alarm_raised")
    assert rows[0]["score"] == rows[1]["score"]


def test_what_is_learned_and_recorded_is_of_the_channels_that_are_chosen(
    tmp_path: Path, mini_bundle: Path
) -> None:
    sound = machine_sound(20, seed=1)
    soundfile.write(tmp_path / "two.wav", sound.T, RATE_HZ, subtype="PCM_16")
    soundfile.write(tmp_path / "eight.wav", eight(sound).T, RATE_HZ, subtype="PCM_16")
    profile = ("--profile", site(tmp_path, "[3, 5]"))
    enrolling = ["enroll", "--bundle", str(mini_bundle), "--machine", "pump-3", "--json"]

    learned, clips = [], []
    for name, args in (("two", ()), ("eight", profile)):
        sounds = ("--input", str(tmp_path / f"{name}.wav"), *args)
        state, out = str(tmp_path / f"state-{name}"), tmp_path / f"out-{name}"
        result = CliRunner().invoke(app, [*enrolling, "--state", state, *sounds])
        learned.append(json.loads(result.stdout)["threshold"])
        CliRunner().invoke(app, ["record", "--machine", "pump-3", "--out", str(out), *sounds])
        clips.append([path.read_bytes() for path in sorted(out.glob("*/train/*.flac"))])

    assert learned[0] == learned[1]
    assert len(clips[0]) == 2
    assert clips[0] == clips[1]
