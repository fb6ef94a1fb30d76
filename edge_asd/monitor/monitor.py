"""The one loop: block or gap in, windows, scores, alarm, events out.

Nothing here knows where audio comes from; memory does not grow with the number of windows.
Faults, requests and clips come from elsewhere and meet here, between two blocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from edge_asd import errors
from edge_asd.alarm.reporter import AlarmReporter, WindowFacts
from edge_asd.audio.block import Block, Gap, Source
from edge_asd.audio.level import level_dbfs
from edge_asd.capture.abandonable_call import AbandonableCall
from edge_asd.control.control_socket import Request
from edge_asd.control.requests import Requests, serve
from edge_asd.errors import ControlError
from edge_asd.events.dispatcher import Dispatcher
from edge_asd.events.event import (
    FAILED,
    AudioGapEvent,
    Event,
    NoticeEvent,
    ScoreEvent,
    StartedEvent,
    StoppedEvent,
)
from edge_asd.events.fault_reporter import FaultReporter
from edge_asd.events.latch import FaultLatch
from edge_asd.events.moment import Moment
from edge_asd.events.status import StatusBoard
from edge_asd.monitor.judge import Judge
from edge_asd.monitor.stop import Stop
from edge_asd.monitor.timeline import Timeline
from edge_asd.scoring.stream import ScoredStream, ScoredWindow, SkippedWindow

__all__ = ["Monitor"]

_NUMBERS_AGAIN_S = 60.0  # of windows, after which the fault ``not_a_number`` is over
_MOST_RELOADS = 4  # at once


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
    _judged_hop_s: float = field(init=False)  # that the policy is for
    _not_a_number: FaultLatch = field(init=False)
    # Requests to take over what was learned, whose files are read by a thread of their own.
    _reloads: deque[tuple[Request, AbandonableCall[Judge]]] = field(
        default_factory=deque, init=False
    )

    def __post_init__(self) -> None:
        self._judged_hop_s = self.stream.hop_s
        self._not_a_number = FaultLatch(
            self.faults.report, "not_a_number", clear_s=_NUMBERS_AGAIN_S
        )

    def run(self) -> StoppedEvent:
        """Listen until the audio ends, the duration is over, or `stop` is set.

        The last event is always ``stopped``, also when something fails.
        """
        self._update_status()
        self.dispatcher.emit(self._started())
        reason = self.stop.reason  # of a second Ctrl-C, which ends the loop at once
        try:
            reason = self._listen()
        except KeyboardInterrupt:  # the second Ctrl-C
            raise
        except BaseException as error:
            reason = f"{FAILED}{errors.reason(error)}"
            raise
        finally:
            try:
                self._between_blocks()
            finally:
                stopped = self._stopped(reason)
                self.dispatcher.emit(stopped)
        return stopped

    def _listen(self) -> str:
        """Take all that comes; return why it ended."""
        while (item := self.source.read()) is not None and not self.stop.is_set():
            within, last = self._within_duration(item)
            if isinstance(within, Gap):
                self._on_gap(within)
            else:
                self._on_block(within)
            self._between_blocks()
            if last:
                return "end of the duration"
        # Ctrl-C ends the other side of a pipe, too.
        return self.stop.reason if self.stop.is_set() else "end of the audio"

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
        at = self.timeline.at(gap.end_frame)
        lost_s = gap.lost_frames / self.timeline.sample_rate_hz
        status = self.board.status
        self.board.status = replace(status, gaps=status.gaps + 1, lost_s=status.lost_s + lost_s)
        self._emit(self.dispatcher.ask("on_gap", at, lost_s or None))
        self.dispatcher.emit(AudioGapEvent(**at.facts(), reason=gap.reason, lost_s=lost_s or None))

    def _on_block(self, block: Block) -> None:
        self._advance(block)
        if not block.n_frames:
            return
        at = self.timeline.at(block.end_frame)
        self._emit(self.dispatcher.ask("on_block", at, block.audio))
        over = self.faults.settle(at, block.n_frames / self.timeline.sample_rate_hz)
        self._emit(over, self.faults.unsaved())
        for window in self.stream.push(block):
            if isinstance(window, SkippedWindow):
                self._on_skipped(window)
            else:
                self._on_window(window)

    def _on_skipped(self, window: SkippedWindow) -> None:
        status = self.board.status
        self.board.status = replace(status, skipped_windows=status.skipped_windows + 1)
        self.alarm.alarm.interrupt()
        if window.not_numbers:
            at_s = window.start_sample / self.timeline.sample_rate_hz
            detail = f"{window.not_numbers} of the window at {at_s:.1f} s: no finite numbers"
            self._not_a_number.update(True, f"{detail}; the window was skipped")

    def _advance(self, item: Block | Gap) -> None:
        step_s = self.timeline.advance(item, self.source.backlog_s)
        if step_s is not None:
            self.alarm.clock_was_set()
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
        alarm, score = self.alarm.alarm, window.result.score
        self._emit(self.faults.scored(at), self.faults.unsaved())
        self._not_a_number.update(
            False, "all samples and scores are numbers again", duration_s=self.stream.hop_s
        )
        facts = WindowFacts(
            window_start_s=window.start_sample / self.timeline.sample_rate_hz,
            score=score,
            threshold=alarm.policy.threshold,
            clear_threshold=alarm.policy.clear_threshold,
            branches=window.result.branches,
            level_dbfs=levels_dbfs,
        )
        changes = self.alarm.window(
            at, facts, lambda: self.judge.explain(window.audio, window.result)
        )
        watched = self.dispatcher.ask("on_window", at, window, alarm.state)
        status = self.board.status
        self.board.status = replace(
            status,
            windows=status.windows + 1,
            alarms=status.alarms + sum(event.event == "alarm_raised" for event in changes),
            score=score,
            max_score=score if status.max_score is None else max(score, status.max_score),
            score_at_s=self.timeline.now_s(),
            score_busy_s=status.score_busy_s + window.busy_s,
            levels_dbfs=levels_dbfs,
        )
        self._update_status()
        self.dispatcher.emit(
            ScoreEvent(
                **at.facts(),
                **facts,
                alarm=alarm.active,
                state=self._state,
                faults=self.faults.names,
            )
        )
        self._emit_with_alarm(changes)
        self._emit(watched)

    def _between_blocks(self) -> None:
        now = self.timeline.now()
        self._emit_with_alarm(self.alarm.tick(now))
        self._emit(self.dispatcher.ask("on_tick", now))
        self._emit(self.faults.collect(now), self.faults.unsaved())
        self._keep_promise()
        while self.requests and (request := self.requests.poll()):
            if request.command == "reload" and self.reload and len(self._reloads) < _MOST_RELOADS:
                self._reloads.append((request, AbandonableCall(self.reload)))
            else:
                self._serve(request, now)
        while self._reloads and self._reloads[0][1].has_returned(0.0):
            request, call = self._reloads.popleft()
            self._serve(request, now, call.result)
        self._update_status()

    def _serve(
        self, request: Request, now: Moment, learned: Callable[[], Judge] | None = None
    ) -> None:
        self._update_status()
        take_over = partial(self._take_over, learned)
        serve(request, self.alarm, now, self._known, take_over, self._emit_with_alarm)

    def _emit_with_alarm(self, events: Iterable[Event]) -> None:
        self._emit(events, self.alarm.unsaved())

    def _keep_promise(self) -> None:
        """Confirm by other numbers of windows where they follow each other at another hop."""
        if self.judge.at_hop is None or self.stream.hop_s == self._judged_hop_s:
            return
        policy, promise = self.judge.at_hop(self.stream.hop_s)
        self.judge = replace(self.judge, policy=policy, promise=promise)
        self.alarm.alarm.policy = policy
        self._judged_hop_s = self.stream.hop_s

    def _take_over(self, learned: Callable[[], Judge] | None) -> Event:
        """Judge by what was learned since the start."""
        if learned is None:
            raise ControlError(
                "what was learned is being read, and the disk is slow; try again"
                if self.reload
                else "nothing can be learned while a recording is played"
            )
        self.judge = judge = learned()
        self._judged_hop_s = 0.0
        self.stream.detector = judge.opened.detector
        self.alarm.alarm.policy = judge.policy
        self._emit(self.dispatcher.ask("on_learned", judge.opened))
        return NoticeEvent(
            **self.timeline.now().facts(),
            notice="learned",
            text="it listens without alarms until it is commissioned"
            if judge.opened.commissioning
            else _decides(judge.opened.learned),
            figures={"learned": judge.opened.learned or ""},
        )

    def _started(self) -> StartedEvent:
        policy = self.judge.policy
        rate_hz = self.timeline.sample_rate_hz
        return StartedEvent(
            **self.timeline.at(0).facts(),
            source=self.source.name,
            source_rate_hz=self.source.source_rate_hz,
            bundle=self.judge.opened.bundle_name,
            learned=self.judge.opened.learned,
            sample_rate_hz=rate_hz,
            window_s=self.judge.opened.detector.window_samples / rate_hz,
            hop_s=self.stream.hop_s,
            threshold=policy.threshold,
            clear_threshold=policy.clear_threshold,
            extreme_threshold=policy.extreme_threshold,
            min_duration_s=policy.min_duration_s,
            confirm=[policy.confirm_n, policy.confirm_m],
            holdoff_s=policy.holdoff_s,
            promise=self.judge.promise,
            state=self._state,
        )

    def _stopped(self, reason: str) -> StoppedEvent:
        status = self.board.status
        return StoppedEvent(
            **self.timeline.now().facts(),
            reason=reason,
            seconds=self.timeline.seconds,
            windows=status.windows,
            skipped_windows=status.skipped_windows,
            alarms=status.alarms,
            alarm=self.alarm.alarm.active,
            max_score=status.max_score,
            gaps=status.gaps,
            dropped_frames=round(status.lost_s * self.timeline.sample_rate_hz),
            undelivered=self.dispatcher.undelivered,
        )

    @property
    def _state(self) -> str:
        """What may be said of the machine now."""
        return self.board.status.state(self.timeline.now_s())

    def _known(self) -> dict[str, Any]:
        return self.board.status.to_dict(self.timeline.now_s())

    def _update_status(self) -> None:
        """Note what is so now; what is counted was noted when it happened."""
        source, alarm = self.source, self.alarm.alarm
        self.board.status = replace(
            self.board.status,
            source=source.name,
            updated_s=self.timeline.now_s(),
            audio_at_s=self.timeline.heard_at_s,
            alarm_state=alarm.state,
            alarm_id=alarm.alarm_id,
            shelved_until=self.alarm.shelved_until,
            capture=source.state,
            threshold=alarm.policy.threshold,
            promise=self.judge.promise,
            faults=self.faults.status,
            audio_s=self.timeline.seconds,
            reopened=source.reopened,
            drift_ppm=source.drift_ppm,
            backlog_s=source.backlog_s,
            window_s=self.judge.opened.detector.window_samples / self.timeline.sample_rate_hz,
            hop_s=self.stream.hop_s,
            outputs=self.dispatcher.counters,
        )

    def _emit(self, events: Iterable[Event], memory: Mapping[str, bytes] | None = None) -> None:
        self.dispatcher.emit(*events, memory=memory)


def _decides(version: str | None) -> str:
    learned = f"what was learned here ({version})" if version else "the bundle alone"
    return f"{learned} decides from now on"
