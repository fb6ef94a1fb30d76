"""What the file name of a clip says, in the naming of the DCASE Task 2 challenges.

section_00_source_train_normal_0000_speed_2.flac
section_00_0000.wav    anonymous: no domain, no label
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from edge_asd.bundle.manifest import Domain
from edge_asd.errors import DataError, UsageError

__all__ = [
    "MOST_CLIPS",
    "NO_ATTRIBUTE",
    "SAMPLE_RATE_HZ",
    "ClipName",
    "Label",
    "Split",
    "attribute_text",
    "parse_name",
]

SAMPLE_RATE_HZ = 16_000  # of every clip

Split = Literal["train", "test"]
Label = Literal["normal", "anomaly"]
NO_ATTRIBUTE = "noAttribute"
MOST_CLIPS = 10_000  # of a kind: names have four digits
_NAMED = re.compile(
    r"section_(\d\d)_(source|target)_(train|test)_(normal|anomaly)_(\d{4})(?:_(.+))?"
)
_ANONYMOUS = re.compile(r"section_(\d\d)_(\d{4})")
_WORD = re.compile(r"[A-Za-z0-9.+-]+")  # "_" separates, and "/" ends a name
_LONGEST_TEXT = 150  # a file name may have 255 bytes


@dataclass(frozen=True, slots=True)
class ClipName:
    """What a file name says; None where an anonymous evaluation name says nothing."""

    section: str
    split: Split | None
    domain: Domain | None
    label: Label | None
    index: int
    attribute_text: str

    @property
    def stem(self) -> str:
        """The file name without its suffix."""
        if self.split is None:
            return f"section_{self.section}_{self.index:04d}"
        return (
            f"section_{self.section}_{self.domain}_{self.split}_{self.label}_{self.index:04d}_"
            f"{self.attribute_text}"
        )


def parse_name(path: Path) -> ClipName:
    """What the file name of a clip says.

    Raises
    ------
    DataError
        When the name has neither the full nor the anonymous form of the challenge; without it.
    """
    if named := _NAMED.fullmatch(path.stem):
        section, domain, split, label, index, text = named.groups()
        return ClipName(
            section,
            cast("Split", split),
            cast("Domain", domain),
            cast("Label", label),
            int(index),
            text or NO_ATTRIBUTE,
        )
    if anonymous := _ANONYMOUS.fullmatch(path.stem):
        section, index = anonymous.groups()
        return ClipName(section, None, None, None, int(index), NO_ATTRIBUTE)
    raise DataError(
        "not a clip name; expected section_00_<source|target>_<train|test>_"
        "<normal|anomaly>_<0000>_<attributes> or section_00_<0000>"
    )


def attribute_text(attributes: Iterable[str]) -> str:
    """Return attributes such as ``speed=2`` as a file name carries them, sorted: ``speed_2``.

    Raises
    ------
    UsageError
        When one is not KEY=VALUE, or has characters that a name cannot carry, or comes twice.
    """
    values: dict[str, str] = {}
    for attribute in attributes:
        key, _, value = attribute.partition("=")
        if not (_WORD.fullmatch(key) and _WORD.fullmatch(value)):
            raise UsageError(
                f"attribute {attribute!r:.80}: expected KEY=VALUE of letters, digits and . + - "
                "alone, such as speed=2, because file names carry it"
            )
        if key in values:
            raise UsageError(f"attribute {key!r} is given twice; give it once")
        values[key] = value
    text = "_".join(f"{key}_{values[key]}" for key in sorted(values)) or NO_ATTRIBUTE
    if len(text) > _LONGEST_TEXT:
        raise UsageError(
            f"the attributes have {len(text)} characters, a file name carries {_LONGEST_TEXT}: "
            "shorten them"
        )
    return text
