"""A recording scored from beginning to end, by the same code that listens."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from edge_asd.audio.band import missing_band
from edge_asd.audio.block import Block
from edge_asd.audio.channels import NearFar
from edge_asd.audio.source import FileSource
from edge_asd.errors import AudioError
from edge_asd.events.fault import FaultChange
from edge_asd.events.moment import Moment
from edge_asd.profile import SignalSettings
from edge_asd.scoring.stream import ScoredStream, ScoredWindow, WindowDetector
from edge_asd.signal.quality import SignalQuality
from edge_asd.signal.reference import SignalReference

if TYPE_CHECKING:
    from edge_asd.scoring.detector import WindowScore

__all__ = ["RecordingScore", "score_recording"]

_PARTS = "parts of it are silent, stuck or beyond full scale, or one channel is dead"
_NO_TIME = datetime.fromtimestamp(0, UTC)  # faults of a file are told of the file, not when


@dataclass(frozen=True, slots=True)
class RecordingScore:
    """Scores of one file; there is at least one window."""

    path: Path
    windows: tuple[tuple[float, WindowScore], ...]  # start in seconds, score
    n_skipped: int = 0  # windows whose sound cannot be scored
    warnings: tuple[str, ...] = ()  # what makes the scores doubtful, one line each

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
            "n_skipped": self.n_skipped,
            "warnings": self.warnings,
        }
        if windows:
            content["windows"] = [
                {"window_start_s": start_s, **asdict(score)} for start_s, score in self.windows
            ]
        return content


def score_recording(
    path: Path,
    detector: WindowDetector,
    hop_s: float,
    *,
    channels: NearFar = None,
    signal: SignalSettings | None = None,
    reference: SignalReference | None = None,
) -> RecordingScore:
    """Score the windows of a WAV or FLAC file, resampled to the detector's rate.

    Parameters
    ----------
    channels : which are near and far
    signal : how the signal is checked; windows whose sound the monitor would not score are
        skipped. None: all windows are scored
    reference : how the signal was when enrolled

    Raises
    ------
    AudioError
        When the file cannot be read, has not two channels, is shorter than a window, or none of
        its windows can be scored.
    """
    rate_hz = detector.sample_rate_hz
    said: list[str] = []
    changes: list[FaultChange] = []
    quality = None
    if signal is not None and signal.checks:
        quality = SignalQuality(changes.append, signal, sample_rate_hz=rate_hz, reference=reference)
    stream = ScoredStream(detector, hop_s, usable=quality.usable if quality else None)
    windows: list[tuple[float, WindowScore]] = []
    n_skipped = 0
    file = FileSource(path, sample_rate_hz=rate_hz, channels=channels, say=said.append)
    with closing(file) as source:
        source.require_window(detector.window_samples)
        if missing := missing_band(source.source_rate_hz, rate_hz):
            said.append(f"{path}: {missing}")
        while (item := source.read()) is not None:
            if quality is not None and isinstance(item, Block):
                at = Moment(_NO_TIME, item.end_frame / rate_hz, detector.machine)
                quality.on_block(at, item.audio)
            for window in stream.push(item):
                if isinstance(window, ScoredWindow):
                    windows.append((window.start_sample / rate_hz, window.result))
                else:
                    n_skipped += 1
    wrong = {c.fault.name: f"{c.fault.meaning} ({c.detail})" for c in changes if c.active}
    why = "; ".join(wrong.values())
    if n_skipped:
        n_windows = n_skipped + len(windows)
        why = f"{n_skipped} of {n_windows} windows cannot be scored: {why or _PARTS}"
    if not windows:
        raise AudioError(f"{path}: {why}")
    if why:
        said.append(f"{path}: {why}")
    return RecordingScore(path, tuple(windows), n_skipped, tuple(said))
