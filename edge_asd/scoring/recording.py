"""A recording scored from beginning to end, by the same code that listens."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from edge_asd.audio.source import FileSource
from edge_asd.scoring.stream import ScoredStream, ScoredWindow, WindowDetector

if TYPE_CHECKING:
    from edge_asd.scoring.detector import WindowScore

__all__ = ["RecordingScore", "score_recording"]


@dataclass(frozen=True, slots=True)
class RecordingScore:
    """Scores of one file; there is at least one window."""

    path: Path
    windows: tuple[tuple[float, WindowScore], ...]  # start in seconds, score

    @property
    def mean(self) -> WindowScore:
        """The score of the file: the mean over its windows."""
        scores = [score for _, score in self.windows]
        return replace(
            scores[0],
            score=fmean(score.score for score in scores),
            branches={
                branch: fmean(score.branches[branch] for score in scores)
                for branch in scores[0].branches
            },
        )

    @property
    def max_score(self) -> float:
        return max(score.score for _, score in self.windows)

    def verdict(self, threshold: float) -> str:
        """``ANOMALOUS`` when the score of the file exceeds the threshold, else ``normal``."""
        return "ANOMALOUS" if self.mean.score > threshold else "normal"

    def to_json(self, threshold: float, *, windows: bool) -> dict[str, Any]:
        """Everything but the single windows, unless they are wanted too."""
        content: dict[str, Any] = {
            "file": str(self.path),
            "score": self.mean.score,
            "max_score": self.max_score,
            "threshold": threshold,
            "verdict": self.verdict(threshold),
            "branches": self.mean.branches,
            "n_windows": len(self.windows),
        }
        if windows:
            content["windows"] = [
                {"window_start_s": start_s, **asdict(score)} for start_s, score in self.windows
            ]
        return content


def score_recording(path: Path, detector: WindowDetector, hop_s: float) -> RecordingScore:
    """Score all windows of a WAV or FLAC file, resampled to the detector's rate.

    Raises
    ------
    AudioError
        When the file cannot be read, has not two channels, or is shorter than a window.
    """
    rate_hz = detector.sample_rate_hz
    stream = ScoredStream(detector, hop_s)
    with closing(FileSource(path, sample_rate_hz=rate_hz, block_s=1.0)) as source:
        source.require_window(detector.window_samples)
        windows: list[tuple[float, WindowScore]] = []
        while (item := source.read()) is not None:
            windows += [
                (window.start_sample / rate_hz, window.result)
                for window in stream.push(item)
                if isinstance(window, ScoredWindow)
            ]
    return RecordingScore(path, tuple(windows))
