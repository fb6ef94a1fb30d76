"""Joins profile, bundle, source and state folder into a monitor that runs.

The command line and the endurance test build their monitors here and nowhere else; they
differ in the source and in the clocks.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from edge_asd.alarm.life_cycle import Alarm, AlarmPolicy, policy_for
from edge_asd.alarm.reporter import AlarmReporter
from edge_asd.alarm.store import AlarmStore
from edge_asd.clips.recorder import ClipRecorder
from edge_asd.control.control_socket import ControlServer
from edge_asd.drift.drift import Drift
from edge_asd.errors import ControlError
from edge_asd.events.event import compact_utc
from edge_asd.events.fault import FaultChange
from edge_asd.events.fault_reporter import FaultReporter
from edge_asd.explain.explainer import Explainer
from edge_asd.learn.opened_machine import OpenedMachine
from edge_asd.monitor.adaptive_hop import AdaptiveHop
from edge_asd.monitor.clock_watcher import ClockWatcher
from edge_asd.monitor.monitor import Monitor
from edge_asd.monitor.stream_clock import FixedClock, LiveClock, clock_synchronised
from edge_asd.monitor.subject import Judge, Listening, Subject
from edge_asd.monitor.watcher import Watcher
from edge_asd.outputs import Output
from edge_asd.outputs.registry import open_outputs
from edge_asd.profile import AlarmSettings, Profile
from edge_asd.service.heat import HeatWatcher
from edge_asd.service.notify import ServiceNotifier
from edge_asd.signal.quality import SignalQuality
from edge_asd.state.folder import StateFolder, folder_name

__all__ = ["Clocks", "Setup", "monitor_of"]

_WIDEST_HOP_WINDOWS = 4  # the hop that "auto" may widen to; a fault of a minute is still heard


@dataclass(frozen=True, slots=True)
class Clocks:
    """Where time comes from."""

    now_s: Callable[[], float] = time.monotonic  # never runs backwards
    utc: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Everything that one monitor is made of."""

    profile: Profile
    bundle_name: str
    opened: OpenedMachine
    open_again: Callable[[], OpenedMachine]  # after something was learned
    source: Listening
    live: bool
    state: StateFolder | None  # None: nothing survives the process
    stop: threading.Event
    reports: queue.SimpleQueue[FaultChange]
    start: datetime  # of a recording
    hop_s: float | None = None  # None: the profile's, or the bundle's
    duration_s: float | None = None
    sinks: Sequence[Output] = ()  # besides those of the profile
    watchers: Sequence[Watcher] = ()  # besides those of the profile
    environment: Mapping[str, str] = field(default_factory=dict)
    clocks: Clocks = Clocks()


def monitor_of(setup: Setup, stack: ExitStack) -> Monitor:
    """Make the monitor; `stack` closes what it opens.

    Raises
    ------
    BundleError, StateError, ProfileError, OutputError
        When a part cannot be opened.
    """
    profile, state = setup.profile, setup.state
    opened = setup.opened
    detector = opened.detector
    rate_hz, report = detector.sample_rate_hz, setup.reports.put
    pace = _pace(setup, opened)
    hop_s = pace.hop_s  # as wanted: a wider one, later, changes nothing about the alarm
    clock = (
        LiveClock(setup.clocks.utc, setup.clocks.now_s) if setup.live else FixedClock(setup.start)
    )

    def policy(of: OpenedMachine) -> AlarmPolicy:
        return _policy(profile.alarm, of, hop_s)

    explainer = Explainer(opened.detector, opened.spectra)
    store = AlarmStore(state.alarm_file, clock.utc) if state else None
    alarm = Alarm(
        policy(opened),
        lambda time_s: f"{folder_name(detector.machine)}-{compact_utc(clock.utc(time_s))}",
        store.load() if store else None,
    )
    quality = None
    watchers: list[Watcher] = list(setup.watchers)
    if profile.signal.checks:
        quality = SignalQuality(
            report, profile.signal, sample_rate_hz=rate_hz, reference=opened.reference
        )
        watchers.append(quality)
    drift = None
    if state:
        drift = Drift(
            profile.drift,
            normal=opened.normal,
            file=state.daily_file,
            report=report,
            sample_rate_hz=rate_hz,
            scored_by=_scored_by(setup, opened),
        )
        watchers.append(drift)
    if state and profile.clips.enabled:
        watchers.append(
            ClipRecorder(
                state.events,
                profile.clips,
                sample_rate_hz=rate_hz,
                report=report,
            )
        )
    if setup.live:
        watchers.append(ClockWatcher(report, clock_synchronised))
        watchers += [HeatWatcher(), ServiceNotifier(setup.environment)]
    for watcher in watchers:
        stack.callback(watcher.close)

    def take_over() -> Judge:
        again = setup.open_again()
        judge = Judge(again.detector, policy(again), explainer.explain, again.learned)
        if again.detector.window_samples != detector.window_samples:
            raise ControlError("its windows have another length; start the monitor again")
        explainer.use(again.detector, again.spectra)
        if quality:
            quality.compare_with(again.reference)
        if drift:
            drift.compare_with(again.normal, scored_by=_scored_by(setup, again))
        return judge

    monitor = Monitor(
        Judge(detector, alarm.policy, explainer.explain, opened.learned),
        AlarmReporter(alarm, store, utc=clock.utc, report=report),
        pace=pace,
        subject=Subject(setup.source, setup.bundle_name, setup.live),
        clock=clock,
        stop=setup.stop,
        duration_s=setup.duration_s,
        faults=FaultReporter(state.fault_file if state else None),
        watchers=watchers,
        usable=quality.usable if quality else None,
        requests=_requests(setup, stack),
        reload=take_over if setup.live else None,
        reports=setup.reports,
        now_s=setup.clocks.now_s,
    )
    outputs = open_outputs(
        profile.sinks,
        machine=detector.machine,
        state=state,
        status=lambda: monitor.status,
        report=report,
        environment=setup.environment,
    )
    for output in outputs:
        stack.enter_context(closing(output))
    monitor.speak_to([*setup.sinks, *outputs])
    return monitor


def _scored_by(setup: Setup, opened: OpenedMachine) -> str:
    """What gave the scores: those of another bundle or version are not comparable."""
    return f"{setup.bundle_name} {opened.learned or ''}".rstrip()


def _pace(setup: Setup, opened: OpenedMachine) -> AdaptiveHop:
    settings, detector = setup.profile.detector, opened.detector
    hop_s = setup.hop_s or (
        detector.hop_s if isinstance(settings.hop_s, str) else float(settings.hop_s)
    )
    hop_s = max(1, round(hop_s * detector.sample_rate_hz)) / detector.sample_rate_hz
    window_s = detector.window_samples / detector.sample_rate_hz
    widest_s = (
        _WIDEST_HOP_WINDOWS * window_s
        if isinstance(settings.max_hop_s, str)
        else settings.max_hop_s
    )
    return AdaptiveHop(hop_s, max(widest_s, hop_s))


def _policy(times: AlarmSettings, opened: OpenedMachine, hop_s: float) -> AlarmPolicy:
    detector = opened.detector
    levels = detector.spec.threshold
    return policy_for(
        threshold=levels.threshold,
        clear_threshold=levels.clear_threshold,
        window_s=detector.window_samples / detector.sample_rate_hz,
        hop_s=hop_s,
        min_duration_s=None if times.min_duration_s == "auto" else times.min_duration_s,
        holdoff_s=None if times.holdoff_s == "auto" else times.holdoff_s,
        confirm=None if times.confirm == "auto" else (times.confirm[0], times.confirm[1]),
        extreme=None if times.extreme == "auto" else times.extreme,
    )


def _requests(setup: Setup, stack: ExitStack) -> ControlServer | None:
    if not (setup.live and setup.state):
        return None
    return stack.enter_context(closing(ControlServer(setup.state.control_socket)))
