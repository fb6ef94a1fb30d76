"""Reading files: every subtype gives the same numbers, damage gives one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from device.stream import noise

from edge_asd.audio.decode import pcm16_to_float32, read_audio, require_finite
from edge_asd.audio.level import SILENCE_DBFS, level_dbfs
from edge_asd.errors import AudioError

SUBTYPES = [
    ("wav", "PCM_16"),
    ("wav", "PCM_24"),
    ("wav", "PCM_32"),
    ("wav", "FLOAT"),
    ("wav", "DOUBLE"),
    ("wavex", "PCM_24"),
    ("flac", "PCM_16"),
    ("flac", "PCM_24"),
]


@pytest.mark.parametrize("kind", SUBTYPES, ids="-".join)
def test_every_subtype_is_read_with_16_bits(tmp_path: Path, kind: tuple[str, str]) -> None:
    container, subtype = kind
    audio = noise(1000) * np.float32(0.9)
    path = tmp_path / ("a.flac" if container == "flac" else "a.wav")
    soundfile.write(path, audio.T, 16000, subtype=subtype, format=container.upper())

    found, rate_hz = read_audio(path)

    assert found.dtype == np.float32
    assert (found.shape, rate_hz) == ((2, 1000), 16000)
    assert found.flags.c_contiguous
    assert np.abs(found - audio).max() <= 2**-15
    assert np.array_equal(32768 * found, np.rint(32768 * found))


def test_the_file_and_the_pipe_scale_alike(tmp_path: Path) -> None:
    samples = np.array([[-32768, 32767], [1, -1]], "<i2")
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="PCM_16")

    found, _ = read_audio(tmp_path / "a.wav")

    assert np.array_equal(found, pcm16_to_float32(samples.tobytes()).reshape(2, 2).T)
    assert found[0, 0] == -1.0


def test_pcm16_bytes_are_little_endian() -> None:
    assert pcm16_to_float32(b"\x00\x40\x00\xc0").tolist() == [0.5, -0.5]


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_a_file_cut_short_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    soundfile.write(path, noise(16000).T, 16000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(AudioError, match=r"cut short|cannot be decoded") as raised:
        read_audio(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(0xFFFFFFFF, id="ffmpeg"),
        pytest.param(0x80000000, id="arecord"),
        pytest.param(0x7FFFF000, id="sox"),
    ],
)
def test_a_wav_header_of_unknown_length_is_accepted(tmp_path: Path, size: int) -> None:
    path = tmp_path / "piped.wav"
    soundfile.write(path, noise(100).T, 16000, subtype="PCM_16")
    header = bytearray(path.read_bytes())
    at = header.index(b"data") + 4
    header[at : at + 4] = size.to_bytes(4, "little")
    path.write_bytes(header)

    found, _ = read_audio(path)

    assert found.shape == (2, 100)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "cannot be decoded"), (b"not audio at all" * 9, "cannot be decoded")],
)
def test_what_is_not_audio_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "a.wav").write_bytes(content)

    with pytest.raises(AudioError, match=complaint):
        read_audio(tmp_path / "a.wav")


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((0, 2)), 16000)

    with pytest.raises(AudioError, match="has no samples"):
        read_audio(tmp_path / "a.wav")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"no audio file at .*gone\.wav"):
        read_audio(tmp_path / "gone.wav")


def test_a_float_file_with_nan_is_refused(tmp_path: Path) -> None:
    audio = noise(10)
    audio[1, 3] = np.nan
    soundfile.write(tmp_path / "a.wav", audio.T, 16000, subtype="FLOAT")

    with pytest.raises(AudioError, match="not finite"):
        read_audio(tmp_path / "a.wav")


def test_good_audio_passes_through_unchanged() -> None:
    audio = noise(4)

    assert require_finite(audio, "a.wav") is audio


def test_levels_are_root_mean_squares_in_db_of_full_scale() -> None:
    time_s = np.arange(16000) / 16000
    audio = np.stack([np.sin(2 * np.pi * 1000 * time_s), np.full(16000, 0.1)])

    assert level_dbfs(audio.astype(np.float32)) == pytest.approx([-3.0103, -20.0], abs=1e-3)


@pytest.mark.parametrize("n_samples", [0, 10])
def test_silence_has_a_finite_level(n_samples: int) -> None:
    assert level_dbfs(np.zeros((2, n_samples), np.float32)).tolist() == [SILENCE_DBFS] * 2
