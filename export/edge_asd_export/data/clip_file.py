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

__all__ = ["NO_ATTRIBUTE", "SAMPLE_RATE_HZ", "Label", "Split", "clip_samples", "parse_name"]

SAMPLE_RATE_HZ = 16_000

Split = Literal["train", "test"]
Label = Literal["normal", "anomaly"]
NO_ATTRIBUTE = "noAttribute"
_NAMED = re.compile(
    r"section_(\d\d)_(source|target)_(train|test)_(normal|anomaly)_(\d{4})(?:_(.+))?"
)
_ANONYMOUS = re.compile(r"section_(\d\d)_(\d{4})")


def clip_samples(path: Path, *, read_samples: bool) -> int:
    """Samples per channel of a usable two-channel clip.

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
        with open_audio(path) as clip:
            n_channels, n_samples, rate_hz = clip.channels, clip.frames, clip.samplerate
        if n_channels != N_CHANNELS:
            kind = "is mono" if n_channels == 1 else f"has {n_channels} channels"
            raise DataError(f"{kind}, expected 2 channels (near, far)")
        if rate_hz != SAMPLE_RATE_HZ:
            raise DataError(f"has {rate_hz} Hz, expected {SAMPLE_RATE_HZ} Hz; resample it")
        if read_samples:
            read_audio(path)
    except AudioError as error:
        raise DataError(str(error).removeprefix(f"{path} ")) from error
    return int(n_samples)


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
        When the name has neither the full nor the anonymous form of the challenge; without it.
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
        "not a clip name; expected section_00_<source|target>_<train|test>_"
        "<normal|anomaly>_<0000>_<attributes> or section_00_<0000>"
    )
