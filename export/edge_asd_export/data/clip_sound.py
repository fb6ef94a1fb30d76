"""What is kept of a clip that was decoded: what is wrong with it, and what it is compared by."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.takes import WhiteSound, whitened
from edge_asd.recordings.clip_name import SAMPLE_RATE_HZ
from edge_asd.signal.recorded import SoundFinding, findings_in
from edge_asd.signal.reference import SignalReference

__all__ = ["MeasuredClip", "measure_sound"]


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredClip:
    """Measured of one clip, some 100 kB."""

    findings: tuple[SoundFinding, ...]
    reference: SignalReference | None  # None: unusable, or too short
    white: list[WhiteSound] = field(default_factory=list)  # what takes are found by


def measure_sound(audio: NDArray[np.float32], *, for_takes: bool) -> MeasuredClip:
    """Measure a clip (2, n_samples)."""
    findings = findings_in(audio, SAMPLE_RATE_HZ)
    spoilt = any(finding.unusable for finding in findings)
    comparable = audio.shape[1] >= SAMPLE_RATE_HZ and not spoilt
    return MeasuredClip(
        findings,
        SignalReference.measure([audio], SAMPLE_RATE_HZ) if comparable else None,
        whitened([audio], SAMPLE_RATE_HZ) if for_takes else [],
    )
