"""The one loop: block or gap in, windows, scores, alarm, events out.

Nothing here knows where audio comes from; memory does not grow with the number of windows.
Faults, requests and clips come from elsewhere and meet here, between two blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from edge_asd.alarm.reporter import AlarmReporter, WindowFacts
from edge_asd.audio.block import Block, Gap, Source
from edge_asd.audio.level import level_dbfs
from edge_asd.control.requests import Requests, serve
from edge_asd.errors import ControlError
from edge_asd.events.dispatcher import Dispatcher
from edge_asd.events.event import (
    AudioGapEvent,
    Event,
    NoticeEvent,
    ScoreEvent,
    StartedEvent,
    StoppedEvent,
)
from edge_asd.events.fault_reporter import FaultReporter
from edge_asd.events.status import Status, StatusBoard
from edge_asd.monitor.counters import Counters
from edge_asd.monitor.judge import Judge
from edge_asd.monitor.stop import Stop
from edge_asd.monitor.timeline import Timeline
from edge_asd.scoring.stream import ScoredStream, ScoredWindow, SkippedWindow

__all__ = ["Monitor"]


@dataclass(slots=True, kw_only=True, eq=False)
class Monitor:
    """Watches one machine; :mod:`edge_asd.monitor.assemble` makes its parts."""

    source: Source  # at the detector's sample rate
    judge: Judge
    stream: ScoredStream
    alarm: AlarmReporter
    faults: FaultReporter
    dispatcher: Dispatcher
    timeline: Timeline
    board: StatusBoard
    stop: Stop
    duration_s: float | None = None  # of audio, after which the run ends
    requests: Requests | None = None  # from other commands; answered between two blocks
    reload: Callable[[], Judge] | None = None  # after something was learned; as long windows
    _counters: Counters = field(default_factory=Counters, init=False)
    _reason: str = field(default="end of the audio", init=False)

    def run(self) -> StoppedEvent:
        """Listen until the audio ends, the duration is over, or `stop` is set.

        The last event is always ``stopped``, also when something fails.
        """
        self._update_status()
        self.dispatcher.emit(self._started())
        try:
            self._listen()
        except Exception as error:
            self._reason = f"failed: {error}"
            raise
        finally:
            try:
                self._between_blocks()
            finally:
                stopped = self._stopped()
                self.dispatcher.emit(stopped)
        return stopped

    def _listen(self) -> None:
        while (item := self.source.read()) is not None:
            if self.stop.is_set():
                break
            within, last = self._within_duration(item)
            if isinstance(within, Gap):
                self._on_gap(within)
            else:
                self._on_block(within)
            self._between_blocks()
            if last:
                self._reason = "end of the duration"
                return
        if self.stop.is_set():  # Ctrl-C ends the other side of a pipe, too
            self._reason = self.stop.reason

    def _within_duration(self, item: Block | Gap) -> tuple[Block | Gap, bool]:
        """Cut an item to the duration; say whether it is the last."""
        if self.duration_s is None:
            return item, False
        end = round(self.duration_s * self.timeline.sample_rate_hz)
        if item.end_frame < end:
            return item, False
        beyond = item.end_frame - end
        if isinstance(item, Gap):
            return Gap(end, max(item.lost_frames - beyond, 0), item.reason), True
        return Block(item.start_frame, item.audio[:, : item.n_frames - beyond]), True

    def _on_gap(self, gap: Gap) -> None:
        self._advance(gap)
        self.stream.push(gap)
        self.alarm.alarm.interrupt()
        self._counters.gaps += 1
        self._counters.lost_samples += gap.lost_frames
        at = self.timeline.at(gap.end_frame)
        lost_s = gap.lost_frames / self.timeline.sample_rate_hz if gap.lost_frames else None
        self._emit(self.dispatcher.ask("on_gap", at, lost_s))
        self.dispatcher.emit(AudioGapEvent(**at.facts(), reason=gap.reason, lost_s=lost_s))

    def _on_block(self, block: Block) -> None:
        self._advance(block)
        if not block.n_frames:
            return
        at = self.timeline.at(block.end_frame)
        self._emit(self.dispatcher.ask("on_block", at, block.audio))
        self._emit(self.faults.settle(at, block.n_frames / self.timeline.sample_rate_hz))
        for window in self.stream.push(block):
            if isinstance(window, SkippedWindow):
                self._counters.skipped_windows += 1
                self.alarm.alarm.interrupt()
            else:
                self._on_window(window)

    def _advance(self, item: Block | Gap) -> None:
        step_s = self.timeline.advance(item, self.source.backlog_s)
        if step_s is not None:
            self.dispatcher.emit(
                NoticeEvent(
                    **self.timeline.now().facts(),
                    notice="clock_step",
                    text=f"the clock of the system was set by {step_s:+.1f} s; "
                    "times before differ by that",
                    figures={"step_s": step_s},
                )
            )

    def _on_window(self, window: ScoredWindow) -> None:
        at = self.timeline.at(window.end_sample)
        near, far = level_dbfs(window.audio).tolist()
        levels_dbfs = {"near": round(near, 1), "far": round(far, 1)}
        self._counters.scored(
            window.result.score, window.busy_s, levels_dbfs, at_s=self.timeline.now_s()
        )
        alarm = self.alarm.alarm
        facts = WindowFacts(
            window_start_s=window.start_sample / self.timeline.sample_rate_hz,
            score=window.result.score,
            threshold=alarm.policy.threshold,
            clear_threshold=alarm.policy.clear_threshold,
            branches=window.result.branches,
            level_dbfs=levels_dbfs,
        )
        changes = self.alarm.window(
            at, facts, lambda: self.judge.explain(window.audio, window.result)
        )
        watched = self.dispatcher.ask("on_window", at, window, alarm.state)
        self.dispatcher.emit(
            ScoreEvent(
                **at.facts(),
                **facts,
                alarm=alarm.active,
                state=alarm.state,
                faults=self.faults.names,
            )
        )
        self._counters.alarms += sum(event.event == "alarm_raised" for event in changes)
        self._emit(changes)
        self._emit(watched)

    def _between_blocks(self) -> None:
        now = self.timeline.now()
        self._emit(self.alarm.tick(now))
        self._emit(self.faults.collect(now))
        while self.requests and (request := self.requests.poll()):
            self._update_status()
            self._emit(serve(request, self.alarm, now, lambda: self.board.status, self._take_over))
        self._update_status()

    def _take_over(self) -> Event:
        """Judge by what was learned since the start."""
        if self.reload is None:
            raise ControlError("nothing can be learned while a recording is played")
        self.judge = judge = self.reload()
        self.stream.detector = judge.detector
        self.alarm.alarm.policy = judge.policy
        self._emit(self.dispatcher.ask("on_learned", judge.opened))
        return NoticeEvent(
            **self.timeline.now().facts(),
            notice="learned",
            text=f"{judge.learned or 'the bundle alone'} decides from now on",
            figures={"learned": judge.learned or ""},
        )

    def _started(self) -> StartedEvent:
        policy = self.judge.policy
        rate_hz = self.timeline.sample_rate_hz
        return StartedEvent(
            **self.timeline.at(0).facts(),
            source=self.source.name,
            source_rate_hz=self.source.source_rate_hz,
            bundle=self.judge.opened.bundle_name,
            learned=self.judge.learned,
            sample_rate_hz=rate_hz,
            window_s=self.judge.detector.window_samples / rate_hz,
            hop_s=self.stream.hop_s,
            threshold=policy.threshold,
            clear_threshold=policy.clear_threshold,
            extreme_threshold=policy.extreme_threshold,
            min_duration_s=policy.min_duration_s,
            confirm=[policy.confirm_n, policy.confirm_m],
            holdoff_s=policy.holdoff_s,
            state=self.alarm.alarm.state,
        )

    def _stopped(self) -> StoppedEvent:
        counters = self._counters
        return StoppedEvent(
            **self.timeline.at(self.timeline.position).facts(),
            reason=self._reason,
            seconds=self.timeline.seconds,
            windows=counters.windows,
            skipped_windows=counters.skipped_windows,
            alarms=counters.alarms,
            alarm=self.alarm.alarm.active,
            max_score=counters.max_score,
            gaps=counters.gaps,
            dropped_frames=counters.lost_samples,
            undelivered=self.dispatcher.undelivered,
        )

    def _update_status(self) -> None:
        source, alarm, counters = self.source, self.alarm.alarm, self._counters
        self.board.status = Status(
            machine=self.judge.detector.machine,
            bundle=self.judge.opened.bundle_name,
            source=source.name,
            started=self.board.status.started,
            updated_s=self.timeline.now_s(),
            audio_at_s=self.timeline.heard_at_s,
            score_at_s=counters.score_at_s,
            state=alarm.state,
            alarm_id=alarm.alarm_id,
            shelved_until=self.alarm.shelved_until,
            capture=source.state,
            score=counters.score,
            threshold=alarm.policy.threshold,
            levels_dbfs=counters.levels_dbfs,
            faults=self.faults.status,
            audio_s=self.timeline.seconds,
            windows=counters.windows,
            skipped_windows=counters.skipped_windows,
            alarms=counters.alarms,
            gaps=counters.gaps,
            lost_s=counters.lost_samples / self.timeline.sample_rate_hz,
            reopened=source.reopened,
            drift_ppm=source.drift_ppm,
            backlog_s=source.backlog_s,
            hop_s=self.stream.hop_s,
            score_busy_s=counters.busy_s,
            outputs=self.dispatcher.counters,
        )

    def _emit(self, events: Iterable[Event]) -> None:
        for event in events:
            self.dispatcher.emit(event)
