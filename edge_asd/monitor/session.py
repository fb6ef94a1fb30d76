"""One run of ``listen``: opens everything, runs the monitor, tells when it cannot start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from edge_asd.audio.block import Source
from edge_asd.audio.pipe import PipeSource
from edge_asd.audio.source import FileSource
from edge_asd.bundle.bundle import Bundle
from edge_asd.capture.live_source import LiveSource
from edge_asd.errors import AudioError, EdgeAsdError, one_line
from edge_asd.events.event import FaultRaisedEvent, StoppedEvent
from edge_asd.events.fault import Report
from edge_asd.events.fault_reporter import FaultReporter
from edge_asd.events.status import Status, StatusBoard
from edge_asd.learn.commissioner import open_or_commission
from edge_asd.learn.opened_machine import open_machine
from edge_asd.monitor.assemble import Parts, assemble
from edge_asd.monitor.golden_replay import replay_golden_windows
from edge_asd.monitor.log_lines import log_without_waiting
from edge_asd.monitor.standard_output import standard_output
from edge_asd.monitor.stop import Stop
from edge_asd.outputs.output_section import OutputContext
from edge_asd.outputs.registry import open_outputs
from edge_asd.profile import Profile
from edge_asd.scoring.detector import Detector
from edge_asd.state.folder import StateFolder
from edge_asd.state.places import state_root
from edge_asd.state.start_record import StartRecord
from edge_asd.state.trust import acting_as_owner
from edge_asd.state.writer import StateWriter

__all__ = ["Recording", "Session"]


@dataclass(frozen=True, slots=True)
class Recording:
    """Sound that was recorded, or comes through a pipe."""

    open: Callable[[int], FileSource | PipeSource]  # at a sample rate in Hz
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
    stop: Stop
    until_armed: bool = False  # end when a commissioning is over

    def run(self) -> StoppedEvent:
        """Listen until the end.

        Raises
        ------
        EdgeAsdError
            When something cannot be opened, or nothing could be scored.
        """
        with log_without_waiting(), ExitStack() as stack:
            bundle = None
            machine = self.machine
            if machine is None:
                bundle = Bundle.open(self.bundle)
                machine = bundle.resolve_machine(None)
            folder, writer = self._folder(machine), None
            if folder is not None:
                stack.enter_context(acting_as_owner(folder.path))
                stack.enter_context(folder.lock())
                writer = stack.enter_context(closing(StateWriter(folder.path)))
            if self.recording is not None or folder is None or writer is None:
                bundle = bundle or Bundle.open(self.bundle)
                return self._listen(bundle, machine, folder, writer, stack)
            record = StartRecord(
                folder.start_file, machine, lambda: datetime.now(UTC), write=writer.put
            )
            try:
                with ExitStack() as opened:  # ends before its outputs are opened again
                    bundle = bundle or Bundle.open(self.bundle)
                    return self._listen(bundle, machine, folder, writer, opened, record)
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
        bundle: Bundle,
        machine: str,
        folder: StateFolder | None,
        writer: StateWriter | None,
        stack: ExitStack,
        record: StartRecord | None = None,
    ) -> StoppedEvent:
        open_it = partial(
            open_or_commission if self.recording is None else open_machine,
            bundle,
            machine,
            threads=self.profile.detector.threads,
            search=self.profile.detector.search,
            state=folder,
        )
        opened = open_it()
        recording, now = self.recording, datetime.now(UTC)
        faults = FaultReporter(
            folder.fault_file if folder else None, writer.put if writer else None
        )
        replay_golden_windows(bundle, opened, faults.report)
        board = StatusBoard(Status(machine=machine, bundle=opened.bundle_name, started=now))
        source = stack.enter_context(closing(self._source(opened.detector, faults.report)))
        if isinstance(source, FileSource):
            source.require_window(opened.detector.window_samples)
        watchers, outputs = standard_output(
            board,
            self.stop,
            stack,
            as_json=self.as_json,
            live=recording is None,
            report=faults.report,
        )
        monitor = assemble(
            Parts(
                profile=self.profile,
                bundle=bundle,
                opened=opened,
                until_armed=self.until_armed,
                open_again=open_it,
                source=source,
                recorded=recording.start if recording else None,
                state=folder,
                writer=writer,
                faults=faults,
                board=board,
                stop=self.stop,
                duration_s=self.duration_s,
                outputs=outputs,
                watchers=[*watchers, *([record] if record else [])],
                environment=self.environment,
            ),
            stack,
        )
        stopped = monitor.run()
        if not stopped.windows and not self.stop.is_set() and self.duration_s is None:
            raise AudioError(
                f"{source.name} ended after {stopped.seconds:g} s, before one window of "
                f"{opened.detector.window_samples / source.sample_rate_hz:g} s was scored"
            )
        return stopped

    def _source(self, detector: Detector, report: Report) -> Source:
        rate_hz = detector.sample_rate_hz
        if self.recording is None:
            card = LiveSource(
                self.profile.capture.device,
                self.profile.capture,
                sample_rate_hz=rate_hz,
                report=report,
                stop=self.stop,
            )
            card.open()
            return card
        return self.recording.open(rate_hz)

    def _tell(self, news: FaultRaisedEvent, folder: StateFolder) -> None:
        """Tell the outputs of the profile that there is no monitor."""
        context = OutputContext(
            machine=news.machine,
            status=lambda: Status.of_failed_start(news),
            report=lambda _: None,
            environment=self.environment,
            spool=folder.spool,
        )
        with ExitStack() as stack, suppress(EdgeAsdError):  # what ended it is worth more
            for output in open_outputs(self.profile.sinks, context):
                stack.enter_context(closing(output))
                output.emit(news)
