"""A monitor of the real parts, but for the sound card and the clocks: those are simulated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from benchmarks.simulated_card import SimulatedCard, SimulatedTime
from edge_asd.bundle.bundle import Bundle
from edge_asd.capture.live_source import LiveSource
from edge_asd.events.fault_reporter import FaultReporter
from edge_asd.events.status import Status, StatusBoard
from edge_asd.events.watcher import Watcher
from edge_asd.learn.commissioner import open_or_commission
from edge_asd.learn.opened_machine import OpenedMachine
from edge_asd.monitor.assemble import Parts, assemble
from edge_asd.monitor.ending import RunEnd
from edge_asd.monitor.monitor import Monitor
from edge_asd.monitor.stop import Stop
from edge_asd.outputs import Output
from edge_asd.outputs.outbox import Outbox
from edge_asd.profile import Profile
from edge_asd.scoring.detector import Detector
from edge_asd.state.folder import StateFolder
from edge_asd.state.writer import StateWriter

__all__ = ["simulated_monitor"]


def simulated_monitor(
    stack: ExitStack,
    time: SimulatedTime,
    card: SimulatedCard,
    *,
    bundle: Bundle,
    machine: str,
    root: Path,
    profile: Profile,
    duration_s: float,
    outputs: Sequence[Output] = (),
    watchers: Sequence[Watcher] = (),
    environment: Mapping[str, str] | None = None,
    prepare: Callable[[Detector], None] = lambda detector: None,
) -> Monitor:
    """Return a monitor of a simulated card; `stack` closes both.

    Parameters
    ----------
    root : where the state of all machines is
    duration_s : of simulated time
    prepare : changes the detector before it is used
    """
    stop = Stop()
    state = StateFolder(root, machine)
    stack.enter_context(state.lock())

    def open_again() -> OpenedMachine:
        return open_or_commission(bundle, machine, state=state)

    opened = open_again()
    prepare(opened.detector)
    writer = stack.enter_context(closing(StateWriter(state.path)))
    faults = FaultReporter()
    outbox = stack.enter_context(closing(Outbox(state.journal, faults.report)))
    faults.go_on_from(outbox)
    source = LiveSource(
        "hw:1",
        profile.capture,
        sample_rate_hz=opened.detector.sample_rate_hz,
        report=faults.report,
        stop=stop,
        clock=time,
        opener=card.open,
        sleep=time.advance,
    )
    ending = stack.enter_context(closing(RunEnd()))
    ending.add(source)
    parts = Parts(
        profile=profile,
        bundle=bundle,
        opened=opened,
        open_again=open_again,
        source=source,
        recorded=None,
        state=state,
        writer=writer,
        outbox=outbox,
        faults=faults,
        board=StatusBoard(Status(machine=machine, bundle=opened.bundle_name, started=time.utc())),
        stop=stop,
        duration_s=duration_s,
        outputs=outputs,
        watchers=watchers,
        environment=environment or {},
        now_s=time,
        utc=time.utc,
    )
    return assemble(parts, ending)
