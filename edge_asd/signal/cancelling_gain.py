"""What the view ``clean`` gains and costs: background and machine that it takes out of near.

A recording of both together cannot be taken apart, but the order of arrival tells: a sound that
reaches the far microphone first is not the machine's, which reaches near first. It does so
whatever the gains of both microphones are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from edge_asd.audio.noise_cancelling import HOP, N_FFT, Audio, short_time_spectra
from edge_asd.state.record import Decibels, StateRecord

__all__ = ["LEAST_SAMPLES", "CancellingGain"]

LEAST_SAMPLES = 8 * HOP  # half a second at 16 kHz; less is mostly chance

# Frames overlap: n of them are worth n / 1.93 independent ones, 1 + 2 sum r(k hop)^2.
_FRAMES_PER_LOOK = 1.93
_FIRST_BIN = 3  # 12 Hz; a constant offset is below
_AT_ONCE = 8  # samples, 17 cm at 16 kHz: closer, neither is first
_POWER_FLOOR = 1e-12
_MOST_COHERENT = 1 - 1e-6  # float32 tells no more apart: 60 dB
_UNRELATED_DB = 0.1  # chance stays below 0.03 dB in 3 s


class CancellingGain(StateRecord):
    """How much quieter near is, averaged over all frequencies, without what far explains of it.

    Both are lower limits: what near alone hears hides the rest. On synthetic scenes of 7 dB
    of background cancelled, with the machine 8 dB above it, `background_db` is about 0.6, with
    the machine 6 dB below it 3.2.

    Attributes
    ----------
    background_db : by sound that reaches far first
    machine_db : by sound that reaches near first, or both at once: the machine, unless some
        other source stands behind it
    """

    background_db: Decibels
    machine_db: Decibels

    @classmethod
    def measure(cls, audio: Audio) -> Self | None:
        """Measure a window or a recording (2, n_samples); None if it is too short.

        Of each frequency, far explains the squared coherence of near. Which side the sound
        comes from is told by the peaks of the generalised cross-correlation with coherence
        weighting (Knapp and Carter, IEEE Trans. ASSP 24(4), 1976).
        """
        if audio.shape[1] < LEAST_SAMPLES:
            return None
        near, far = short_time_spectra(audio)  # (n_frames, n_bins)
        cross = (near * far.conj()).sum(axis=0)
        cross[:_FIRST_BIN] = 0
        power = [(own.real**2 + own.imag**2).sum(axis=0) + _POWER_FLOOR for own in (near, far)]
        coherence = cross / np.sqrt(power[0] * power[1])  # complex
        shared = np.minimum(np.abs(coherence) ** 2, _MOST_COHERENT)
        looks = audio.shape[1] / HOP / _FRAMES_PER_LOOK
        by_chance = 1 / (looks - 1)  # mean of -ln(1 - coherence^2) of unrelated noise
        fallen_db = 10 / np.log(10) * max(float(-np.log1p(-shared).mean()) - by_chance, 0.0)
        # Squares of squares: the peaks of direct sound count, not the tails of rooms.
        peaks = np.fft.irfft(coherence, N_FFT) ** 4
        far_first = float(np.sqrt(peaks[_AT_ONCE : N_FFT // 2].sum()))
        near_first = float(np.sqrt(peaks[N_FFT // 2 :].sum() + peaks[:_AT_ONCE].sum()))
        background_db = fallen_db * far_first / max(far_first + near_first, _POWER_FLOOR)
        return cls(background_db=background_db, machine_db=fallen_db - background_db)

    @classmethod
    def mean(cls, gains: Sequence[Self]) -> Self:
        """Return the mean of some windows."""
        return cls(
            background_db=float(np.mean([gain.background_db for gain in gains])),
            machine_db=float(np.mean([gain.machine_db for gain in gains])),
        )

    @property
    def sentence(self) -> str:
        """What cancelling does here, and what to do about it if far stands badly."""
        return f"{self.text}; {self.advice}" if self.advice else self.text

    @property
    def text(self) -> str:
        """What cancelling does here."""
        if not self.related:
            return "far hears nothing of what near hears: cancelling takes nothing away"
        return (
            f"cancelling takes at least {self.background_db:.1f} dB of the background "
            f"and {self.machine_db:.1f} dB of the machine out of near"
        )

    @property
    def advice(self) -> str:
        """What to do about the far microphone; empty if it stands well."""
        if not self.related:
            return (
                "in a quiet room this is right; else put far where it hears the noise that "
                "reaches near, at most 10 m away"
            )
        if self.machine_db > self.background_db:
            return (
                "far hears the machine: move it away from the machine and towards the noise, or "
                "turn it away"
            )
        return ""

    @property
    def related(self) -> bool:
        """Whether far hears anything of what near hears."""
        return self.background_db + self.machine_db >= _UNRELATED_DB
