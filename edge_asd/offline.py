"""Scores of a whole recording: the windows that the monitor would see, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_asd.errors import AudioError
from edge_asd.window import Windower

if TYPE_CHECKING:
    from edge_asd.detector import WindowScore

__all__ = ["WindowDetector", "mean_score", "score_audio"]


class WindowDetector(Protocol):
    """What scoring a recording needs of a :class:`edge_asd.detector.Detector`."""

    @property
    def machine(self) -> str: ...
    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def window_samples(self) -> int: ...
    def score(self, audio: NDArray[np.float32]) -> WindowScore: ...


def score_audio(
    detector: WindowDetector,
    audio: NDArray[np.float32],
    sample_rate_hz: int,
    hop_s: float,
) -> list[tuple[float, WindowScore]]:
    """Start in seconds and score of each full window of a recording, in order.

    A recording of exactly one window gives one score; a rest shorter than the hop is not
    scored.

    Parameters
    ----------
    detector
        The detector of the machine.
    audio : (2, n_samples) float32 in [-1, 1]
        Near and far microphone.
    sample_rate_hz
        Of `audio`; must be the detector's.
    hop_s
        From the start of one window to the start of the next.

    Raises
    ------
    AudioError
        When the sample rate is another, or the recording is shorter than a window.
    """
    n_samples = audio.shape[1]
    if sample_rate_hz != detector.sample_rate_hz:
        raise AudioError(
            f"the recording has {sample_rate_hz} Hz, the bundle needs "
            f"{detector.sample_rate_hz} Hz: resample it first"
        )
    if n_samples < detector.window_samples:
        raise AudioError(
            f"the recording is {n_samples / sample_rate_hz:.3f} s long, one window of machine "
            f"{detector.machine!r} needs {detector.window_samples / sample_rate_hz:g} s"
        )
    windower = Windower(detector.window_samples, round(hop_s * sample_rate_hz))
    return [
        (window.start_sample / sample_rate_hz, detector.score(window.audio))
        for window in windower.push(audio)
    ]


def mean_score(scores: Sequence[WindowScore]) -> WindowScore:
    """Mean of the fused and of each branch's scores over windows: the score of a recording."""
    return replace(
        scores[0],
        score=float(np.mean([score.score for score in scores])),
        branches={
            branch: float(np.mean([score.branches[branch] for score in scores]))
            for branch in scores[0].branches
        },
    )
