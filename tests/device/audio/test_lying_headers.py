"""Files whose headers lie: what is there is read and told, or the file is refused by its name."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from device.stream import noise
from device.wav_bytes import chunk, header, pcm16, wav
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_asd.audio import decode
from edge_asd.audio.decode import open_audio, read_audio
from edge_asd.errors import AudioError

AUDIO = noise(16_000)
N_BYTES = 4 * 16_000


def flac(audio: np.ndarray = AUDIO, n_frames: int | None = None) -> bytes:
    """A FLAC file; `n_frames` is what its header says."""
    content = io.BytesIO()
    soundfile.write(content, audio.T, 16_000, format="FLAC")
    data = bytearray(content.getvalue())
    if n_frames is not None:
        numbers = int.from_bytes(data[18:26]) >> 36 << 36 | n_frames
        data[18:26] = numbers.to_bytes(8)
    return bytes(data)


def rf64(audio: np.ndarray, size: int) -> bytes:
    """An RF64 file; `size` is what its chunk ds64 says of the sound."""
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, size, 0, 0))
    plain = header(0xFFFFFFFF)
    return b"RF64" + plain[4:12] + ds64 + plain[12:] + pcm16(audio)


def heard(path: Path) -> tuple[np.ndarray, list[str]]:
    """What is read of a file, and what is told."""
    told: list[str] = []
    with open_audio(path, told.append) as file:
        pieces = [file.read(1600)]
        while pieces[-1].shape[1]:
            pieces.append(file.read(1600))
    return np.concatenate(pieces, axis=1), told


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(wav(AUDIO, N_BYTES // 5), "says 0.2 s, 1 s are there", id="stale"),
        pytest.param(wav(AUDIO, 0), "does not say how long", id="zero"),
        pytest.param(wav(AUDIO, 0xFFFFFFFF), "does not say how long", id="ffmpeg"),
        pytest.param(wav(AUDIO, 0x80000000), "does not say how long", id="arecord"),
        pytest.param(wav(AUDIO, 0x7FFFF000), "does not say how long", id="sox"),
        pytest.param(rf64(AUDIO, N_BYTES // 5), "says 0.2 s, 1 s are there", id="stale RF64"),
        pytest.param(rf64(AUDIO, 0), "does not say how long", id="RF64 of zero"),
        pytest.param(rf64(AUDIO, 2**64 - 1), "does not say how long", id="RF64 of a pipe"),
        pytest.param(flac(n_frames=0), "does not say how long", id="FLAC of a pipe"),
        pytest.param(flac(n_frames=3200), "says 0.2 s, 1 s are there", id="stale FLAC"),
    ],
)
def test_what_is_there_is_read_and_told_whatever_the_header_says(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)

    found, told = heard(path)

    assert np.array_equal(found, read_audio(path)[0])
    assert np.abs(found - AUDIO).max() <= 2**-15
    (line,) = told
    assert str(path) in line and said in line


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(wav(AUDIO), id="as it says"),
        pytest.param(wav(AUDIO, behind=chunk(b"LIST", b"INFO odd")), id="a chunk behind"),
        pytest.param(b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + wav(AUDIO), id="a tag in front"),
        pytest.param(b"ID3\4\0\0\0\0\0\x0a" + bytes(10) + flac(), id="a tag in front of FLAC"),
        pytest.param(flac() + b"TAG" + bytes(125), id="a tag behind FLAC"),
        pytest.param(rf64(AUDIO, N_BYTES), id="RF64"),
        pytest.param(
            header(N_BYTES, before=chunk(b"bext", bytes(603))) + pcm16(AUDIO), id="a chunk before"
        ),
    ],
)
def test_of_a_file_that_is_as_it_says_nothing_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)

    found, told = heard(tmp_path / "a.wav")

    assert (found.shape, told) == ((2, 16_000), [])
    assert np.abs(found - AUDIO).max() <= 2**-15


@pytest.mark.parametrize("behind", [b"TAG" + bytes(40_000), b"<html>" * 50, b"\0" * 37])
def test_what_is_no_sound_behind_the_sound_is_left_out_and_told(
    tmp_path: Path, behind: bytes
) -> None:
    (tmp_path / "a.wav").write_bytes(wav(AUDIO, behind=behind))

    found, told = heard(tmp_path / "a.wav")

    assert found.shape == (2, 16_000)
    assert f"the {len(behind)} bytes behind its sound" in told[0]


@pytest.mark.parametrize("n_more", [1, 2, 3])
def test_bytes_that_are_no_whole_frame_are_left_out_and_told(tmp_path: Path, n_more: int) -> None:
    odd = header(0) + pcm16(AUDIO) + bytes(n_more)
    (tmp_path / "a.wav").write_bytes(odd)

    found, told = heard(tmp_path / "a.wav")

    assert found.shape == (2, 16_000)
    assert f"{n_more} byte" in told[-1] and "no whole frame, left out" in told[-1]


def test_a_chunk_of_odd_size_may_end_the_file(tmp_path: Path) -> None:
    mono = header(3, n_bits=8, n_channels=1) + b"\x80\x90\xa0"
    (tmp_path / "padded.wav").write_bytes(mono + b"\0")
    (tmp_path / "bare.wav").write_bytes(mono)

    found = [heard(tmp_path / name) for name in ("padded.wav", "bare.wav")]

    assert [audio.tolist() for audio, _ in found] == [[[0.0, 0.125, 0.25]]] * 2
    assert [told for _, told in found] == [[], []]


def test_the_end_that_a_killed_recorder_left_of_a_flac_is_read(tmp_path: Path) -> None:
    long = noise(160_000)
    content = flac(long, n_frames=0)
    (tmp_path / "a.flac").write_bytes(content[: len(content) // 2])

    found, told = heard(tmp_path / "a.flac")

    n_frames = found.shape[1]
    assert 70_000 < n_frames < 80_000
    assert np.abs(found - long[:, :n_frames]).max() <= 2**-15
    assert "does not say how long" in told[0]
    with open_audio(tmp_path / "a.flac") as file:
        assert file.n_frames == n_frames


def test_a_truncated_rf64_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(rf64(AUDIO, N_BYTES)[: N_BYTES // 2])

    with pytest.raises(AudioError, match=r"a\.wav is cut short: found \d+ of 64000 bytes"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("recording", [wav(AUDIO), flac()], ids=["WAV", "FLAC"])
def test_two_recordings_in_one_file_are_refused(tmp_path: Path, recording: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(recording * 2)

    with pytest.raises(AudioError, match=r"a\.wav holds one recording behind the other"):
        read_audio(tmp_path / "a.wav")


OTHERS = {"AIFF": "AIFF", "CAF": "CAF", "W64": "Wave64", "OGG": "Ogg", "MP3": "MP", "AU": "AU"}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("share", [0.5, 1.0], ids=["cut", "whole"])
def test_other_formats_are_refused_by_name_with_a_way_out(
    tmp_path: Path, kind: str, share: float
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, AUDIO.T, 16_000, format=kind)
    content = path.read_bytes()
    path.write_bytes(content[: round(share * len(content))])

    with pytest.raises(AudioError, match=rf"a\.wav is {OTHERS[kind]}.*expected WAV.*ffmpeg -i"):
        read_audio(path)


@pytest.mark.parametrize(
    ("tag", "n_bits", "block_bytes", "codec"),
    [
        (0x31, 0, 65, "GSM 6.10"),
        (0x02, 4, 1024, "Microsoft ADPCM"),
        (0x11, 4, 1024, "IMA ADPCM"),
        (0x06, 8, 2, "A-law"),
        (0x07, 8, 2, "mu-law"),
        (0x55, 0, 1, "MP3"),
        (0x1234, 16, 4, "format 0x1234"),
        (1, 64, 16, "64 bits"),
        (1, 16, 0, "16 bits"),
    ],
)
def test_samples_that_are_no_pcm_are_refused_with_the_name_of_the_codec(
    tmp_path: Path, tag: int, n_bits: int, block_bytes: int, codec: str
) -> None:
    content = header(4000, tag=tag, n_bits=n_bits, block_bytes=block_bytes) + bytes(4000)
    (tmp_path / "a.wav").write_bytes(content)

    with pytest.raises(AudioError, match=rf"a\.wav cannot be decoded: .*{codec}") as raised:
        read_audio(tmp_path / "a.wav")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (header(0), "has no samples"),
        (header(0) + chunk(b"LIST", b"INFO" + bytes(600)), "has no samples"),
        (header(0)[:30], "ends within its WAV header"),
        (header(0)[:-8], "ends within its WAV header"),
        (b"RIFF\0\0\0\0AVI LIST", "cannot be decoded as WAV or FLAC"),
        (b"RIFF\4\0\0\0WAVE" + bytes(64), "no chunk"),
        (b"RIFF\4\0\0\0WAVE" + chunk(b"data", bytes(64)), "does not say what the samples are"),
        (header(64, rate_hz=1) + bytes(64), "says 1 Hz, expected 1000 to 768000"),
        (header(64, rate_hz=4_000_000_000) + bytes(64), "says 4000000000 Hz"),
        (b"RIFF\4\0\0\0WAVE" + chunk(b"fmt ", b"x", 0xFFFFFFF0), "ends within its WAV header"),
        (b"fLaC", "cannot be decoded"),
        (flac()[:100], r"cannot be decoded|cut short"),
        (b"near,far\n0,1\n" * 99, "it begins with b'near,far"),
        (b"", "it is empty"),
    ],
)
def test_what_holds_no_sound_is_refused_by_its_name(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "x.wav").write_bytes(content)

    with pytest.raises(AudioError, match=rf"x\.wav.*(?:{complaint})") as raised:
        read_audio(tmp_path / "x.wav")
    assert "\n" not in str(raised.value)


def test_folders_and_pipes_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "x.wav").mkdir()
    os.mkfifo(tmp_path / "y.wav")

    with pytest.raises(AudioError, match=r"x\.wav is a folder"):
        open_audio(tmp_path / "x.wav")
    with pytest.raises(AudioError, match=r"y\.wav is no file.*--input -"):
        open_audio(tmp_path / "y.wav")


def test_a_file_of_terabytes_that_are_not_on_the_disk_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "x.wav").open("wb") as file:
        file.write(header(0))
        file.truncate(1 << 42)

    with pytest.raises(AudioError, match=r"x\.wav is hollow: of 4398046511104 bytes"):
        open_audio(tmp_path / "x.wav")


def test_more_than_memory_should_hold_is_not_read_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "_MOST_SAMPLES", 30_000)
    (tmp_path / "x.wav").write_bytes(wav(AUDIO))

    with pytest.raises(AudioError, match=r"x\.wav is longer than 0 min.*cut it"):
        read_audio(tmp_path / "x.wav")


@given(
    start=st.integers(0, 60),
    change=st.binary(min_size=1, max_size=8),
    length=st.integers(0, 200),
    plain=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_no_header_leads_to_anything_but_sound_or_one_line(
    tmp_path: Path, start: int, change: bytes, length: int, plain: bool
) -> None:
    content = bytearray(wav(AUDIO[:, :40]) if plain else flac(AUDIO[:, :40]))
    content[start : start + len(change)] = change
    path = tmp_path / "a.wav"
    path.write_bytes(content[:length])

    try:
        audio, told = heard(path)
    except AudioError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert 0 < audio.size <= 160
        assert all(str(path) in line for line in told)
