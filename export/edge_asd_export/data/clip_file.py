"""What one clip file holds and what its name says, in the naming of the DCASE Task 2 challenges."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from edge_asd.audio.block import N_CHANNELS
from edge_asd.audio.decode import open_audio, read_audio
from edge_asd.bundle.manifest import Domain
from edge_asd.errors import AudioError, DataError

__all__ = [
    "NO_ATTRIBUTE",
    "SAMPLE_RATE_HZ",
    "ClipFormat",
    "ClipName",
    "Label",
    "Split",
    "UnusableClipError",
    "attribute_pairs",
    "inspect_clip",
    "parse_name",
]

SAMPLE_RATE_HZ = 16_000

Split = Literal["train", "test"]
Label = Literal["normal", "anomaly"]
NO_ATTRIBUTE = "noAttribute"
_NAMED = re.compile(
    r"section_(\d\d)_(source|target)_(train|test)_(normal|anomaly)_(\d{4})(?:_(.+))?"
)
_ANONYMOUS = re.compile(r"section_(\d\d)_(\d{4})")


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


@dataclass(frozen=True, slots=True)
class ClipName:
    """What a file name says; None where an anonymous evaluation name says nothing."""

    section: str
    split: Split | None
    domain: Domain | None
    label: Label | None
    index: int
    attribute_text: str


def parse_name(path: Path) -> ClipName:
    """What the file name of a clip says.

    Raises
    ------
    DataError
        When the name has neither the full nor the anonymous form of the challenge.
    """
    if named := _NAMED.fullmatch(path.stem):
        section, domain, split, label, index, attribute_text = named.groups()
        return ClipName(
            section,
            cast("Split", split),
            cast("Domain", domain),
            cast("Label", label),
            int(index),
            attribute_text or NO_ATTRIBUTE,
        )
    if anonymous := _ANONYMOUS.fullmatch(path.stem):
        section, index = anonymous.groups()
        return ClipName(section, None, None, None, int(index), NO_ATTRIBUTE)
    raise DataError(
        f"{path.name}: not a clip name; expected section_00_<source|target>_<train|test>_"
        "<normal|anomaly>_<0000>_<attributes> or section_00_<0000>"
    )


def attribute_pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Key and value in turn (`mic_2_mic_1` repeats a key); an odd last word has no value."""
    if text in ("", NO_ATTRIBUTE):
        return ()
    words = text.split("_")
    return tuple(zip(words[::2], [*words[1::2], ""], strict=False))
