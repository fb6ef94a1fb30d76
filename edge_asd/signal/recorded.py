"""What is wrong with the sound of recordings, by the faults that the monitor looks for.

A recording is judged as if its sound went on, and then beside the others of its machine: what
differs from most of them in level, or has the channels exchanged, stands out. On 274 real training
clips of 10 s none is exchanged to this measure, and of the same clips with exchanged channels
84 to 100 % are found, by machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.signal.chunk import chunks_of
from edge_asd.signal.comparison import EnrolledComparison
from edge_asd.signal.faults import CHUNK_FAULTS, ENROLLED_FAULTS, faults_of
from edge_asd.signal.reference import SignalReference

__all__ = ["SoundFinding", "beside_others", "findings_in"]

_LEAST_OTHERS = 4  # of two or three it is open which one is wrong
_TOLERANCE_DB = 12.0  # of the level, as ``signal.level_tolerance_db``


@dataclass(frozen=True, slots=True)
class SoundFinding:
    """One thing that is wrong with a recording."""

    meaning: str
    found: str  # what was measured
    advice: str
    unusable: bool  # the monitor would not score it
    learned: bool  # recordings with it are learned from all the same

    @property
    def text(self) -> str:
        """Meaning and figures in one line."""
        return f"{self.meaning} ({self.found})"


def findings_in(audio: NDArray[np.float32], sample_rate_hz: int) -> tuple[SoundFinding, ...]:
    """Return what the monitor would report if all of its sound were like a recording (2, n).

    What makes sound unusable counts from a tenth of a second on, as no window that touches it is
    scored.
    """
    chunks = chunks_of(audio, sample_rate_hz)
    lasting = {row.fault.name: figures for row, figures in faults_of(chunks)}
    findings = []
    for row in CHUNK_FAULTS:
        unusable = row.fault.severity == "deaf"
        spoilt = [chunk for chunk in chunks if unusable and row.holds(chunk)]
        if not spoilt and row.fault.name not in lasting:
            continue
        found = row.found.format(**(spoilt[0].figures if spoilt else lasting[row.fault.name]))
        if 0 < len(spoilt) < len(chunks):
            found = f"in {len(spoilt)} of {len(chunks)} seconds: {found}"
        findings.append(SoundFinding(row.fault.meaning, found, row.advice, unusable, row.learned))
    return tuple(findings)


def beside_others(sounds: Sequence[SignalReference | None]) -> Iterator[tuple[int, SoundFinding]]:
    """Yield the number of each recording of a machine that is not like most of the others.

    Parameters
    ----------
    sounds : of each recording; None: it is not compared
    """
    known = [sound for sound in sounds if sound is not None]
    if len(known) <= _LEAST_OTHERS:
        return
    usual = SignalReference.median(known)
    for i, sound in enumerate(sounds):
        if sound is None:
            continue
        beside = EnrolledComparison.of(sound.levels, sound.bands, usual, _TOLERANCE_DB)
        for row in ENROLLED_FAULTS:
            if row.holds(beside):
                found = row.found.format(**beside.figures)
                yield i, SoundFinding(row.fault.meaning, found, row.advice, False, row.learned)
