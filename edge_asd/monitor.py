"""The one loop: blocks -> windows -> scores -> alarm -> events -> sinks.

Nothing here knows where audio comes from or what time it is; memory does not grow with
the number of windows.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_asd.alarm import Alarm, AlarmCleared, AlarmRaised
from edge_asd.audio import level_dbfs
from edge_asd.errors import SinkError
from edge_asd.event import (
    AlarmClearedEvent,
    AlarmRaisedEvent,
    AudioGapEvent,
    Event,
    ScoreEvent,
    StartedEvent,
    StoppedEvent,
)
from edge_asd.sinks import Sink
from edge_asd.source import Block
from edge_asd.window import Windower

if TYPE_CHECKING:
    from edge_asd.detector import WindowScore

__all__ = ["Gap", "Monitor", "ScoredWindow", "Subject", "WindowDetector", "score_stream"]

_log = logging.getLogger(__name__)


class WindowDetector(Protocol):
    """What scoring a recording needs of a :class:`edge_asd.detector.Detector`."""

    @property
    def machine(self) -> str: ...
    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def window_samples(self) -> int: ...
    def score(self, audio: NDArray[np.float32]) -> WindowScore: ...


@dataclass(frozen=True, slots=True)
class Gap:
    """Missing audio; what follows begins at `at_sample`."""

    at_sample: int
    lost_samples: int  # 0 when nobody knows how many
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class ScoredWindow:
    """A window and its score."""

    start_sample: int
    audio: NDArray[np.float32]  # (2, window_samples)
    result: WindowScore


@dataclass(frozen=True, slots=True)
class Subject:
    """What is being listened to, for the ``started`` event."""

    source: str
    source_rate_hz: int
    bundle: str


def score_stream(
    blocks: Iterable[Block], detector: WindowDetector, hop_samples: int
) -> Iterator[Gap | ScoredWindow]:
    """Scores of all windows in a stream at the detector's rate, and its gaps, in order.

    No window spans a gap. Files and microphones are scored by this and nothing else.
    """
    windower = Windower(detector.window_samples, hop_samples)
    expected = 0
    for block in blocks:
        if block.gap is not None or block.start_frame != expected:
            lost = max(block.start_frame - expected, 0)
            windower.reset(block.start_frame)
            yield Gap(block.start_frame, lost, block.gap or "frames are missing")
        expected = block.end_frame
        for window in windower.push(block.audio):
            yield ScoredWindow(window.start_sample, window.audio, detector.score(window.audio))


class Monitor:
    """Watches one machine.

    Parameters
    ----------
    detector : scores windows
    alarm : decides; its levels appear in the events
    sinks : each gets every event
    hop_samples : from window to window
    subject : what is being listened to
    start : when the first sample was recorded; all times count from here
    stop : set it, from a signal handler or another thread, to end the run
    duration_s : end after so many seconds of audio
    """

    def __init__(
        self,
        detector: WindowDetector,
        alarm: Alarm,
        sinks: Sequence[Sink],
        *,
        hop_samples: int,
        subject: Subject,
        start: datetime,
        stop: threading.Event,
        duration_s: float | None = None,
    ) -> None:
        self._detector = detector
        self._alarm = alarm
        self._sinks = list(sinks)
        self._hop_samples = hop_samples
        self._subject = subject
        self._start = start
        self._stop = stop
        self._rate_hz = detector.sample_rate_hz
        self._last_sample = math.inf if duration_s is None else round(duration_s * self._rate_hz)
        self._reason = "end of the audio"
        self._stop_reason = "interrupted"
        self._position = 0  # samples of the stream so far
        self._windows = self._alarms = self._gaps = self._lost_samples = 0
        self._max_score: float | None = None

    def run(self, blocks: Iterable[Block]) -> StoppedEvent:
        """Listen until the audio ends, the duration is over, or `stop` is set.

        The last event is always ``stopped``, also when something fails.

        Parameters
        ----------
        blocks : at the detector's sample rate
        """
        self._emit(self._started())
        try:
            for step in score_stream(self._accepted(blocks), self._detector, self._hop_samples):
                if isinstance(step, Gap):
                    self._on_gap(step)
                else:
                    self._on_window(step)
        except Exception as error:
            self._reason = f"failed: {error}"
            raise
        finally:
            stopped = self._stopped()
            self._emit(stopped)
        return stopped

    def _accepted(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Blocks until it is time to stop; the last one is cut to the duration."""
        for block in blocks:
            if self._stop.is_set():
                self._reason = self._stop_reason
                return
            if block.end_frame < self._last_sample:
                self._position = block.end_frame
                yield block
                continue
            self._reason = "end of the duration"
            self._position = int(self._last_sample)
            start = min(block.start_frame, self._position)  # it may lie in a gap
            yield Block(start, block.audio[:, : self._position - start], block.gap)
            return
        if self._stop.is_set():  # Ctrl-C ends the other side of a pipe, too
            self._reason = self._stop_reason

    def _on_gap(self, gap: Gap) -> None:
        self._alarm.interrupt()
        self._gaps += 1
        self._lost_samples += gap.lost_samples
        self._emit(
            AudioGapEvent(
                **self._at(gap.at_sample),
                reason=gap.reason,
                lost_s=gap.lost_samples / self._rate_hz if gap.lost_samples else None,
            )
        )

    def _on_window(self, window: ScoredWindow) -> None:
        end_sample = window.start_sample + window.audio.shape[1]
        score = window.result.score
        change = self._alarm.update(end_sample / self._rate_hz, score)
        self._windows += 1
        self._max_score = score if self._max_score is None else max(self._max_score, score)
        near, far = level_dbfs(window.audio).tolist()
        facts: dict[str, Any] = self._at(end_sample) | {
            "window_start_s": window.start_sample / self._rate_hz,
            "score": score,
            "threshold": self._alarm.policy.threshold,
            "clear_threshold": self._alarm.policy.clear_threshold,
            "branches": window.result.branches,
            "level_dbfs": {"near": round(near, 1), "far": round(far, 1)},
        }
        self._emit(ScoreEvent(**facts, alarm=self._alarm.active))
        match change:
            case AlarmRaised():
                self._alarms += 1
                self._emit(AlarmRaisedEvent(**facts, above_since_s=change.since_s))
            case AlarmCleared():
                self._emit(
                    AlarmClearedEvent(
                        **facts, duration_s=change.duration_s, max_score=change.max_score
                    )
                )

    def _at(self, sample: int) -> dict[str, Any]:
        stream_time_s = sample / self._rate_hz
        return {
            "time": self._start + timedelta(seconds=stream_time_s),
            "stream_time_s": stream_time_s,
            "machine": self._detector.machine,
        }

    def _started(self) -> StartedEvent:
        policy = self._alarm.policy
        return StartedEvent(
            **self._at(0),
            source=self._subject.source,
            source_rate_hz=self._subject.source_rate_hz,
            bundle=self._subject.bundle,
            sample_rate_hz=self._rate_hz,
            window_s=self._detector.window_samples / self._rate_hz,
            hop_s=self._hop_samples / self._rate_hz,
            threshold=policy.threshold,
            clear_threshold=policy.clear_threshold,
            min_duration_s=policy.min_duration_s,
            holdoff_s=policy.holdoff_s,
        )

    def _stopped(self) -> StoppedEvent:
        return StoppedEvent(
            **self._at(self._position),
            reason=self._reason,
            seconds=self._position / self._rate_hz,
            windows=self._windows,
            alarms=self._alarms,
            alarm=self._alarm.active,
            max_score=self._max_score,
            gaps=self._gaps,
            dropped_frames=self._lost_samples,
        )

    def _emit(self, event: Event) -> None:
        for sink in tuple(self._sinks):
            try:
                sink.emit(event)
            except BrokenPipeError:
                # Whoever read the events has gone; the other sinks still hear of the end.
                self._sinks.remove(sink)
                self._stop_reason = "the output was closed"
                self._stop.set()
            except SinkError as error:
                _log.warning("%s", error)
