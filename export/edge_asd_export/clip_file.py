"""What one clip file holds, or why it cannot be used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import soundfile

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SAMPLE_RATE_HZ", "ClipFormat", "UnusableClipError", "inspect_clip"]

N_CHANNELS = 2
SAMPLE_RATE_HZ = 16_000

_BLOCK_SAMPLES = 1 << 18
# libsndfile shortens a WAV header that promises more than the file holds and says so only here.
_CUT_DATA_CHUNK = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)


class UnusableClipError(Exception):
    """A clip that cannot be used; caught by the scan, which reports all of them together."""


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """What the header of a usable clip says."""

    n_samples: int  # per channel
    sample_rate_hz: int


def inspect_clip(path: Path, *, read_samples: bool) -> ClipFormat:
    """Length and rate of a usable two-channel clip.

    Parameters
    ----------
    path
        A WAV or FLAC file.
    read_samples
        Decode the whole clip too. Only decoding finds a truncated FLAC and samples that are
        not finite; a truncated WAV is found from its header alone.

    Raises
    ------
    UnusableClipError
        With the reason in a few words.
    """
    try:
        with soundfile.SoundFile(path) as clip:
            _check_header(clip)
            if read_samples:
                _check_samples(clip)
            return ClipFormat(clip.frames, clip.samplerate)
    except (soundfile.LibsndfileError, OSError) as error:
        # str() of libsndfile's error repeats the path, which the report prints anyway.
        reason = getattr(error, "error_string", None) or str(error)
        raise UnusableClipError(f"cannot be decoded: {reason.rstrip('.')}") from error


def _check_header(clip: soundfile.SoundFile) -> None:
    if clip.channels != N_CHANNELS:
        kind = "mono" if clip.channels == 1 else f"{clip.channels} channels"
        raise UnusableClipError(f"{kind}, expected 2 channels (near, far)")
    if clip.samplerate != SAMPLE_RATE_HZ:
        raise UnusableClipError(f"{clip.samplerate} Hz, expected {SAMPLE_RATE_HZ} Hz")
    if cut := _CUT_DATA_CHUNK.search(clip.extra_info):
        promised, found = cut.groups()
        raise UnusableClipError(
            f"truncated: the header promises {promised} bytes of audio, the file holds {found}"
        )
    if clip.frames == 0:
        raise UnusableClipError("holds no samples")


def _check_samples(clip: soundfile.SoundFile) -> None:
    """Decode everything: too few samples or samples that are not finite are refused."""
    n_samples = 0
    for block in clip.blocks(_BLOCK_SAMPLES, dtype="float32", always_2d=True):
        if not np.isfinite(block).all():
            raise UnusableClipError("holds NaN or infinite samples")
        n_samples += len(block)
    if n_samples != clip.frames:
        raise UnusableClipError(
            f"truncated: the header promises {clip.frames} samples, {n_samples} decode"
        )
