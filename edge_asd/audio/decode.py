"""Audio files and PCM in memory.

Everywhere: float32, shape (n_channels, n_samples), range [-1, 1], and nobody writes
into an array that was handed over.

Whatever a file or a card gives, it is heard with 16 bits, as training clips are. Where a recording
is silent, above the pass band of a filter for example, more bits show a silence that no 16-bit
recording has. To networks that look at logarithms of power it would be a great change.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.audio_file import AudioFile, Say
from edge_asd.audio.flac_file import FlacFile
from edge_asd.audio.magic import MAGIC_BYTES, format_of, tag_bytes
from edge_asd.audio.wav_file import WavFile
from edge_asd.errors import AudioError

__all__ = [
    "float32_to_pcm16",
    "open_audio",
    "pcm16_to_float32",
    "read_audio",
    "require_finite",
    "rounded_to_16_bits",
    "whole_audio",
]

_FULL_SCALE = np.float32(32768)
_PIECE = 4096  # frames
_LARGE = 1 << 30  # bytes
_MOST_HOLLOW = 100  # a file system that compresses does not do so much to sound
_MOST_SAMPLES = 1 << 28  # of a recording that is held in memory, 1 GB


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
        return whole_audio(file), file.sample_rate_hz


def whole_audio(file: AudioFile) -> NDArray[np.float32]:
    """Return what is left of an opened file, (n_channels, n_samples), as :func:`read_audio` does.

    Raises
    ------
    AudioError
        When the file is damaged, cut short, not finite, or too long to be held in memory.
    """
    pieces, n_frames = [file.read(_PIECE)], 0
    while pieces[-1].shape[1]:
        n_frames += pieces[-1].shape[1]
        if n_frames * file.n_channels > _MOST_SAMPLES:
            raise AudioError(
                f"{file.name} is longer than {n_frames / file.sample_rate_hz / 60:.0f} min, too "
                "much to be read as a whole: cut it into shorter ones"
            )
        pieces.append(file.read(_PIECE))
    return rounded_to_16_bits(require_finite(np.concatenate(pieces, axis=1), file.name))


def open_audio(path: PathLike[str] | str, say: Say = lambda line: None) -> AudioFile:
    """Open an audio file that has at least one frame.

    Parameters
    ----------
    say : is told in a line, sooner or later, where there is more sound than the header promises,
        or something else behind it

    Raises
    ------
    AudioError
        When it is missing, of unknown format, empty, or cut short.
    """
    path = Path(path)
    try:
        _require_file(path)
        file = path.open("rb")
    except OSError as error:
        raise AudioError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return _opened(path, file, say)
    except OSError as error:
        file.close()
        raise AudioError(f"{path} cannot be read: {error.strerror}") from error
    except BaseException:
        file.close()
        raise


def _require_file(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise AudioError(f"file name {str(path)!r} is not valid UTF-8; rename it") from error
    if path.is_dir():
        raise AudioError(f"{path} is a folder, expected a WAV or FLAC file")
    if not path.exists():
        raise AudioError(f"no audio file at {path}")
    if not path.is_file():
        raise AudioError(f"{path} is no file; sound from a pipe is read with '--input -'")
    about = path.stat()
    on_disk = about.st_blocks * 512
    if about.st_size > max(_MOST_HOLLOW * on_disk, _LARGE):
        raise AudioError(
            f"{path} is hollow: of {about.st_size} bytes {on_disk} are on the disk; copy it again"
        )


def _opened(path: Path, file: BinaryIO, say: Say) -> AudioFile:
    magic = file.read(MAGIC_BYTES)
    if start := tag_bytes(magic):
        file.seek(start)
        magic = file.read(MAGIC_BYTES) or magic
    found = format_of(magic)
    if found == "FLAC":
        return FlacFile(path, file, start, say)
    if found == "WAV":
        return WavFile(path, file, start, say)
    if found is None and not start:
        what = f"it begins with {magic!r}" if magic else "it is empty"
        raise AudioError(f"{path} cannot be decoded as WAV or FLAC: {what}")
    raise AudioError(
        f"{path} is {found or 'MP3'}, expected WAV or FLAC: record it as such, or convert it with "
        "'ffmpeg -i OLD NEW.flac'"
    )


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
    with np.errstate(over="ignore"):  # what a float file may hold becomes infinite
        rounded: NDArray[np.float32] = np.rint(audio * _FULL_SCALE) / _FULL_SCALE
    return rounded


def pcm16_to_float32(data: bytes) -> NDArray[np.float32]:
    """Signed 16-bit little-endian samples, divided by 32768."""
    return np.frombuffer(data, dtype="<i2").astype(np.float32) / _FULL_SCALE


def float32_to_pcm16(audio: NDArray[np.float32]) -> NDArray[np.int16]:
    """Audio (2, n) as frames (n, 2) of signed 16-bit samples; what is no number becomes 0."""
    rounded = np.clip(np.rint(audio.T * 32768.0), -32768, 32767)
    return np.asarray(np.nan_to_num(rounded), np.int16)
