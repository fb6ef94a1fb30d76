"""What every kind of output defines: its section of the profile, and what can be done with it."""

from __future__ import annotations

import socket
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from edge_asd.doctor.verdict import Verdict, ok, problem
from edge_asd.events.event import Event
from edge_asd.events.fault import Report
from edge_asd.events.status import Status
from edge_asd.outputs import Output
from edge_asd.outputs.patient_write import Waits
from edge_asd.outputs.secrets_source import Secret
from edge_asd.settings import Settings

if TYPE_CHECKING:
    from edge_asd.outputs.delivery import Delivery, Transport
    from edge_asd.outputs.outbox import Outbox

__all__ = ["OutputContext", "OutputSection", "reach_server"]

_REACH_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputContext:
    """What an output may use of the monitor and of the computer."""

    machine: str
    status: Callable[[], Status]  # of the monitor; called from the threads of the outputs
    report: Report  # for faults; called from the threads of the outputs
    environment: Mapping[str, str]  # where secrets may be
    outbox: Outbox | None  # where durable events wait; None keeps them in memory
    # How long a recording waits for a file or a pipe; None: sound that happens now never does.
    waits: Waits | None = None

    @property
    def folder(self) -> Path | None:
        """Where an output may keep files of its own, if anywhere."""
        return self.outbox.folder if self.outbox else None

    def delivery(
        self,
        transport: Transport,
        accepts: Callable[[Event], bool] = lambda event: True,
        *,
        patience_s: float = 30.0,
        max_pause_s: float = 60.0,
    ) -> Delivery:
        """Return an output that delivers through `transport` what it `accepts`."""
        from edge_asd.outputs.delivery import Delivery

        return Delivery(
            transport,
            report=self.report,
            accepts=accepts,
            outbox=self.outbox,
            patience_s=patience_s,
            max_pause_s=max_pause_s,
        )


class OutputSection(Settings):
    """Section ``[sinks.<name>]`` of a profile."""

    name: ClassVar[str]
    secrets: ClassVar[tuple[str, ...]] = ()  # keys without ``_file`` and ``_env``
    private: ClassVar[tuple[str, ...]] = ()  # keys whose values no support archive shows

    @property
    @abstractmethod
    def enabled(self) -> bool:
        """Whether the profile asks for this output."""

    @property
    def folder(self) -> Path | None:
        """Folder of this computer that the output writes to, besides the state folder."""
        return None

    @abstractmethod
    def open(self, context: OutputContext) -> Output | None:
        """Return the output; None when it cannot be opened, which was reported.

        Raises
        ------
        ProfileError
            When a secret is missing, or a value is impossible.
        OutputError
            When it cannot be opened at all; an other side that is away is no error.
        """

    @abstractmethod
    def reach(self, environment: Mapping[str, str]) -> Iterator[Verdict]:
        """Check from outside whether the other side can be reached."""

    def secret(self, key: str) -> Secret:
        """Return where the secret called `key` is."""
        file, variable = getattr(self, f"{key}_file"), getattr(self, f"{key}_env")
        return Secret(f"sinks.{self.name}.{key}", file, variable)


def reach_server(check: str, host: str, port: int, *, shown: str) -> Verdict:
    """Judge whether something listens there; nothing is sent.

    Parameters
    ----------
    shown : what the verdict calls the other side, whose address may be secret
    """
    try:
        with socket.create_connection((host, port), timeout=_REACH_TIMEOUT_S):
            return ok(check, f"{shown} answers")
    except OSError as error:
        # Not the whole error: it may repeat an address that is a secret.
        why = error.strerror or type(error).__name__
        advice = "does it run, is the network up, does a firewall forbid it?"
        return problem(check, f"{shown} does not answer: {why}", advice)
