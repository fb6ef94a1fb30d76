"""What an MQTT broker takes, and messages made to fit it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Self

from edge_asd.events.event import strict_json

__all__ = ["BrokerLimits", "packet_bytes", "shortened"]

_MAX_PACKET_BYTES = 268_435_460  # of MQTT, 2.1.4
_LEAST_PACKET_BYTES = 128  # no broker is taken for narrower
_HEADER_BYTES = 10  # fixed header, length of the topic, packet identifier, no properties
# Values that a short message keeps longest, the first ones always; the others go by size.
_KEPT = (
    *("event", "id", "state", "healthy", "deaf", "alarm", "alarm_id", "fault", "stale"),
    *("machine", "time", "severity", "score", "threshold", "detail"),
)
_ALWAYS_KEPT = 2


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """What a broker takes, as far as it has told or shown."""

    packet_bytes: int = _MAX_PACKET_BYTES
    in_flight: int = 65_535  # unacknowledged messages
    qos: int = 1
    retain: bool = True

    def told(self, properties: Any) -> Self:
        """Return the limits with what a CONNACK of MQTT 5 says of them (3.2.2.3)."""

        def said(name: str, otherwise: int) -> int:
            return int(getattr(properties, name, otherwise))

        return replace(
            self,
            packet_bytes=min(said("MaximumPacketSize", self.packet_bytes), self.packet_bytes),
            in_flight=said("ReceiveMaximum", self.in_flight),
            qos=min(said("MaximumQoS", 1), self.qos),
            retain=bool(said("RetainAvailable", 1)) and self.retain,
        )

    def refused(self, reason: str) -> Self:
        """Return the limits after a refusal with this reason."""
        return replace(
            self,
            qos=0 if reason == "QoS not supported" else self.qos,
            retain=self.retain and reason != "Retain not supported",
        )

    def below(self, n_bytes: int, proven_bytes: int) -> Self:
        """Return the limits after a packet was too large, and another one was not."""
        smaller = max(n_bytes // 2, proven_bytes, _LEAST_PACKET_BYTES)
        return replace(self, packet_bytes=min(smaller, self.packet_bytes))


def packet_bytes(topic: str, payload: bytes) -> int:
    """Return the size of the packet that publishes `payload`, or a little more."""
    return _HEADER_BYTES + len(topic.encode()) + len(payload)


def shortened(topic: str, payload: bytes, limits: BrokerLimits) -> bytes | None:
    """Return the payload as the broker takes it.

    A JSON object that is too large loses values, the largest first, and has ``shortened``
    instead. None: nothing that says anything is short enough.
    """
    excess = packet_bytes(topic, payload) - limits.packet_bytes
    if excess <= 0:
        return payload
    content = json.loads(payload) if payload.startswith(b"{") else {}
    kept = [name for name in _KEPT if name in content]
    if len(kept) < _ALWAYS_KEPT:
        return None
    sizes = {name: len(strict_json({name: value})) for name, value in content.items()}
    names = kept + sorted(content.keys() - set(kept), key=lambda name: sizes[name])
    for n_names in range(len(names) - 1, _ALWAYS_KEPT - 1, -1):
        rest = {name: content[name] for name in content if name in names[:n_names]}
        text = strict_json(rest | {"shortened": True}).encode("utf-8", "backslashreplace")
        if len(text) <= len(payload) - excess:
            return text
    return None
