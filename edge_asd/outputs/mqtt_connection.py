"""One connection to an MQTT broker, from CONNECT to its end, and why it ended."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_asd.outputs.mqtt_limits import BrokerLimits, packet_bytes

if TYPE_CHECKING:
    from edge_asd.outputs.mqtt import MqttSettings

__all__ = ["Connection"]

_LOGGER = logging.getLogger(__name__)

_MAX_QUEUED = 100  # messages that the broker has not acknowledged
_MAX_UNDER_WAY = 5  # of them at once; some brokers hang up at more than 10
_MAX_INCOMING_BYTES = 65_536  # what is listened to has a few


class Connection(Client):
    """A connection; another attempt is another object, which repeats nothing of this one.

    Parameters
    ----------
    password : never logged
    will : topic whose message becomes ``offline`` when the connection dies
    on_greeting : called when the broker has let this client in, in the network thread
    """

    def __init__(
        self,
        settings: MqttSettings,
        version: MQTTProtocolVersion,
        *,
        client_id: str,
        password: str | None,
        tls: ssl.SSLContext | None,
        will: str,
        limits: BrokerLimits,
        on_greeting: Callable[[Connection], None],
    ) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=version,
            reconnect_on_failure=False,
        )
        self.suppress_exceptions = True  # raised, they would end the network thread
        self.max_queued_messages = _MAX_QUEUED
        self.max_inflight_messages = min(_MAX_UNDER_WAY, limits.in_flight)
        self.will_set(will, "offline", qos=limits.qos, retain=limits.retain)
        if settings.username:
            self.username_pw_set(settings.username, password)
        if tls:
            self.tls_set_context(tls)
        self.on_connect = self._answered
        self.on_disconnect = self._disconnected
        self.limits = limits
        self.refusal: ReasonCode | None = None  # instead of a greeting
        self.farewell: ReasonCode | None = None  # with which the broker ended it
        self.failure: Exception | None = None  # by which it ended here
        self.is_under_way = False  # whether the network, and TLS, have connected
        self.has_choked = False  # on a message that was too large for this side
        self.greeted_s: float | None = None  # monotonic clock
        self.ended = threading.Event()
        self.proven_bytes = 0  # the largest packet that was acknowledged
        self._on_greeting = on_greeting
        self._place = settings.host, settings.used_port
        # Packets by message id in order of time: QoS, size and time.
        self._unproven: dict[int, tuple[int, int, float]] = {}

    def run(self, keepalive_s: int) -> None:
        """Connect, and return when the connection has ended."""
        try:
            self._run(keepalive_s)
        finally:
            # Cycles would keep its sockets open until the garbage collector comes by.
            self.on_connect = self.on_disconnect = None
            if self.failure is not None:
                self.failure.__traceback__ = self.failure.__context__ = None

    def _run(self, keepalive_s: int) -> None:
        wishes = None
        if self.protocol == MQTTProtocolVersion.MQTTv5:
            wishes = Properties(PacketTypes.CONNECT)
            wishes.MaximumPacketSize = _MAX_INCOMING_BYTES
        try:
            self.connect(*self._place, keepalive_s, properties=wishes)
        except (OSError, ValueError) as error:
            self.failure = error
            self.ended.set()
            return
        self.is_under_way = True
        self.loop_start()
        self.ended.wait()
        self.loop_stop()

    def loop_forever(self, *args: Any, **options: Any) -> MQTTErrorCode:
        """Serve the connection until it ends; nothing that a broker sends raises here."""
        try:
            return super().loop_forever(*args, **options)
        except Exception as error:
            _LOGGER.debug("the connection is given up", exc_info=True)
            self.failure = error
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        finally:
            self.ended.set()

    def send(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> MQTTMessageInfo:
        """Publish a message, as far as the broker knows of QoS and retained messages."""
        limits = self.limits
        info = self.publish(topic, payload, min(qos, limits.qos), retain and limits.retain)
        while len(self._unproven) >= _MAX_QUEUED:
            self._unproven.pop(next(iter(self._unproven)), None)
        self._unproven[info.mid] = qos, packet_bytes(topic, payload), time.monotonic()
        if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS and info.is_published():
            self.acknowledge(info.mid)  # the answer was quicker
        return info

    def acknowledge(self, mid: int) -> None:
        """Note that the broker has taken a message, and those without QoS before it."""
        qos, n_bytes, _ = self._unproven.get(mid, (0, 0, 0.0))
        if qos == 0:  # it was written, no more
            return
        for earlier, (qos, _, _) in [*self._unproven.items()]:
            if earlier == mid:
                break
            if qos == 0:
                self._unproven.pop(earlier, None)
        self._unproven.pop(mid, None)
        self.proven_bytes = max(self.proven_bytes, n_bytes)

    def unproven_bytes(self, within_s: float) -> int:
        """Return the size of the largest packet of late that was not acknowledged."""
        now_s = time.monotonic()
        late = [size for _, size, at_s in [*self._unproven.values()] if now_s - at_s <= within_s]
        return max(late, default=0)

    def _answered(
        self, _client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, told: Any
    ) -> None:
        self.limits = self.limits.told(told)
        if reason.is_failure:
            self.refusal = reason
            return
        self.greeted_s = time.monotonic()
        self._on_greeting(self)

    def _disconnected(
        self, _client: Client, _data: Any, flags: DisconnectFlags, reason: ReasonCode, _more: Any
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self.farewell = reason
        elif reason == "Keep alive timeout":
            self.failure = TimeoutError()

    def _sock_recv(self, bufsize: int) -> bytes:
        # paho asks for a whole packet at once, and keeps the reasons of failures to itself.
        try:
            if bufsize > _MAX_INCOMING_BYTES:
                self.has_choked = True
                raise ConnectionError(f"a message of more than {_MAX_INCOMING_BYTES} bytes came")
            return super()._sock_recv(bufsize)
        except BlockingIOError:
            raise
        except OSError as error:
            self.failure = error
            raise
