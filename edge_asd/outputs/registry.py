"""All outputs that a profile names, ready to be told events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from difflib import get_close_matches
from pathlib import Path

from edge_asd.errors import OutputError, ProfileError
from edge_asd.events.event import Event
from edge_asd.events.fault import Report, noticed
from edge_asd.monitor.status import Status
from edge_asd.outputs import Output
from edge_asd.outputs.delivery import Delivery, Transport
from edge_asd.outputs.jsonl import JsonlFile
from edge_asd.outputs.secrets_source import read_secret
from edge_asd.outputs.stored_event import event_names
from edge_asd.profile import MqttSettings, SinkSettings, WebhookSettings
from edge_asd.state.folder import StateFolder

__all__ = ["open_outputs"]


def open_outputs(
    sinks: SinkSettings,
    *,
    machine: str,
    state: StateFolder | None,
    status: Callable[[], Status],
    report: Report,
    environment: Mapping[str, str],
) -> list[Output]:
    """Return the outputs that the profile names; close each after the last event.

    Parameters
    ----------
    state : where durable events wait for an output; None keeps them in memory
    status : gives the monitor's status; called from the threads of the outputs
    report : hears of faults; called from the threads of the outputs, too
    environment : where secrets may be

    Raises
    ------
    ProfileError
        When a secret is missing, or an event or an address is impossible.
    OutputError
        When an output cannot be opened at all; an other side that is away is no error.
    """

    def delivery(
        transport: Transport, accepts: Callable[[Event], bool] = lambda _: True
    ) -> Delivery:
        spool = state.spool / f"{transport.name}.jsonl" if state else None
        return Delivery(transport, report=report, accepts=accepts, spool=spool)

    def opened() -> Iterator[Output]:
        if sinks.jsonl.path:
            file = sinks.jsonl
            path = Path(file.path).expanduser()
            yield JsonlFile(path, max_bytes=file.max_bytes, backups=file.backups)
        if sinks.mqtt.host:
            yield delivery(_mqtt(sinks.mqtt, machine, status, environment))
        if transport := _webhook(sinks.webhook, environment):
            wanted = _known(sinks.webhook.events)
            yield delivery(transport, lambda event: event.event in wanted)
        if sinks.http.port:
            from edge_asd.outputs.http_endpoint import HttpEndpoint

            try:
                yield HttpEndpoint(sinks.http, status)
            except OutputError as error:  # no reason not to listen
                report(noticed("output", str(error), subject="http"))

    outputs: list[Output] = []
    with ExitStack() as undo:
        for output in opened():
            outputs.append(output)
            undo.callback(output.close)
        undo.pop_all()
    return outputs


def _mqtt(
    settings: MqttSettings,
    machine: str,
    status: Callable[[], Status],
    environment: Mapping[str, str],
) -> Transport:
    from edge_asd.outputs.mqtt import MqttTransport

    password = read_secret(
        "sinks.mqtt.password",
        file=settings.password_file,
        variable=settings.password_env,
        environment=environment,
    )
    return MqttTransport(settings, machine=machine, status=status, password=password or None)


def _webhook(settings: WebhookSettings, environment: Mapping[str, str]) -> Transport | None:
    key = "sinks.webhook.url"
    if settings.url and (settings.url_file or settings.url_env):
        raise ProfileError(f"{key} and {key}_file or {key}_env are both set; keep one of them")
    url = settings.url or read_secret(
        key, file=settings.url_file, variable=settings.url_env, environment=environment
    )
    if not url:
        return None
    from edge_asd.outputs.webhook import WebhookTransport

    token = read_secret(
        "sinks.webhook.token",
        file=settings.token_file,
        variable=settings.token_env,
        environment=environment,
    )
    return WebhookTransport(url, token=token, timeout_s=settings.timeout_s)


def _known(names: list[str]) -> frozenset[str]:
    known = event_names()
    for name in names:
        if name not in known:
            nearest = get_close_matches(name, known, n=1, cutoff=0)[0]
            raise ProfileError(
                f"sinks.webhook.events: unknown event {name!r}; did you mean {nearest!r}?"
            )
    return frozenset(names)
