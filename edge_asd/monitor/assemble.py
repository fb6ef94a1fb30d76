"""Joins profile, bundle, source and state folder into a monitor that runs.

The command line and the endurance test build their monitors here and nowhere else; they
differ in the source and in the clocks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import numpy.fft  # noqa: F401  # else numpy reads its files when it is first used, while listening

from edge_asd.alarm.life_cycle import Alarm
from edge_asd.alarm.promise import kept_on_device
from edge_asd.alarm.reporter import AlarmReporter
from edge_asd.alarm.store import AlarmStore
from edge_asd.audio.block import Source
from edge_asd.bundle.bundle import Bundle
from edge_asd.clips.recorder import ClipRecorder
from edge_asd.control.control_socket import ControlServer
from edge_asd.drift.bookkeeper import Bookkeeper, Enrolment
from edge_asd.drift.drift import Drift
from edge_asd.errors import ControlError
from edge_asd.events.disk_watcher import DiskWatcher
from edge_asd.events.dispatcher import Dispatcher
from edge_asd.events.event import compact_utc
from edge_asd.events.fault import Report, noticed
from edge_asd.events.fault_reporter import FaultReporter
from edge_asd.events.status import StatusBoard
from edge_asd.events.watcher import Watcher
from edge_asd.history.database import HistoryDatabase
from edge_asd.history.recorder import HistoryRecorder
from edge_asd.history.writer import HistoryWriter
from edge_asd.learn.commissioner import Commissioner
from edge_asd.learn.opened_machine import OpenedMachine
from edge_asd.monitor.adaptive_hop import AdaptiveHop, HopWatcher
from edge_asd.monitor.clock_watcher import ClockWatcher
from edge_asd.monitor.ending import RunEnd
from edge_asd.monitor.judge import Judge, judge_of, wanted_hop_s
from edge_asd.monitor.monitor import Monitor
from edge_asd.monitor.rate_watcher import RateWatcher
from edge_asd.monitor.stop import Stop
from edge_asd.monitor.stream_clock import FixedClock, LiveClock
from edge_asd.monitor.timeline import Timeline
from edge_asd.outputs import Output
from edge_asd.outputs.outbox import Outbox
from edge_asd.outputs.output_section import OutputContext
from edge_asd.outputs.patient_write import until
from edge_asd.outputs.registry import open_outputs
from edge_asd.profile import DetectorSettings, Profile
from edge_asd.scoring.detector import Detector
from edge_asd.scoring.stream import WIDEST_HOP_WINDOWS, ScoredStream
from edge_asd.service.heat import HeatWatcher
from edge_asd.service.notify import ServiceNotifier
from edge_asd.signal.quality import SignalQuality
from edge_asd.state.folder import StateFolder, folder_name
from edge_asd.state.writer import StateWriter

__all__ = ["Parts", "assemble"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a monitor is made of, besides what the profile says."""

    profile: Profile
    bundle: Bundle
    opened: OpenedMachine
    open_again: Callable[[], OpenedMachine]  # after something was learned
    source: Source
    recorded: datetime | None  # when a recording began; None: sound that happens now
    state: StateFolder | None  # None: nothing survives the process
    writer: StateWriter | None  # of the files in `state`
    outbox: Outbox  # of the events, and of what must survive with them
    faults: FaultReporter
    board: StatusBoard
    stop: Stop
    duration_s: float | None = None
    until_armed: bool = False  # end when a commissioning is over
    outputs: Sequence[Output] = ()  # besides those of the profile
    watchers: Sequence[Watcher] = ()  # besides those that every monitor has
    environment: Mapping[str, str] = field(default_factory=dict)
    starts_in_vain: int = 0  # in a row, right before this one
    now_s: Callable[[], float] = time.monotonic  # never runs backwards
    utc: Callable[[], datetime] = lambda: datetime.now(UTC)


def assemble(parts: Parts, ending: RunEnd) -> Monitor:
    """Make the monitor; `ending` closes what is opened for it.

    Raises
    ------
    BundleError, StateError, ProfileError, OutputError
        When a part cannot be opened.
    """
    profile, state, writer = parts.profile, parts.state, parts.writer
    write = writer.put if writer else None
    detector, report = parts.opened.detector, parts.faults.report
    machine, rate_hz = detector.machine, detector.sample_rate_hz
    live = parts.recorded is None
    clock = (
        LiveClock(parts.utc, parts.now_s) if parts.recorded is None else FixedClock(parts.recorded)
    )
    hop = _hop(profile.detector, detector)
    hop_s = hop.hop_s  # a wider one, later, changes nothing about the alarm
    judge = judge_of(parts.opened, profile.alarm, hop_s)
    store = AlarmStore(parts.outbox, clock.utc, state.alarm_file) if state else None
    alarm = Alarm(
        judge.policy,
        lambda time_s: f"{folder_name(machine)}-{compact_utc(clock.utc(time_s))}",
        store.load() if store else None,
    )
    watchers = list(parts.watchers)
    if writer:
        watchers.append(DiskWatcher(report, "state", lambda: writer.problem))
        watchers.append(DiskWatcher(report, "journal", lambda: parts.outbox.problem))
    usable = None
    if profile.signal.checks:
        quality = SignalQuality(
            report,
            profile.signal,
            sample_rate_hz=rate_hz,
            reference=parts.opened.reference,
        )
        usable = partial(_usable, quality, report)
        watchers.append(quality)
    stream = ScoredStream(detector, hop_s, usable=usable, clock=parts.now_s)
    if state:
        watchers.append(
            Drift(
                profile.drift,
                normal=parts.opened.normal,
                file=state.daily_file,
                write=write,
                sample_rate_hz=rate_hz,
                scored_by=parts.opened.scored_by,
                tail=parts.opened.normal_tail,
            )
        )
        kept = partial(
            kept_on_device,
            settings=profile.alarm,
            window_s=detector.window_samples / rate_hz,
            hop_s=hop_s,
        )
        watchers.append(
            Bookkeeper(
                Enrolment.of(parts.opened, kept),
                parts.board,
                file=state.condition_file,
                write=write,
                sample_rate_hz=rate_hz,
                kept=kept,
            )
        )
    if live and state:
        watchers.append(
            HistoryRecorder(
                parts.board,
                HistoryWriter(HistoryDatabase(state.history_file, rate_hz)),
                report,
                sample_rate_hz=rate_hz,
                now_s=parts.now_s,
            )
        )
    if state and profile.clips.enabled:
        watchers.append(
            ClipRecorder(state.events, profile.clips, sample_rate_hz=rate_hz, report=report)
        )
    if live and state and writer:
        watchers.append(
            Commissioner(
                parts.bundle,
                state,
                parts.opened,
                parts.board,
                writer=writer,
                report=report,
                hop_s=hop_s,
                utc=parts.utc,
                on_armed=partial(parts.stop.end, "commissioned") if parts.until_armed else _go_on,
            )
        )
    watchers.append(RateWatcher(parts.source, report))
    if live:
        watchers += [
            HopWatcher(hop, stream, parts.source, report),
            ClockWatcher(report),
            HeatWatcher(),
            ServiceNotifier(
                parts.environment,
                parts.board,
                starts_in_vain=parts.starts_in_vain,
                clock=parts.now_s,
            ),
        ]
    for watcher in watchers:
        ending.add(watcher)
    outputs = open_outputs(
        profile.sinks,
        OutputContext(
            machine=machine,
            status=lambda: parts.board.status,
            report=report,
            environment=parts.environment,
            outbox=parts.outbox,
            waits=None if live else until(parts.stop.is_set),
        ),
    )
    for output in outputs:
        ending.add(output)
    requests = None
    if live and state:
        requests = ending.add(ControlServer(state.control_socket, settled=parts.outbox.settled))
    return Monitor(
        source=parts.source,
        judge=judge,
        stream=stream,
        alarm=AlarmReporter(alarm, store, utc=clock.utc),
        faults=parts.faults,
        dispatcher=Dispatcher(
            watchers,
            [*parts.outputs, *outputs],
            report=report,
            on_closed=partial(parts.stop.end, "the output was closed"),
            outbox=parts.outbox,
        ),
        timeline=Timeline(clock, machine, rate_hz, live=live, now_s=parts.now_s),
        board=parts.board,
        stop=parts.stop,
        duration_s=parts.duration_s,
        requests=requests,
        reload=partial(_judge_again, parts, hop_s) if live else None,
    )


def _usable(quality: SignalQuality, report: Report, start_s: float, end_s: float) -> bool:
    """Whether sound can be scored; all of it where the checks themselves fail."""
    try:
        return quality.usable(start_s, end_s)
    except Exception as error:
        detail = f"usable failed: {type(error).__name__}: {error}"
        report(noticed("part", detail, subject=type(quality).__name__))
        return True


def _hop(settings: DetectorSettings, detector: Detector) -> AdaptiveHop:
    hop_s = wanted_hop_s(settings, detector)
    widest_s = settings.max_hop_s
    if widest_s == "auto":
        widest_s = WIDEST_HOP_WINDOWS * detector.window_samples / detector.sample_rate_hz
    return AdaptiveHop(hop_s, max(widest_s, hop_s))


def _go_on() -> None:
    """What a monitor does once a machine is commissioned."""


def _judge_again(parts: Parts, hop_s: float) -> Judge:
    """Open the machine again after something was learned."""
    opened = parts.open_again()
    if opened.detector.window_samples != parts.opened.detector.window_samples:
        raise ControlError("its windows have another length; start the monitor again")
    return judge_of(opened, parts.profile.alarm, hop_s)
