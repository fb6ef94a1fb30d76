"""Pipes as streams of blocks: raw samples, and WAV streams."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from device.stream import everything, joined, noise
from device.wav_bytes import chunk, header, pcm16, wav
from hypothesis import assume, given
from hypothesis import strategies as st

from edge_asd.audio import pipe as pipe_module
from edge_asd.audio.block import Block
from edge_asd.audio.decode import pcm16_to_float32
from edge_asd.audio.pipe import PipeSource
from edge_asd.errors import AudioError, UsageError

AUDIO = noise(3200)
MARKS = (b"RIF", b"RF64", b"BW64", b"fLaC", b"OggS", b"FORM", b"caff", b"riff", b".snd", b"ID3")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for descriptor in (reader, writer):
        try:
            os.close(descriptor)
        except OSError:
            continue  # the test closed it


def pcm_of(
    reader: int, rate_hz: int | None = 48000, clock: Callable[[], float] = time.monotonic
) -> PipeSource:
    """A pipe's sound at its own rate; it counts as dead after 15 s."""
    return PipeSource(
        reader,
        source_rate_hz=rate_hz,
        sample_rate_hz=rate_hz or 16000,
        block_s=0.1,
        stall_timeout_s=15.0,
        clock=clock,
    )


def heard(pieces: Sequence[bytes], rate_hz: int | None = None) -> np.ndarray:
    """What is heard of a pipe into which pieces are written one after the other, (2, n)."""
    reader, writer = os.pipe()

    def write() -> None:
        for piece in pieces:
            os.write(writer, piece)
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        return joined(everything(pcm_of(reader, rate_hz)))
    finally:
        os.read(reader, 1 << 20)
        thread.join()
        os.close(reader)


@given(pieces=st.lists(st.binary(max_size=50), max_size=10))
def test_a_pipe_may_deliver_in_pieces_of_any_size(pieces: list[bytes]) -> None:
    assume(not any(b"".join(pieces).startswith(mark) for mark in MARKS))
    found = heard(pieces, 8000)

    data = b"".join(pieces)
    whole = pcm16_to_float32(data[: len(data) // 4 * 4]).reshape(-1, 2).T
    assert np.array_equal(found, whole)


def test_a_pipe_interleaves_near_and_far(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.write(writer, np.array([[16384, 1], [16384, 1]], "<i2").tobytes())
    os.close(writer)

    (block,) = everything(pcm_of(reader))
    assert isinstance(block, Block)

    assert block.audio[0].tolist() == [0.5, 0.5]
    assert block.audio[1].tolist() == [1 / 32768, 1 / 32768]


def test_a_silent_pipe_gives_empty_blocks_so_that_a_stop_is_noticed(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.write(writer, bytes(8))
    pcm = pcm_of(reader)

    first, second = pcm.read(), pcm.read()

    assert isinstance(first, Block) and isinstance(second, Block)
    assert first.n_frames == 2
    assert (second.n_frames, second.start_frame) == (0, 2)


def test_a_pipe_that_is_silent_for_too_long_is_an_error(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipe_module, "_POLL_S", 0.001)
    reader, writer = pipe
    now_s = [0.0]
    pcm = pcm_of(reader, clock=lambda: now_s[0])
    now_s[0] = 10.0
    os.write(writer, b"\0" * 400)
    assert joined([pcm.read() or Block(0, noise(1))]).shape == (2, 100)
    now_s[0] = 24.0
    assert joined([pcm.read() or Block(0, noise(1))]).shape == (2, 0)

    now_s[0] = 26.0
    with pytest.raises(AudioError, match="stdin delivered nothing for 15 s"):
        pcm.read()


def encoded(kind: str, subtype: str, endian: str = "FILE") -> bytes:
    """The audio as libsndfile writes it."""
    content = io.BytesIO()
    soundfile.write(content, AUDIO.T, 16_000, subtype, endian, format=kind)
    return content.getvalue()


FORMATS = [
    pytest.param(encoded("WAV", "PCM_U8"), 2**-7, id="8 bits"),
    pytest.param(encoded("WAV", "PCM_16"), 2**-15, id="16 bits"),
    pytest.param(encoded("WAV", "PCM_24"), 2**-15, id="24 bits"),
    pytest.param(encoded("WAV", "PCM_32"), 2**-15, id="32 bits"),
    pytest.param(encoded("WAV", "FLOAT"), 2**-15, id="float"),
    pytest.param(encoded("WAV", "DOUBLE"), 2**-15, id="double"),
    pytest.param(encoded("WAVEX", "PCM_24"), 2**-15, id="extensible"),
    pytest.param(encoded("RF64", "PCM_16"), 2**-15, id="RF64"),
    pytest.param(encoded("WAV", "PCM_16", "BIG"), 2**-15, id="RIFX"),
    pytest.param(encoded("WAV", "PCM_24", "BIG"), 2**-15, id="RIFX of 24 bits"),
    pytest.param(
        header(25_600, n_bits=24, block_bytes=8)
        + (np.rint(AUDIO.T * 2**23).astype("<i4") & 0xFFFFFF).tobytes(),
        2**-15,
        id="24 bits in 32 of ALSA",
    ),
]


@pytest.mark.parametrize(("content", "step"), FORMATS)
def test_a_wav_stream_is_read_as_its_header_says(content: bytes, step: float) -> None:
    found = heard([content])

    assert found.shape == AUDIO.shape
    assert np.abs(found - AUDIO).max() <= step


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x80000000, 0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_stream_of_unknown_length_is_heard_to_its_end(
    size: int, caplog: pytest.LogCaptureFixture
) -> None:
    software = chunk(b"LIST", b"INFO" + chunk(b"ISFT", b"Lavf61.7.100\0\0"))  # 78 bytes in all

    found = heard([header(size, before=software) + pcm16(AUDIO)])

    assert np.array_equal(found, heard([pcm16(AUDIO)], 16_000))
    assert caplog.text == ""


@given(cuts=st.lists(st.integers(0, 500), max_size=6))
def test_a_wav_stream_may_come_in_pieces_of_any_size(cuts: list[int]) -> None:
    content = wav(AUDIO[:, :100])
    bounds = [0, *sorted(cuts), len(content)]

    found = heard([content[low:high] for low, high in pairwise(bounds)])

    assert np.array_equal(found, heard([pcm16(AUDIO[:, :100])], 16_000))


def test_the_rate_of_the_header_counts(caplog: pytest.LogCaptureFixture) -> None:
    content = header(0, rate_hz=8000) + pcm16(AUDIO)

    found = heard([content])

    assert found.shape == (2, 6400)
    assert caplog.text == ""
    assert heard([content], 48_000).shape == (2, 19_200)
    assert "its WAV header says 8000 Hz; the 48000 Hz" in caplog.text


def test_samples_that_are_no_numbers_pass_as_those_of_a_card_do() -> None:
    audio = AUDIO.copy()
    audio[0, [10, 20, 30]] = np.nan, np.inf, 3e38
    content = io.BytesIO()
    soundfile.write(content, audio.T, 16_000, "FLOAT", format="WAV")

    found = heard([content.getvalue()])

    assert np.isfinite(found).sum() == audio.size - 3


def test_a_chunk_behind_the_sound_is_not_heard() -> None:
    found = heard([wav(AUDIO, behind=chunk(b"LIST", b"INFO" + bytes(4000)))])

    assert found.shape == AUDIO.shape


def test_a_new_header_in_the_stream_is_not_heard() -> None:
    found = heard([wav(AUDIO) + wav(AUDIO)])

    assert np.array_equal(found, np.tile(heard([wav(AUDIO)]), 2))


def test_a_second_recording_without_a_header_is_refused() -> None:
    with pytest.raises(AudioError, match="stdin holds one recording behind the other"):
        heard([wav(AUDIO, behind=chunk(b"data", pcm16(AUDIO)))])


def test_a_stream_that_goes_on_in_another_format_is_refused() -> None:
    with pytest.raises(AudioError, match="stdin goes on in another format"):
        heard([wav(AUDIO) + header(0, rate_hz=8000) + pcm16(AUDIO)])


@pytest.mark.parametrize("n_bytes", [400, 401, 402, 403])  # none but the first are whole frames
def test_sound_that_the_header_does_not_count_is_heard_and_told(
    n_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert np.array_equal(heard([wav(AUDIO, n_bytes)]), heard([wav(AUDIO)]))
    assert "more sound comes than its WAV header says" in caplog.text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (wav(AUDIO)[:-6], "ends before the sound that its WAV header says"),
        (wav(AUDIO, 0) + b"\0", "ends 1 bytes into a frame"),
        (pcm16(AUDIO) + b"\0\0\0", "ends 3 bytes into a frame"),
    ],
)
def test_an_end_in_the_middle_is_told(
    content: bytes, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert heard([content], 16_000).shape[1] in (3198, 3200)
    assert told in caplog.text


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (encoded("FLAC", "PCM_16"), "FLAC.*flac -dc FILE [|] edge-asd"),
        (encoded("OGG", "VORBIS"), "Ogg.*ffmpeg -i FILE -f wav - [|] edge-asd"),
        (encoded("AIFF", "PCM_16"), "AIFF.*ffmpeg"),
        (encoded("CAF", "PCM_16"), "CAF.*ffmpeg"),
        (encoded("W64", "PCM_16"), "Wave64.*ffmpeg"),
        (b"ID3\4" + bytes(99), "MP3.*ffmpeg"),
    ],
)
def test_other_formats_are_refused_with_the_command_that_decodes_them(
    content: bytes, kind: str
) -> None:
    with pytest.raises(AudioError, match=f"stdin is {kind}"):
        heard([content], 48_000)


def test_a_wav_stream_without_a_near_and_a_far_channel_is_refused() -> None:
    with pytest.raises(AudioError, match="stdin has 1 channel, expected 2"):
        heard([header(0, n_channels=1) + pcm16(AUDIO)])


def test_a_pipe_that_ends_before_any_sound_is_told_as_such() -> None:
    with pytest.raises(AudioError, match="stdin ended before any sound came"):
        heard([])


@pytest.mark.parametrize("content", [b"RIF", pcm16(AUDIO)])
def test_raw_samples_need_their_rate(content: bytes) -> None:
    with pytest.raises(UsageError, match="give --input-rate-hz"):
        heard([content])
