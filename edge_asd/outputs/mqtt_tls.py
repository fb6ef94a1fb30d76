"""TLS to an MQTT broker, and what network errors mean to somebody who sets it up."""

from __future__ import annotations

import os
import socket
import ssl
from typing import TYPE_CHECKING

from edge_asd.errors import OutputError
from edge_asd.outputs.certificates import certificate_problem

if TYPE_CHECKING:
    from edge_asd.outputs.mqtt import MqttSettings

__all__ = ["explained", "tls_context"]

# What OpenSSL says of an answer that is not TLS.
_NO_TLS = frozenset(
    {
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "PACKET_LENGTH_TOO_LONG",
        "RECORD_LAYER_FAILURE",
        "UNEXPECTED_EOF_WHILE_READING",
        "UNSUPPORTED_PROTOCOL",
    }
)


def tls_context(settings: MqttSettings) -> ssl.SSLContext | None:
    """Return what TLS needs, or None where the profile wants no TLS.

    Raises
    ------
    OutputError
        When the settings contradict each other, or a file cannot be used.
    """
    if not settings.tls:
        for name in ("ca_file", "cert_file", "key_file"):
            if getattr(settings, name):
                raise OutputError(f"sinks.mqtt.{name} is set, but tls is false; set tls = true")
        return None
    if settings.key_file and not settings.cert_file:
        raise OutputError("sinks.mqtt.key_file is set, but cert_file is not; name both or none")
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    except OSError as error:
        raise OutputError(f"sinks.mqtt.ca_file {settings.ca_file}: {explained(error)}") from error
    if certificate := settings.cert_file:
        try:
            # A password keeps OpenSSL from asking for one on the terminal.
            context.load_cert_chain(certificate, settings.key_file or None, password="")
        except OSError as error:
            raise OutputError(
                f"sinks.mqtt.cert_file {settings.cert_file} with key_file "
                f"{settings.key_file or 'none'}: {explained(error)}"
            ) from error
    return context


def explained(error: BaseException | None) -> str:
    """Return why a connection failed, and what to look at."""
    match error:
        case ssl.SSLCertVerificationError():
            return certificate_problem(error)
        case ssl.SSLError(reason=reason) if "ALERT" in (reason or ""):
            return _alert(reason.lower())
        case ssl.SSLError(reason=reason) if reason in _NO_TLS or isinstance(error, ssl.SSLEOFError):
            return "it does not speak TLS at this port; check port and tls"
        case ssl.SSLError():
            return f"TLS failed: {error.reason or error}; check port, tls and the certificates"
        case socket.gaierror():
            return f"unknown host name: {error.strerror}"
        case TimeoutError():
            return "no answer; check host, port and tls"
        case ConnectionResetError():
            return "it hung up; check port and tls"
        case ConnectionRefusedError():
            return "connection refused; check host and port, and that the broker runs"
        case OSError():
            return os.strerror(error.errno) if error.errno else str(error)
        case _:
            return "it cannot be reached"


def _alert(reason: str) -> str:
    """Say what a broker has against this side, by its last word."""
    complaint = reason.partition("alert_")[2].replace("_", " ")
    if complaint == "certificate required":
        return "it asks for a certificate of this device; set cert_file and key_file"
    if "certificate" not in complaint and "unknown ca" not in complaint:
        return f"it ended TLS: {complaint}; check port, tls and the certificates"
    advice = "check cert_file and key_file, and the clock of the broker"
    return f"it does not accept the certificate of this device: {complaint}; {advice}"
