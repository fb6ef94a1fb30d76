"""One run of ``listen``, whose end is noted and told, whatever ends it.

Nothing heavy is imported here: a library that cannot be loaded is one of the ends that are told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from edge_asd.control.monitors import runs
from edge_asd.errors import EdgeAsdError, reason
from edge_asd.events.event import FaultRaisedEvent, StoppedEvent
from edge_asd.events.fault import FaultChange, noticed
from edge_asd.events.fault_reporter import fault_raised
from edge_asd.events.moment import Moment
from edge_asd.events.status import Status
from edge_asd.monitor.ending import RunEnd
from edge_asd.monitor.log_lines import log_without_waiting
from edge_asd.monitor.stop import Stop
from edge_asd.outputs.outbox import Outbox
from edge_asd.outputs.output_section import OutputContext
from edge_asd.outputs.registry import OutputSettings
from edge_asd.profile import Profile
from edge_asd.service.notify import wait_to_restart
from edge_asd.state.folder import StateFolder
from edge_asd.state.places import state_root
from edge_asd.state.start_record import LONGEST_PAUSE_S, StartRecord, pause_s
from edge_asd.state.trust import acting_as_owner, read_regular
from edge_asd.state.writer import StateWriter

if TYPE_CHECKING:
    from edge_asd.audio.pipe import PipeSource
    from edge_asd.audio.source import FileSource
    from edge_asd.bundle.bundle import Bundle

__all__ = ["Recording", "Session"]

_NO_NAME = "unknown"  # of a machine that nobody named, and no bundle could
_NOTED_WITHIN_S = 2.0  # that a start began, before anything can crash; the disk may hang
_MOST_PROFILE_BYTES = 1_000_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recording:
    """Sound that was recorded, or comes through a pipe."""

    open: Callable[[int], FileSource | PipeSource]  # at a sample rate in Hz
    start: datetime  # of its first sample


@dataclass(slots=True)
class _Pause:
    """Before the next start; as long as can be where no record says how many failed."""

    seconds: float = LONGEST_PAUSE_S
    noted: bool = False  # whether the end is in the record


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
    mistake: EdgeAsdError | None = None  # in the profile, of which this is what could be read

    def run(self) -> StoppedEvent:
        """Listen until the end.

        An end that nobody wanted is told to the outputs, and under a service manager followed by
        a pause, the longer the more there were in a row.

        Raises
        ------
        EdgeAsdError
            When something cannot be opened, or nothing could be scored.
        """
        if self.recording is not None:
            if self.mistake:
                raise self.mistake
            bundle = self._open()
            return self._play(bundle, self.machine or bundle.resolve_machine(None))
        folder: StateFolder | None = None
        pause = _Pause()
        try:
            known, machine = None, self.machine
            if machine is None:
                if self.mistake:
                    raise self.mistake
                known = self._open()
                machine = known.resolve_machine(None)
            folder = StateFolder(state_root(self.state, self.profile, self.environment), machine)
            with (
                log_without_waiting(),
                acting_as_owner(folder.path),
                folder.lock(),
                closing(StateWriter(folder.path)) as writer,
            ):
                return self._noted(known, folder, writer, pause)
        except BaseException as error:
            if self._wanted(error):
                raise
            if not pause.noted and not (folder and runs(folder)):
                now = Moment(datetime.now(UTC), 0.0, self.machine or _NO_NAME)
                self._tell(fault_raised(now, noticed("start", reason(error))), None)
            self._wait(pause.seconds, reason(error))
            if isinstance(error, SystemExit):  # of some library: not how this program ends
                raise EdgeAsdError(f"it ended by {reason(error)}") from error
            raise

    def _noted(
        self, bundle: Bundle | None, folder: StateFolder, writer: StateWriter, pause: _Pause
    ) -> StoppedEvent:
        """Watch the machine; note how that ends, and tell it unless it was wanted."""
        utc = partial(datetime.now, UTC)
        record = StartRecord(folder.start_file, folder.machine, utc, write=writer.put)
        try:
            return self._watch(bundle, folder, writer, record)
        except BaseException as error:
            if self._wanted(error):
                record.ended()
                raise
            if news := record.failed(reason(error)):
                self._tell(news, folder)
            pause.noted = True
            if writer.wait(_NOTED_WITHIN_S):  # else each end would be the first in a row
                pause.seconds = pause_s(record.failures)
            raise

    def _watch(
        self,
        bundle: Bundle | None,
        folder: StateFolder,
        writer: StateWriter,
        record: StartRecord,
    ) -> StoppedEvent:
        writer.wait(_NOTED_WITHIN_S)
        if record.crashes_in_a_row > 1:
            if news := record.crashed():
                self._tell(news, folder)
                writer.wait(_NOTED_WITHIN_S)
            self._wait(pause_s(record.failures), record.before.error)
            if self.stop.is_set():
                raise SystemExit(0)
        if self.mistake:
            raise self.mistake
        writer.put(folder.profile_file, self.profile.model_dump_json().encode())
        from edge_asd.monitor.one_run import listen

        return listen(self, bundle or self._open(), folder.machine, folder, writer, record)

    def _play(self, bundle: Bundle, machine: str) -> StoppedEvent:
        """Listen to a recording, which leaves no state unless asked to."""
        from edge_asd.monitor.one_run import listen

        if self.state is None:
            with log_without_waiting():
                return listen(self, bundle, machine)
        folder = StateFolder(self.state, machine)
        with (
            log_without_waiting(),
            acting_as_owner(folder.path),
            folder.lock(),
            closing(StateWriter(folder.path)) as writer,
        ):
            return listen(self, bundle, machine, folder, writer)

    def _open(self) -> Bundle:
        from edge_asd.bundle.proof import open_proven

        if self.recording is not None and self.state is None:
            return open_proven(self.bundle)
        root = state_root(self.state, self.profile, self.environment)
        return open_proven(self.bundle, root=root)

    def _wanted(self, error: BaseException) -> bool:
        return self.stop.is_set() or isinstance(error, (KeyboardInterrupt, GeneratorExit))

    def _wait(self, seconds: float, why: str) -> None:
        wait_to_restart(self.environment, self.stop, seconds, f"the monitor cannot start: {why}")

    def _tell(self, news: FaultRaisedEvent, folder: StateFolder | None) -> None:
        """Tell the outputs of the profile that there is no monitor; what ended it is worth more."""
        lost: list[FaultChange] = []
        with (
            closing(Outbox.below(folder, lost.append)) as outbox,
            closing(RunEnd()) as ending,
        ):
            context = OutputContext(
                machine=news.machine,
                status=lambda: Status.of_failed_start(news),
                report=lambda _: None,
                environment=self.environment,
                outbox=outbox,
            )
            at = Moment(news.time, news.stream_time_s, news.machine)
            told = [*(fault_raised(at, change) for change in lost), news]
            for section in self._sinks(folder).sections:
                try:
                    if section.enabled and (output := section.open(context)):
                        ending.add(output)
                        for event in told:
                            output.emit(event)
                except (Exception, SystemExit) as error:
                    _log.warning("%s could not be told: %s", section.name, reason(error))

    def _sinks(self, folder: StateFolder | None) -> OutputSettings:
        """The outputs of the profile, or of the last one where nothing of it can be read."""
        sinks = self.profile.sinks
        if folder and self.mistake and not any(section.enabled for section in sinks.sections):
            with suppress(EdgeAsdError, OSError, ValidationError):
                content = read_regular(folder.profile_file, _MOST_PROFILE_BYTES)
                return Profile.model_validate_json(content).sinks
        return sinks
