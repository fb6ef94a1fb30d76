"""What the file name of a clip says, in the naming of the DCASE Task 2 challenges."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from edge_asd.bundle.manifest import Domain
from edge_asd.errors import DataError

__all__ = ["NO_ATTRIBUTE", "ClipName", "Label", "Split", "attribute_pairs", "parse_name"]

Split = Literal["train", "test"]
Label = Literal["normal", "anomaly"]

NO_ATTRIBUTE = "noAttribute"
_NAMED = re.compile(
    r"section_(\d\d)_(source|target)_(train|test)_(normal|anomaly)_(\d{4})(?:_(.+))?"
)
_ANONYMOUS = re.compile(r"section_(\d\d)_(\d{4})")


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
