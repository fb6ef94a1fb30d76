"""What a short recording tells about microphones and wiring.

The faults are the monitor's. Level and hum are advice for the person beside the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from edge_asd.audio.level import level_dbfs, peak_dbfs
from edge_asd.doctor.verdict import Verdict, not_checked, ok, problem, warning
from edge_asd.signal.cancelling_gain import CancellingGain
from edge_asd.signal.chunk import Chunk, chunks_of
from edge_asd.signal.faults import CHUNK_FAULTS, ENROLLED_FAULTS, SignalFault, faults_of

__all__ = ["Hum", "far_microphone", "hum", "level", "mains_hum", "verdicts"]

Audio = NDArray[np.float32]

_QUIET_DBFS = -70.0  # little above the noise of a 16-bit card
_LOUD_DBFS = -6.0  # a machine that gets louder will clip
_N_HARMONICS = 6
_HALF_WIDTH_HZ = 1.5
_HUM_SHARE = 0.3  # of the power in all harmonics
_FUNDAMENTAL_SHARE = 0.05  # and at the mains frequency itself, which motors seldom make


@dataclass(frozen=True, slots=True)
class Hum:
    """Share of a signal's power that is at a mains frequency and its harmonics."""

    mains_hz: int
    share: float
    fundamental_share: float


def verdicts(
    audio: Audio,
    sample_rate_hz: int,
    *,
    monitor_rate_hz: int,
    faults: Sequence[SignalFault[Chunk]] = CHUNK_FAULTS,
) -> Iterator[Verdict]:
    """Everything about a recording (2, n), near first.

    Parameters
    ----------
    monitor_rate_hz : at which the monitor hears the same sound
    faults : that are looked for
    """
    if audio.shape[1] < sample_rate_hz:
        yield problem("signal", "less than a second was recorded", "try another USB port")
        return
    heard = np.ascontiguousarray(soxr.resample(audio.T, sample_rate_hz, monitor_rate_hz).T)
    chunks = chunks_of(heard, monitor_rate_hz)
    found = list(faults_of(chunks, faults))
    for fault, figures in found:
        text = f"{fault.fault.meaning}: {fault.found.format(**figures)}"
        yield problem(fault.fault.name, text, fault.advice)
    if any(fault.fault.severity == "deaf" for fault, _ in found):
        return
    if not found:
        measured = dict.fromkeys(fault.over.format(**chunks[-1].figures) for fault in faults)
        yield ok("signal", f"no fault: {'; '.join(measured)}")
    names = " and ".join(fault.fault.name for fault in ENROLLED_FAULTS)
    yield not_checked("enrolled", f"{names} need minutes of sound: the monitor looks for them")
    yield level(audio)
    yield far_microphone(heard)
    yield hum(audio, sample_rate_hz)


def level(audio: Audio) -> Verdict:
    """Judge the loudness."""
    levels = level_dbfs(audio)
    peaks = peak_dbfs(audio)
    found = (
        f"near {levels[0]:.0f} dBFS, far {levels[1]:.0f} dBFS; "
        f"peaks {peaks[0]:.0f} dBFS, {peaks[1]:.0f} dBFS"
    )
    if levels.max() < _QUIET_DBFS:
        advice = "does the machine run? else raise the gain in alsamixer, or move closer"
        return warning("level", found, advice)
    if levels.max() > _LOUD_DBFS:
        return warning("level", found, "lower the gain in alsamixer, or move away")
    return ok("level", found)


def far_microphone(audio: Audio) -> Verdict:
    """Judge where the far microphone stands, by what cancelling it out of near does."""
    gain = CancellingGain.measure(audio)
    if gain is None:
        return not_checked("far microphone", "too little was recorded")
    if not gain.related:
        return not_checked("far microphone", gain.text, gain.advice)
    if gain.advice:
        return warning("far microphone", gain.text, gain.advice)
    return ok("far microphone", gain.text)


def hum(audio: Audio, sample_rate_hz: int) -> Verdict:
    """Judge the share of mains hum."""
    worst = max(
        (mains_hum(channel, sample_rate_hz, mains) for channel in audio for mains in (50, 60)),
        key=lambda hum: min(hum.share, hum.fundamental_share / _FUNDAMENTAL_SHARE),
    )
    found = f"{worst.share:.0%} of the power at {worst.mains_hz} Hz and its harmonics"
    if worst.share > _HUM_SHARE and worst.fundamental_share > _FUNDAMENTAL_SHARE:
        advice = "if the machine is off: another supply, or cables away from mains cables"
        return warning("hum", found, advice)
    return ok("hum", found)


def mains_hum(channel: NDArray[np.float32], sample_rate_hz: int, mains_hz: int) -> Hum:
    """Measure the hum in one channel (n,)."""
    centred = channel.astype(np.float64) - channel.mean(dtype=np.float64)
    power = np.abs(np.fft.rfft(centred * np.hanning(len(centred)))) ** 2
    frequencies_hz = np.fft.rfftfreq(len(centred), 1 / sample_rate_hz)
    harmonics_hz = mains_hz * np.arange(1, _N_HARMONICS + 1)
    near = np.abs(frequencies_hz - harmonics_hz[:, None]) <= _HALF_WIDTH_HZ  # (harmonics, bins)
    shares = near @ power / max(float(power.sum()), np.finfo(np.float64).tiny)
    return Hum(mains_hz, float(shares.sum()), float(shares[0]))
