"""An other side of a delivery that does what the test says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from device.reports import a_notice

from edge_asd.errors import EventRefusedError, OutputError
from edge_asd.events.fault import FaultChange
from edge_asd.outputs import Envelope
from edge_asd.outputs.delivery import Delivery, Transport
from edge_asd.outputs.outbox import Outbox


class Mailbox:
    """The other side: it takes events, or does what the test says."""

    name = "mailbox"

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.attempts = 0
        self.away = False
        self.refuses: set[str] = set()
        self.open = threading.Event()  # while it is not set, send does not return
        self.open.set()
        self.closed = False

    def send(self, envelope: Envelope) -> None:
        self.attempts += 1
        assert self.open.wait(600)
        if self.away:
            raise OutputError("nobody at home")
        if envelope.id in self.refuses:
            raise EventRefusedError("not for me")
        self.taken.append(envelope.id)

    def close(self) -> None:
        self.closed = True


@contextmanager
def delivery(
    transport: Transport, news: list[FaultChange] | None = None, **options: Any
) -> Iterator[Delivery]:
    """Deliver with short pauses; close quickly.

    Parameters
    ----------
    options : of the delivery; ``journal`` is the file of an outbox of its own
    """
    report = (news if news is not None else []).append
    with closing(Outbox(options.pop("journal", None), report)) as outbox:
        settings: dict[str, Any] = {"outbox": outbox, "pause_s": 0.005, "max_pause_s": 0.02}
        output = Delivery(transport, report=report, **settings | options)
        try:
            yield output
        finally:
            if isinstance(transport, Mailbox):
                transport.open.set()
            output.close(1.0)


def ignore(change: FaultChange) -> None:
    """Somebody else reads the faults."""


def ids(*numbers: int) -> list[str]:
    return [a_notice(number).id for number in numbers]
