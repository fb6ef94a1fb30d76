"""Files as streams of blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from device.stream import everything, joined, noise

from edge_asd.audio.block import Block
from edge_asd.audio.decode import read_audio
from edge_asd.audio.source import FileSource
from edge_asd.errors import AudioError


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
