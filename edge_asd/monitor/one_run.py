"""What a run of ``listen`` needs is opened, and the monitor runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial

from edge_asd.audio.block import Source
from edge_asd.audio.source import FileSource
from edge_asd.bundle.bundle import Bundle
from edge_asd.capture.live_source import LiveSource
from edge_asd.errors import AudioError, reason
from edge_asd.events.event import StoppedEvent
from edge_asd.events.fault import Report, noticed
from edge_asd.events.fault_reporter import FaultReporter
from edge_asd.events.status import Status, StatusBoard
from edge_asd.learn.commissioner import open_or_commission
from edge_asd.learn.opened_machine import open_machine
from edge_asd.monitor.assemble import Parts, assemble
from edge_asd.monitor.ending import RunEnd
from edge_asd.monitor.golden_replay import replay_golden_windows
from edge_asd.monitor.session import Session
from edge_asd.monitor.standard_output import standard_output
from edge_asd.outputs.outbox import Outbox
from edge_asd.scoring.detector import Detector
from edge_asd.state.folder import StateFolder
from edge_asd.state.start_record import StartRecord
from edge_asd.state.writer import StateWriter

__all__ = ["listen", "threads_that_end"]


def listen(
    session: Session,
    bundle: Bundle,
    machine: str,
    folder: StateFolder | None = None,
    writer: StateWriter | None = None,
    record: StartRecord | None = None,
) -> StoppedEvent:
    """Listen until the end.

    Parameters
    ----------
    session : what to listen to, with what
    folder : where the state of the machine is; None: nothing survives the process
    writer : of the files there
    record : of starts and ends there

    Raises
    ------
    EdgeAsdError
        When something cannot be opened, or nothing could be scored.
    """
    profile, recording = session.profile, session.recording
    open_it = partial(
        open_or_commission if recording is None else open_machine,
        bundle,
        machine,
        threads=profile.detector.threads,
        search=profile.detector.search,
        state=folder,
    )
    opened = open_it()
    faults = FaultReporter(folder.fault_file if folder else None)
    replay_golden_windows(bundle, opened, faults.report)
    started = datetime.now(UTC)
    board = StatusBoard(
        Status(
            machine=machine,
            bundle=opened.bundle_name,
            started=started,
            unwanted_ends=record.before.unwanted_ends if record else 0,
        )
    )
    with (
        threads_that_end(faults.report),
        closing(Outbox.below(folder, faults.report)) as outbox,
        closing(RunEnd()) as ending,
    ):
        faults.go_on_from(outbox)
        source = ending.add(_source(session, opened.detector, faults.report))
        if isinstance(source, FileSource):
            source.require_window(opened.detector.window_samples)
        watchers, outputs = standard_output(
            board,
            session.stop,
            ending,
            as_json=session.as_json,
            live=recording is None,
            report=faults.report,
            outbox=outbox,
        )
        monitor = assemble(
            Parts(
                profile=profile,
                bundle=bundle,
                opened=opened,
                until_armed=session.until_armed,
                open_again=open_it,
                source=source,
                recorded=recording.start if recording else None,
                state=folder,
                writer=writer,
                outbox=outbox,
                faults=faults,
                board=board,
                stop=session.stop,
                duration_s=session.duration_s,
                outputs=outputs,
                watchers=[*watchers, *([record] if record else [])],
                environment=session.environment,
                starts_in_vain=record.failures if record else 0,
            ),
            ending,
        )
        stopped = monitor.run()
    if not stopped.windows and not session.stop.is_set() and session.duration_s is None:
        n_skipped = stopped.skipped_windows
        why = f": the sound of all {n_skipped} cannot be used" if n_skipped else ""
        raise AudioError(
            f"{source.name} ended after {stopped.seconds:g} s, before one window of "
            f"{opened.detector.window_samples / source.sample_rate_hz:g} s was scored{why}"
        )
    return stopped


def _source(session: Session, detector: Detector, report: Report) -> Source:
    rate_hz = detector.sample_rate_hz
    if session.recording is None:
        capture = session.profile.capture
        card = LiveSource(
            capture.device, capture, sample_rate_hz=rate_hz, report=report, stop=session.stop
        )
        card.open()
        return card
    return session.recording.open(rate_hz)


@contextmanager
def threads_that_end(report: Report) -> Iterator[None]:
    """Report a thread that ends with an error, whichever it is, within this context."""

    def ended(thread: threading.ExceptHookArgs) -> None:
        before(thread)
        name = thread.thread.name if thread.thread else "thread"
        why = thread.exc_value or thread.exc_type()
        report(noticed("part", f"it ended: {reason(why)}", subject=name))

    before, threading.excepthook = threading.excepthook, ended
    try:
        yield
    finally:
        threading.excepthook = before
