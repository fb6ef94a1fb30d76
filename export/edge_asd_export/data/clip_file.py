"""What one clip file holds: two channels at the rate of all clips, whole and finite."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.block import N_CHANNELS
from edge_asd.audio.decode import open_audio, whole_audio
from edge_asd.errors import AudioError, DataError
from edge_asd.recordings.clip_name import SAMPLE_RATE_HZ

__all__ = ["fingerprint", "read_clip"]

_log = logging.getLogger(__name__)

_FINGERPRINT_BYTES = 65_536  # at either end: a second of two channels of 16 bits


def read_clip(path: Path, *, read_samples: bool) -> tuple[int, NDArray[np.float32] | None]:
    """Samples per channel of a usable two-channel clip, and its audio (2, n) if it is decoded.

    Parameters
    ----------
    path
        A WAV or FLAC file.
    read_samples
        Decode the whole clip too. Only decoding finds a truncated FLAC and samples that are
        not finite; a truncated WAV is found from its header alone.

    Raises
    ------
    DataError
        With the reason in a few words, without the path.
    """
    try:
        with open_audio(path, _log.warning if read_samples else _nobody) as clip:
            if clip.n_channels != N_CHANNELS:
                kind = "is mono" if clip.n_channels == 1 else f"has {clip.n_channels} channels"
                raise DataError(f"{kind}, expected 2 channels (near, far)")
            if clip.sample_rate_hz != SAMPLE_RATE_HZ:
                raise DataError(_wrong_rate(clip.sample_rate_hz))
            if not read_samples:
                return clip.n_frames, None
            audio = whole_audio(clip)
            return audio.shape[1], audio
    except AudioError as error:
        raise DataError(str(error).removeprefix(f"{path} ")) from error


def _wrong_rate(rate_hz: int) -> str:
    expected = f"has {rate_hz} Hz, expected {SAMPLE_RATE_HZ} Hz"
    if rate_hz > SAMPLE_RATE_HZ:
        return f"{expected}; resample it"
    return f"{expected}; sound above {rate_hz / 2000:g} kHz is missing: record it again"


def _nobody(line: str) -> None:
    """Where a command reads only headers, one before it has said what differs."""


def fingerprint(path: Path) -> str:
    """Return what tells a clip from others of any name: of its size, beginning and end."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.sha256(size.to_bytes(8))
        for start in (0, max(0, size - _FINGERPRINT_BYTES)):
            file.seek(start)
            digest.update(file.read(_FINGERPRINT_BYTES))
    return digest.hexdigest()[:16]
