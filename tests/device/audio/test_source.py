"""Files and pipes as streams of blocks."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from device.stream import everything, joined, noise
from hypothesis import given
from hypothesis import strategies as st

from edge_asd.audio import source
from edge_asd.audio.block import Block
from edge_asd.audio.decode import pcm16_to_float32, read_audio
from edge_asd.audio.source import FileSource, RawSource
from edge_asd.errors import AudioError


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
    reader: int, rate_hz: int = 48000, clock: Callable[[], float] = time.monotonic
) -> RawSource:
    """A pipe's sound at its own rate; it counts as dead after 15 s."""
    return RawSource(
        reader,
        source_rate_hz=rate_hz,
        sample_rate_hz=rate_hz,
        block_s=0.1,
        stall_timeout_s=15.0,
        clock=clock,
    )


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize("block_s", [0.0001, 0.0333, 0.1, 100.0])
def test_the_blocks_of_a_file_are_the_file(tmp_path: Path, name: str, block_s: float) -> None:
    soundfile.write(tmp_path / name, noise(3456).T, 16000)

    blocks = list(everything(FileSource(tmp_path / name, sample_rate_hz=16000, block_s=block_s)))

    assert np.array_equal(joined(blocks), read_audio(tmp_path / name)[0])
    starts = [0, *(block.end_frame for block in blocks)]
    assert [block.start_frame for block in blocks if isinstance(block, Block)] == starts[:-1]


@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_32", "FLOAT"])
def test_more_than_16_bits_sound_like_16(tmp_path: Path, subtype: str) -> None:
    rng = np.random.default_rng(0)
    steps = rng.integers(-1000, 1000, (16_000, 2))
    finer = (steps + rng.uniform(-0.49, 0.49, steps.shape)) / 32768
    soundfile.write(tmp_path / "16.wav", steps.astype(np.int16), 16000)
    soundfile.write(tmp_path / "finer.wav", np.rint(finer * 2**31).astype(np.int32), 16000, subtype)
    if subtype == "FLOAT":
        soundfile.write(tmp_path / "finer.wav", finer, 16000, subtype)

    files = [FileSource(tmp_path / name, sample_rate_hz=16000) for name in ("16.wav", "finer.wav")]

    expected, found = (joined(everything(file)) for file in files)
    assert np.array_equal(found, expected)
    assert np.array_equal(read_audio(tmp_path / "finer.wav")[0], expected)


@pytest.mark.parametrize("n_channels", [1, 4])
def test_a_file_without_two_channels_is_refused(tmp_path: Path, n_channels: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((100, n_channels)), 16000)

    with pytest.raises(AudioError, match=rf"has {n_channels} channel.*near and the far"):
        FileSource(tmp_path / "a.wav", sample_rate_hz=16000)


def test_a_damaged_file_is_an_error_and_not_a_short_recording(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(160000).T, 16000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(AudioError, match=r"damaged|cut short"):
        list(everything(FileSource(path, sample_rate_hz=16000)))


def test_a_file_with_samples_that_are_not_numbers_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.full((10, 2), np.inf), 16000, subtype="FLOAT")

    with pytest.raises(AudioError, match="not finite"):
        list(everything(FileSource(tmp_path / "a.wav", sample_rate_hz=16000)))


@pytest.mark.parametrize(("n_frames", "fits"), [(43999, False), (44098, False), (44100, True)])
def test_a_file_shorter_than_the_window_is_refused_with_both_lengths(
    tmp_path: Path, n_frames: int, fits: bool
) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((n_frames, 2)), 44100)
    source = FileSource(tmp_path / "a.wav", sample_rate_hz=16000)

    if fits:
        source.require_window(16000)
        return
    with pytest.raises(AudioError, match=rf"is {n_frames / 44100:g} s long.*window of 1 s"):
        source.require_window(16000)


@given(pieces=st.lists(st.binary(max_size=50), max_size=10))
def test_a_pipe_may_deliver_in_pieces_of_any_size(pieces: list[bytes]) -> None:
    reader, writer = os.pipe()

    def write() -> None:
        for piece in pieces:
            os.write(writer, piece)
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    blocks = list(everything(pcm_of(reader, 8000)))
    thread.join()
    os.close(reader)

    data = b"".join(pieces)
    whole = pcm16_to_float32(data[: len(data) // 4 * 4]).reshape(-1, 2).T
    assert np.array_equal(joined(blocks), whole)


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
    monkeypatch.setattr(source, "_POLL_S", 0.001)
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
