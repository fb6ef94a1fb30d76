"""The one loop: blocks -> windows -> scores -> alarm -> events -> sinks.

Nothing here knows where audio comes from; memory does not grow with the number of
windows. Faults, requests and clips come from elsewhere and meet here, between two blocks.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from edge_asd.alarm.reporter import AlarmReporter, WindowFacts
from edge_asd.audio.decode import level_dbfs
from edge_asd.audio.source import Block
from edge_asd.control.requests import Requests, serve
from edge_asd.errors import ControlError
from edge_asd.events.dispatcher import Dispatcher
from edge_asd.events.event import (
    AudioGapEvent,
    Event,
    HopChangedEvent,
    NoticeEvent,
    ScoreEvent,
    StartedEvent,
    StoppedEvent,
)
from edge_asd.events.fault import FaultChange, ended, noticed
from edge_asd.events.fault_reporter import FaultReporter
from edge_asd.monitor.adaptive_hop import AdaptiveHop
from edge_asd.monitor.counters import Counters
from edge_asd.monitor.status import Status
from edge_asd.monitor.stream_clock import StreamClock
from edge_asd.monitor.subject import Judge, Subject
from edge_asd.monitor.watcher import Moment, Watcher
from edge_asd.outputs import Output
from edge_asd.scoring.stream import Gap, ScoredStream, ScoredWindow, SkippedWindow, gap_before

__all__ = ["Monitor"]


class Monitor:
    """Watches one machine.

    Parameters
    ----------
    judge : scores windows and explains alarms
    reporter : the alarm
    pace : from window to window; widens when scoring is too slow for live sound
    subject : what is being listened to
    clock : time of day of a position in the stream
    stop : set it, from a signal handler or another thread, to end the run
    duration_s : end after so many seconds of audio
    faults : of the monitor itself
    watchers : look at everything that passes
    usable : whether a stretch of the stream, in seconds, can be scored
    requests : from other commands; answered between two blocks
    reload : opens the judge again after something was learned; its windows are as long
    reports : fault changes, from any thread
    now_s : seconds that never run backwards
    """

    def __init__(
        self,
        judge: Judge,
        reporter: AlarmReporter,
        *,
        pace: AdaptiveHop,
        subject: Subject,
        clock: StreamClock,
        stop: threading.Event,
        duration_s: float | None = None,
        faults: FaultReporter | None = None,
        watchers: Sequence[Watcher] = (),
        usable: Callable[[float, float], bool] | None = None,
        requests: Requests | None = None,
        reload: Callable[[], Judge] | None = None,
        reports: queue.SimpleQueue[FaultChange] | None = None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reporter = reporter
        self._judge = judge
        self._pace = pace
        self._subject = subject
        self._clock = clock
        self._stop = stop
        self._requests = requests
        self._reload = reload
        self._reports = reports or queue.SimpleQueue()
        self._now_s = now_s
        self._rate_hz = judge.detector.sample_rate_hz
        self._stream = ScoredStream(
            judge.detector, round(pace.hop_s * self._rate_hz), usable=usable, clock=now_s
        )
        self._last_sample = math.inf if duration_s is None else round(duration_s * self._rate_hz)
        self._reason = "end of the audio"
        self._stop_reason = "interrupted"
        self._heard_at_s = now_s()
        self._faults = faults or FaultReporter()
        self._outputs: list[Output] = []
        self._dispatcher = Dispatcher(
            watchers,
            self._outputs,
            report=self._reports.put,
            on_closed=lambda: self.end("the output was closed"),
        )
        self._counters = Counters(clock.utc(0.0), self._rate_hz)
        self.status = self._make_status()

    def speak_to(self, sinks: Sequence[Output]) -> None:
        """Give every event to these, too; before the run."""
        self._outputs += sinks

    def run(self, blocks: Iterable[Block]) -> StoppedEvent:
        """Listen until the audio ends, the duration is over, or `stop` is set.

        The last event is always ``stopped``, also when something fails.

        Parameters
        ----------
        blocks : at the detector's sample rate
        """
        self._dispatcher.emit(self._started())
        try:
            for step in self._stream.steps(self._accepted(blocks)):
                match step:
                    case Gap():
                        self.reporter.alarm.interrupt()
                    case SkippedWindow():
                        self._counters.skipped_windows += 1
                        self.reporter.alarm.interrupt()
                    case ScoredWindow():
                        self._on_window(step)
        except Exception as error:
            self._reason = f"failed: {error}"
            raise
        finally:
            self._between_blocks()
            stopped = self._stopped()
            self._dispatcher.emit(stopped)
        return stopped

    def end(self, reason: str) -> None:
        """End the run and say why. Thread: any."""
        self._stop_reason = reason
        self._stop.set()

    def _accepted(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Blocks until it is time to stop; the last one is cut to the duration."""
        for block in blocks:
            if self._stop.is_set():
                self._reason = self._stop_reason
                return
            last = block.end_frame >= self._last_sample
            if last:
                end = int(self._last_sample)
                start = min(block.start_frame, end)  # it may lie in a gap
                block = Block(start, block.audio[:, : end - start], block.gap)
            self._hear(block)
            yield block
            if last:
                self._reason = "end of the duration"
                return
        if self._stop.is_set():  # Ctrl-C ends the other side of a pipe, too
            self._reason = self._stop_reason

    def _hear(self, block: Block) -> None:
        if gap := gap_before(block, self._counters.position):
            self._on_gap(gap)
        self._counters.position = block.end_frame
        if block.n_frames:
            self._heard_at_s = self._counters.audio_at_s = self._now_s()
        if self._counters.audio_at_s is not None:  # also in an outage the clock may be set
            step_s = self._clock.observe(self._counters.seconds + self._subject.source.backlog_s)
            if step_s is not None:
                self._dispatcher.emit(_clock_step(self._now(), step_s))
        if block.n_frames:
            at = self._at(block.end_frame)
            self._emit_all(self._dispatcher.ask("on_block", at, block.audio))
            self._emit_all(self._faults.settle(at, block.n_frames / self._rate_hz))
        self._between_blocks()

    def _between_blocks(self) -> None:
        now = self._now()
        self._emit_all(self.reporter.tick(now))
        for _ in range(self._reports.qsize()):  # what an output does wrong now is told next time
            self._emit_all(self._faults.take(self._reports.get(), now))
        while self._requests and (request := self._requests.poll()):
            self._emit_all(serve(request, self.reporter, now, lambda: self.status, self._take_over))
        self.status = self._make_status()

    def _take_over(self) -> Event:
        """Judge by what was learned since the start."""
        if self._reload is None:
            raise ControlError("nothing can be learned while a recording is played")
        judge = self._reload()
        self._judge = judge
        self._stream.detector = judge.detector
        self.reporter.alarm.policy = judge.policy
        return NoticeEvent(
            **self._now().facts(),
            notice="learned",
            text=f"{judge.learned or 'the bundle alone'} decides from now on",
            figures={"learned": judge.learned or ""},
        )

    def _on_gap(self, gap: Gap) -> None:
        self._counters.gaps += 1
        self._counters.lost_samples += gap.lost_samples
        at = self._at(gap.at_sample)
        lost_s = gap.lost_samples / self._rate_hz if gap.lost_samples else None
        self._emit_all(self._dispatcher.ask("on_gap", at, lost_s))
        self._dispatcher.emit(AudioGapEvent(**at.facts(), reason=gap.reason, lost_s=lost_s))

    def _on_window(self, window: ScoredWindow) -> None:
        at = self._at(window.end_sample)
        near, far = level_dbfs(window.audio).tolist()
        levels_dbfs = {"near": round(near, 1), "far": round(far, 1)}
        self._counters.scored(window.result.score, window.busy_s, levels_dbfs)
        self._counters.score_at_s = self._now_s()
        alarm = self.reporter.alarm
        facts = WindowFacts(
            window_start_s=window.start_sample / self._rate_hz,
            score=window.result.score,
            threshold=alarm.policy.threshold,
            clear_threshold=alarm.policy.clear_threshold,
            branches=window.result.branches,
            level_dbfs=levels_dbfs,
        )
        events = self.reporter.window(
            at, facts, lambda: self._judge.explain(window.audio, window.result)
        )
        self._emit_all(self._dispatcher.ask("on_window", at, window, alarm.state))
        self._dispatcher.emit(
            ScoreEvent(
                **at.facts(),
                **facts,
                alarm=alarm.active,
                state=alarm.state,
                faults=self._faults.names,
            )
        )
        self._counters.alarms += sum(event.event == "alarm_raised" for event in events)
        self._emit_all(events)
        self._keep_pace(at, window.busy_s)

    def _keep_pace(self, at: Moment, busy_s: float) -> None:
        if not self._subject.live:
            return
        backlog_s = self._subject.source.backlog_s
        reason = self._pace.update(busy_s, backlog_s)
        if reason is None:
            return
        hop_s = self._pace.hop_s
        self._stream.hop_samples = max(1, round(hop_s * self._rate_hz))
        self._dispatcher.emit(HopChangedEvent(**at.facts(), hop_s=hop_s, reason=reason))
        if self._pace.widened:
            self._reports.put(noticed("overload", reason, hop_s=hop_s, backlog_s=backlog_s))
        else:
            self._reports.put(ended("overload", reason, hop_s=hop_s))

    def _at(self, sample: int) -> Moment:
        stream_time_s = sample / self._rate_hz
        return Moment(self._clock.utc(stream_time_s), stream_time_s, self._judge.detector.machine)

    def _now(self) -> Moment:
        """Where the stream is now: time goes on while a sound card is silent."""
        stream_time_s = self._counters.seconds
        if self._subject.live:
            stream_time_s += max(self._now_s() - self._heard_at_s, 0.0)
        return Moment(self._clock.utc(stream_time_s), stream_time_s, self._judge.detector.machine)

    def _started(self) -> StartedEvent:
        policy = self.reporter.alarm.policy
        return StartedEvent(
            **self._at(0).facts(),
            source=self._subject.source.name,
            source_rate_hz=self._subject.source.source_rate_hz,
            bundle=self._subject.bundle,
            learned=self._judge.learned,
            sample_rate_hz=self._rate_hz,
            window_s=self._judge.detector.window_samples / self._rate_hz,
            hop_s=self._pace.hop_s,
            threshold=policy.threshold,
            clear_threshold=policy.clear_threshold,
            extreme_threshold=policy.extreme_threshold,
            min_duration_s=policy.min_duration_s,
            confirm=[policy.confirm_n, policy.confirm_m],
            holdoff_s=policy.holdoff_s,
            state=self.reporter.alarm.state,
        )

    def _stopped(self) -> StoppedEvent:
        tally = self._counters
        return StoppedEvent(
            **self._at(tally.position).facts(),
            reason=self._reason,
            seconds=tally.seconds,
            windows=tally.windows,
            skipped_windows=tally.skipped_windows,
            alarms=tally.alarms,
            alarm=self.reporter.alarm.active,
            max_score=tally.max_score,
            gaps=tally.gaps,
            dropped_frames=tally.lost_samples,
            undelivered=self._dispatcher.undelivered,
        )

    def _make_status(self) -> Status:
        source, alarm, tally = self._subject.source, self.reporter.alarm, self._counters
        return Status(
            machine=self._judge.detector.machine,
            bundle=self._subject.bundle,
            source=source.name,
            started=tally.began,
            updated_s=self._now_s(),
            audio_at_s=tally.audio_at_s,
            score_at_s=tally.score_at_s,
            state=alarm.state,
            alarm_id=alarm.alarm_id,
            shelved_until=self.reporter.shelved_until,
            capture=source.state,
            score=tally.score,
            threshold=alarm.policy.threshold,
            levels_dbfs=tally.levels_dbfs,
            faults=self._faults.status,
            audio_s=tally.seconds,
            windows=tally.windows,
            skipped_windows=tally.skipped_windows,
            alarms=tally.alarms,
            gaps=tally.gaps,
            lost_s=tally.lost_s,
            reopened=source.reopened,
            drift_ppm=source.drift_ppm,
            backlog_s=source.backlog_s,
            hop_s=self._pace.hop_s,
            score_busy_s=tally.busy_s,
            outputs=self._dispatcher.counters,
        )

    def _emit_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self._dispatcher.emit(event)


def _clock_step(at: Moment, step_s: float) -> NoticeEvent:
    return NoticeEvent(
        **at.facts(),
        notice="clock_step",
        text=f"the clock of the system was set by {step_s:+.1f} s; times before differ by that",
        figures={"step_s": step_s},
    )
