"""What one clip file holds, or why it cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_asd.audio.block import N_CHANNELS
from edge_asd.audio.decode import open_audio, read_audio
from edge_asd.errors import AudioError

__all__ = ["SAMPLE_RATE_HZ", "ClipFormat", "UnusableClipError", "inspect_clip"]

SAMPLE_RATE_HZ = 16_000


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
        With the reason in a few words, without the path.
    """
    try:
        with open_audio(path) as clip:
            n_channels, form = clip.channels, ClipFormat(clip.frames, clip.samplerate)
        if n_channels != N_CHANNELS:
            kind = "is mono" if n_channels == 1 else f"has {n_channels} channels"
            raise UnusableClipError(f"{kind}, expected 2 channels (near, far)")
        if form.sample_rate_hz != SAMPLE_RATE_HZ:
            raise UnusableClipError(
                f"has {form.sample_rate_hz} Hz, expected {SAMPLE_RATE_HZ} Hz; resample it"
            )
        if read_samples:
            read_audio(path)
    except AudioError as error:
        raise UnusableClipError(str(error).removeprefix(f"{path} ")) from error
    return form
