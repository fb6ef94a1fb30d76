"""Audio files and PCM in memory.

Everywhere: float32, shape (n_channels, n_samples), range [-1, 1], and nobody writes
into an array that was handed over.

Whatever a file or a card gives, it is heard with 16 bits, as training clips are. Where a recording
is silent, above the pass band of a filter for example, more bits show a silence that no 16-bit
recording has. To networks that look at logarithms of power it would be a great change.
"""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge_asd.errors import AudioError

__all__ = [
    "float32_to_pcm16",
    "open_audio",
    "pcm16_to_float32",
    "read_audio",
    "require_finite",
    "rounded_to_16_bits",
]

_FULL_SCALE = np.float32(32768)

# libsndfile reads what is there of a cut WAV file and mentions it only in its log.
_CUT_DATA_CHUNK = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
# Sizes that programs write which do not know the length yet, and leave behind when they write
# into a pipe or lose power: arecord 2 GiB, sox a little less, ffmpeg a little less than 4 GiB.
_UNKNOWN_SIZES = (range(0x7FFFF000, 0x80000001), range(0xFFFFF000, 0x100000000))


def read_audio(path: PathLike[str] | str) -> tuple[NDArray[np.float32], int]:
    """Samples (n_channels, n_samples) and sample rate in Hz of a WAV or FLAC file.

    Any PCM or float subtype; integer samples are divided by their full scale, and all are
    rounded to 16 bits.

    Raises
    ------
    AudioError
        When the file is missing, not decodable, empty, cut short, or not finite.
    """
    with open_audio(path) as file:
        try:
            frames = file.read(dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise _unreadable(path, error) from error
        if len(frames) != file.frames:
            raise AudioError(
                f"{path} is cut short: found {len(frames)} of {file.frames} frames; copy it again"
            )
        audio = require_finite(np.ascontiguousarray(frames.T), path)
        return rounded_to_16_bits(audio), int(file.samplerate)


def open_audio(path: PathLike[str] | str) -> soundfile.SoundFile:
    """Open an audio file that has at least one frame and is not cut short.

    Raises
    ------
    AudioError
        When it is missing, of unknown format, empty, or cut short.
    """
    if not Path(path).is_file():
        raise AudioError(f"no audio file at {path}")
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise _unreadable(path, error) from error
    except UnicodeEncodeError as error:
        raise AudioError(f"file name {str(path)!r} is not valid UTF-8; rename it") from error
    cut = _CUT_DATA_CHUNK.search(file.extra_info)
    declared, found = map(int, cut.groups()) if cut else (0, 0)
    if file.frames == 0:
        file.close()
        raise AudioError(f"{path} has no samples")
    known = not any(declared in sizes for sizes in _UNKNOWN_SIZES)
    if known and found + 1 < declared:  # one byte may be missing: a chunk's padding
        file.close()
        raise AudioError(
            f"{path} is cut short: found {found} of {declared} bytes of audio; copy it again"
        )
    return file


def require_finite(audio: NDArray[np.float32], path: object) -> NDArray[np.float32]:
    """Return `audio`, which must be free of NaN and infinity.

    Raises
    ------
    AudioError
        When it is not.
    """
    if not np.isfinite(audio).all():
        raise AudioError(f"{path} has samples that are not finite numbers; record it again")
    return audio


def rounded_to_16_bits(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the same audio in steps of 1 / 32768; what is beyond full scale stays there."""
    rounded: NDArray[np.float32] = np.rint(audio * _FULL_SCALE) / _FULL_SCALE
    return rounded


def pcm16_to_float32(data: bytes) -> NDArray[np.float32]:
    """Signed 16-bit little-endian samples, divided by 32768."""
    return np.frombuffer(data, dtype="<i2").astype(np.float32) / _FULL_SCALE


def float32_to_pcm16(audio: NDArray[np.float32]) -> NDArray[np.int16]:
    """Audio (2, n) as frames (n, 2) of signed 16-bit samples; what is no number becomes 0."""
    rounded = np.clip(np.rint(audio.T * 32768.0), -32768, 32767)
    return np.asarray(np.nan_to_num(rounded), np.int16)


def _unreadable(path: object, error: Exception) -> AudioError:
    reason = str(error).rstrip(".").rpartition(": ")[2]
    return AudioError(f"{path} cannot be decoded as WAV or FLAC: {reason}")
