"""One run of ``listen``: opens everything, runs the monitor, tells when it cannot start."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from edge_asd.audio.played import Played
from edge_asd.audio.source import FileSource, RawSource
from edge_asd.bundle.bundle import Bundle
from edge_asd.capture.live_source import LiveSource
from edge_asd.errors import AudioError, EdgeAsdError, one_line
from edge_asd.events.event import FaultRaisedEvent, StoppedEvent
from edge_asd.events.fault import FaultChange
from edge_asd.learn.opened_machine import OpenedMachine, open_machine
from edge_asd.monitor.assemble import Setup, monitor_of
from edge_asd.monitor.monitor import Monitor
from edge_asd.monitor.standard_output import standard_output
from edge_asd.monitor.status import Status
from edge_asd.outputs.registry import open_outputs
from edge_asd.profile import Profile
from edge_asd.state.folder import StateFolder
from edge_asd.state.places import state_root
from edge_asd.state.start_record import StartRecord

__all__ = ["Recording", "Session"]


@dataclass(frozen=True, slots=True)
class Recording:
    """Sound that was recorded, or comes through a pipe."""

    source: FileSource | RawSource
    start: datetime  # of its first sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What one run listens to, with what, and where it keeps its state."""

    profile: Profile
    bundle: Path
    machine: str | None  # None: the only one of the bundle
    recording: Recording | None  # None: the sound card of the profile
    state: Path | None  # where the state of all machines is; None: the usual place
    duration_s: float | None
    as_json: bool
    environment: Mapping[str, str]
    stop: threading.Event
    reports: queue.SimpleQueue[FaultChange] = field(default_factory=queue.SimpleQueue)

    def run(self) -> StoppedEvent:
        """Listen until the end.

        Raises
        ------
        EdgeAsdError
            When something cannot be opened, or nothing could be scored.
        """
        with ExitStack() as stack:
            machine = self.machine or Bundle.open(self.bundle).resolve_machine(None)
            folder = self._folder(machine)
            if folder is not None:
                folder.lock()
                stack.callback(folder.unlock)
            if self.recording is not None or folder is None:
                return self._listen(machine, folder, stack)
            record = StartRecord(folder.start_file, machine, lambda: datetime.now(UTC))
            try:
                with ExitStack() as opened:  # ends before its outputs are opened again
                    return self._listen(machine, folder, opened, record)
            except (EdgeAsdError, OSError) as error:
                if not record.heard and (news := record.failed(one_line(error))):
                    self._tell(news, folder)
                raise

    def _folder(self, machine: str) -> StateFolder | None:
        """State of live monitoring; a recording leaves none unless asked to."""
        if self.recording is not None and self.state is None:
            return None
        return StateFolder(state_root(self.state, self.profile, self.environment), machine)

    def _listen(
        self,
        machine: str,
        folder: StateFolder | None,
        stack: ExitStack,
        record: StartRecord | None = None,
    ) -> StoppedEvent:
        bundle = Bundle.open(self.bundle)

        def open_again() -> OpenedMachine:
            settings = self.profile.detector
            return open_machine(
                bundle, machine, threads=settings.threads, search=settings.search, state=folder
            )

        opened = open_again()
        detector = opened.detector
        source = stack.enter_context(closing(self._source(opened)))
        monitor: Monitor | None = None

        def on_closed() -> None:
            if monitor is not None:
                monitor.end("the output was closed")

        watchers, sinks = standard_output(
            source,
            stack,
            as_json=self.as_json,
            live=self.recording is None,
            report=self.reports.put,
            on_closed=on_closed,
        )
        monitor = monitor_of(
            Setup(
                profile=self.profile,
                bundle_name=bundle.manifest.name,
                opened=opened,
                open_again=open_again,
                source=source,
                live=self.recording is None,
                state=folder,
                stop=self.stop,
                reports=self.reports,
                start=self.recording.start if self.recording else datetime.now(UTC),
                duration_s=self.duration_s,
                sinks=sinks,
                watchers=[*watchers, *([record] if record else [])],
                environment=self.environment,
            ),
            stack,
        )
        stopped = monitor.run(source.blocks())
        if not stopped.windows and not self.stop.is_set() and self.duration_s is None:
            raise AudioError(
                f"{source.name} ended after {stopped.seconds:g} s, before one window of "
                f"{detector.window_samples / detector.sample_rate_hz:g} s was scored"
            )
        return stopped

    def _source(self, opened: OpenedMachine) -> LiveSource | Played:
        detector = opened.detector
        if self.recording is None:
            capture = LiveSource(
                self.profile.capture.device,
                self.profile.capture,
                sample_rate_hz=detector.sample_rate_hz,
                report=self.reports.put,
                stop=self.stop,
            )
            capture.open()
            return capture
        if isinstance(self.recording.source, FileSource):
            self.recording.source.require_window(detector.window_samples, detector.sample_rate_hz)
        return Played(self.recording.source, detector.sample_rate_hz)

    def _tell(self, news: FaultRaisedEvent, folder: StateFolder) -> None:
        """Tell the outputs of the profile that there is no monitor."""
        with ExitStack() as stack, suppress(EdgeAsdError):  # what ended it is worth more
            for output in open_outputs(
                self.profile.sinks,
                machine=news.machine,
                state=folder,
                status=lambda: Status.of_failed_start(news),
                report=lambda _: None,
                environment=self.environment,
            ):
                stack.enter_context(closing(output))
                output.emit(news)
