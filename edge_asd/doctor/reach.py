"""The outputs of the profile: their other side answers, their secrets can be read."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edge_asd.doctor.installation import Installation
from edge_asd.doctor.verdict import Verdict, not_checked, ok, problem, warning
from edge_asd.errors import ProfileError
from edge_asd.outputs.secrets_source import read_secret
from edge_asd.profile import SinkSettings

__all__ = [
    "Secret",
    "connect",
    "file_output",
    "outputs",
    "secret_verdict",
    "secrets_of",
]

_TIMEOUT_S = 3.0
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret of the profile is; one of both is named."""

    key: str  # in the profile, without _file or _env
    file: str
    variable: str


def outputs(installation: Installation) -> Iterator[Verdict]:
    """Every output that the profile asks for."""
    sinks = installation.profile.sinks
    for secret in secrets_of(sinks):
        yield secret_verdict(secret, installation.environment)
    if sinks.mqtt.host:
        port = sinks.mqtt.port or (8883 if sinks.mqtt.tls else 1883)
        yield connect("MQTT", sinks.mqtt.host, port, shown=f"{sinks.mqtt.host}:{port}")
    yield from _webhook(sinks, installation.environment)
    if sinks.jsonl.path:
        yield file_output(Path(sinks.jsonl.path))
    if sinks.http.port and sinks.http.host not in ("127.0.0.1", "::1", "localhost"):
        found = f"/health and /metrics answer on {sinks.http.host}:{sinks.http.port}"
        yield warning("http", found, "everybody in this network can read them; is that wanted?")
    if not (sinks.mqtt.host or sinks.jsonl.path or sinks.http.port or _hooked(sinks)):
        yield not_checked("outputs", "the profile names none", "see [sinks] in default.toml")


def secrets_of(sinks: SinkSettings) -> list[Secret]:
    """Every secret that the profile points at."""
    mqtt, webhook = sinks.mqtt, sinks.webhook
    secrets = [
        Secret("mqtt.password", mqtt.password_file, mqtt.password_env),
        Secret("webhook.url", webhook.url_file, webhook.url_env),
        Secret("webhook.token", webhook.token_file, webhook.token_env),
    ]
    return [secret for secret in secrets if secret.file or secret.variable]


def secret_verdict(secret: Secret, environment: Mapping[str, str]) -> Verdict:
    """Judge whether a secret is there, and for its owner alone."""
    if not secret.file and secret.variable not in environment:
        advice = "the service reads it from its .env file in /etc/edge-asd"
        return not_checked(secret.key, f"{secret.variable} is not set here", advice)
    try:
        _read(secret, environment)
    except ProfileError as error:
        return problem(secret.key, str(error), "let the user who runs the monitor read it")
    if secret.file and Path(secret.file).expanduser().stat().st_mode & stat.S_IROTH:
        found = f"every user can read {secret.file}"
        return warning(secret.key, found, f"chmod o-rwx {secret.file}")
    return ok(secret.key, f"is in {secret.file or secret.variable}")


def connect(check: str, host: str, port: int, *, shown: str) -> Verdict:
    """Judge whether something listens there; nothing is said to it."""
    try:
        with socket.create_connection((host, port), timeout=_TIMEOUT_S):
            return ok(check, f"{shown} answers")
    except OSError as error:
        # Not the whole error: it may repeat an address that is a secret.
        why = error.strerror or type(error).__name__
        advice = "does it run, is the network up, does a firewall forbid it?"
        return problem(check, f"{shown} does not answer: {why}", advice)


def file_output(path: Path) -> Verdict:
    """Judge whether the file of events can be written."""
    place = path if path.exists() else path.parent
    if os.access(place, os.W_OK):
        return ok("file", f"{path} can be written")
    advice = "the folder must exist and belong to the user who runs the monitor"
    return problem("file", f"{path} cannot be written", advice)


def _read(secret: Secret, environment: Mapping[str, str]) -> str:
    return read_secret(
        f"sinks.{secret.key}",
        file=secret.file,
        variable=secret.variable,
        environment=environment,
    )


def _webhook(sinks: SinkSettings, environment: Mapping[str, str]) -> Iterator[Verdict]:
    url = sinks.webhook.url
    if not url and _hooked(sinks):
        with suppress(ProfileError):  # the verdict about the secret says so
            secret = Secret("webhook.url", sinks.webhook.url_file, sinks.webhook.url_env)
            url = _read(secret, environment)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        host, port = None, None
    if host and port:
        # The path of a webhook is often a password; where all of it is, not even the host.
        shown = f"{host}:{port}" if sinks.webhook.url else "its server"
        yield connect("webhook", host, port, shown=shown)
    elif url:
        yield problem("webhook", "its address is no http:// or https:// address", "correct it")


def _hooked(sinks: SinkSettings) -> bool:
    return bool(sinks.webhook.url or sinks.webhook.url_file or sinks.webhook.url_env)
