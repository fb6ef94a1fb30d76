"""A connection to an MQTT broker that comes back by itself, and says why it does not.

It speaks MQTT 5, which tells why a broker refuses a message. When a broker refuses the version, or
hangs up without a word as some do, MQTT 3.1.1 is tried once before the next attempt. No session
outlives a connection: what the broker has not acknowledged is published again after the reconnect.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from edge_asd.errors import OutputError
from edge_asd.outputs.mqtt_tls import explained, tls_context

if TYPE_CHECKING:
    from edge_asd.outputs.mqtt import MqttSettings

__all__ = ["Link", "Patience"]

_LOGGER = logging.getLogger(__name__)

_NEWEST, _OLDER = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
_MAX_QUEUED = 100  # messages that the broker has not acknowledged
_MAX_UNDER_WAY = 5  # of them at once; some brokers hang up at more than 10
_MAX_REFUSALS = 200
_LOOKS = 10  # how often who waits for an answer looks whether it still can come
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for the broker, in seconds."""

    acknowledge_s: float = 10.0
    retry_min_s: float = 1.0
    retry_max_s: float = 60.0
    keepalive_s: int = 30  # silence after which a connection counts as dead
    farewell_s: float = 2.0


class Link:
    """The connection; :meth:`start` starts it, whether the broker is there or not.

    Parameters
    ----------
    password : never logged
    will : topic whose retained message becomes ``offline`` when the connection dies
    listen_to : topics to subscribe
    on_up : called after every connect, in the network thread
    on_message : called with topic and payload, in the network thread

    Raises
    ------
    OutputError
        When the settings, certificates or keys cannot be used. A broker that cannot be
        reached is no error here: :meth:`write` and :meth:`deliver` tell.
    """

    def __init__(
        self,
        settings: MqttSettings,
        *,
        client_id: str,
        password: str | None,
        will: str,
        listen_to: tuple[str, ...],
        on_up: Callable[[], None],
        on_message: Callable[[str, bytes], None],
        patience: Patience,
    ) -> None:
        self._place = f"MQTT broker {settings.host}:{settings.used_port}"
        self._settings = settings
        self._client_id = client_id
        self._password = password
        self._tls = tls_context(settings)
        self._patience = patience
        self._will = will
        self._listen_to = listen_to
        self._on_up = on_up
        self._on_message = on_message
        self.connected = False  # as far as is known
        self._problem = "no answer yet"
        self._refused: Client | None = None  # the broker has said why before it hangs up
        self._decided = threading.Event()  # the first attempt has succeeded or failed
        self._refusals: OrderedDict[int, str] = OrderedDict()  # reasons by message id
        self._refusal = ""  # the last reason that was logged
        self._pending: tuple[str, Client, MQTTMessageInfo] | None = None
        if password and not self._tls and settings.host not in _LOOPBACK:
            _LOGGER.warning("%s gets the password unencrypted; set tls = true", self._place)
        self._switching = threading.Lock()  # guards the following
        self._ending = False
        self._older: Client | None = None  # tries MQTT 3.1.1 beside the other
        self._client = self._made(_NEWEST)

    def write(self, topic: str, payload: bytes) -> None:
        """Publish at most once; return when the message was written to the connection.

        Raises
        ------
        OutputError
            When there is no connection.
        """
        self._require()
        self._wait(self._publish(topic, payload, qos=0))

    def deliver(self, key: str, topic: str, payload: bytes) -> None:
        """Publish at least once; return when the broker has the message.

        Parameters
        ----------
        key : names the message; one that was under way is not published anew, only waited for

        Raises
        ------
        OutputError
            When there is no connection, no answer in time, or a refusal.
        """
        self._require()
        client = self._client
        if self._pending is None or self._pending[:2] != (key, client):
            self._pending = key, client, self._publish(topic, payload, qos=1)
        info = self._pending[2]
        self._wait(info)
        self._pending = None
        if refusal := self._refusals.pop(info.mid, None):
            raise OutputError(f"{self._place} refuses a message: {refusal}; check its access rules")

    def retain(self, messages: Mapping[str, str]) -> None:
        """Publish retained messages by topic; do not wait for them."""
        with suppress(OutputError):  # said again after the next connect, or heartbeat
            for topic, payload in messages.items():
                self._publish(topic, payload.encode(), qos=1, retain=True)

    def start(self) -> None:
        """Start the network thread, which connects and reconnects."""
        self._client.loop_start()

    def close(self) -> None:
        """Disconnect, and leave nothing on the broker but ``offline``."""
        with self._switching:  # who has said "online" says "offline", too
            self._ending = True
        if self.connected:
            with suppress(OutputError):
                farewell = self._publish(self._will, b"offline", qos=1, retain=True)
                farewell.wait_for_publish(self._patience.farewell_s)
        self._lose("the connection is closed")
        for client in (self._older, self._client):
            if client is not None:
                client.disconnect()
        # It may be in the middle of a name lookup, which nothing can interrupt.
        stopping = threading.Thread(target=self._client.loop_stop, daemon=True)
        stopping.start()
        stopping.join(self._patience.farewell_s)

    def _unanswered(self) -> OutputError:
        reason = self._problem or f"no answer for {self._patience.acknowledge_s:g} s"
        return OutputError(f"{self._place}: {reason}")

    def _require(self) -> None:
        """Return when there is a connection; wait only for the first attempt."""
        self._decided.wait(self._patience.acknowledge_s)
        if not self.connected:
            raise self._unanswered()

    def _publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool = False
    ) -> MQTTMessageInfo:
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_NO_CONN and qos > 0:
            # paho has queued it all the same and sends it after the reconnect.
            info.rc = MQTTErrorCode.MQTT_ERR_SUCCESS
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            raise OutputError(f"{self._place}: {_MAX_QUEUED} messages wait for an answer already")
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._unanswered()
        return info

    def _wait(self, info: MQTTMessageInfo) -> None:
        """Wait for the answer to a message, as long as there is a connection."""
        for _ in range(_LOOKS):
            try:
                info.wait_for_publish(self._patience.acknowledge_s / _LOOKS)
                if info.is_published():
                    return
            except (RuntimeError, ValueError):  # QoS 0, and the connection was lost
                raise OutputError(f"{self._place}: the connection was lost") from None
            if not self.connected:
                break
        raise self._unanswered()

    def _made(self, version: MQTTProtocolVersion) -> Client:
        settings, patience = self._settings, self._patience
        client = Client(CallbackAPIVersion.VERSION2, client_id=self._client_id, protocol=version)
        client.suppress_exceptions = True  # raised, they would end the network thread
        client.max_queued_messages = _MAX_QUEUED
        client.max_inflight_messages = _MAX_UNDER_WAY
        client.reconnect_delay_set(patience.retry_min_s, patience.retry_max_s)  # type: ignore[arg-type]
        client.will_set(self._will, "offline", qos=1, retain=True)
        if settings.username:
            client.username_pw_set(settings.username, self._password)
        if self._tls:
            client.tls_set_context(self._tls)
        client.on_connect = self._connected
        client.on_connect_fail = self._failed
        client.on_disconnect = self._disconnected
        client.on_publish = self._acknowledged
        client.on_message = self._heard
        try:
            settings.host.encode("idna")
            client.connect_async(settings.host, settings.used_port, patience.keepalive_s)
        except ValueError as error:
            raise OutputError(
                f"sinks.mqtt.host is {settings.host!r}, which is no host name: {error}"
            ) from None
        return client

    def _connected(
        self, client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, _more: Any
    ) -> None:
        if reason.is_failure:
            self._refused = client
            if reason == "Unsupported protocol version" and client.protocol == _NEWEST:
                self._try_older()
            else:
                advice = "check username, password, client_id"
                self._fail(client, f"it refuses the connection: {reason}; {advice}")
            return
        if not self._go_on_with(client):
            client.disconnect()
            return
        with self._switching:
            if self._ending:
                client.disconnect()
                return
            for topic in self._listen_to:
                client.subscribe(topic)
            self._guarded(self._on_up)
            self._problem = ""
            self.connected = True
        self._decided.set()
        _LOGGER.info("connected to %s with %s", self._place, client.protocol.name)

    def _try_older(self) -> None:
        """Try MQTT 3.1.1 once, while the other client waits for its next attempt."""
        with self._switching:
            if not self._ending and self._older is None:
                self._older = self._made(_OLDER)
                self._older.loop_start()

    def _go_on_with(self, client: Client) -> bool:
        """End the other client, if there is one; return whether this one is wanted."""
        with self._switching:
            before, older = self._client, self._older
            if self._ending or client not in (before, older):
                return False
            self._client, self._older = client, None
        other = older if client is before else before
        if other is not None:
            other.disconnect()
        return True

    def _fail(self, client: Client, problem: str) -> None:
        """Say why there is no connection; MQTT 3.1.1 is tried again only after MQTT 5."""
        with self._switching:
            older = client is self._older
            if older:
                self._older = None
        if older:
            client.disconnect()
        self._lose(problem)

    def _failed(self, client: Client, _data: Any) -> None:
        # paho gives no reason, but calls this while it handles the error.
        self._fail(client, explained(sys.exc_info()[1]))

    def _disconnected(
        self, client: Client, _data: Any, flags: DisconnectFlags, reason: ReasonCode, _more: Any
    ) -> None:
        refused, self._refused = self._refused, None
        if self._ending or refused is client or client not in (self._client, self._older):
            return
        if self.connected:
            told = flags.is_disconnect_packet_from_server
            self._lose(f"it ended the connection: {reason}" if told else "the connection was lost")
        elif client.protocol == _NEWEST:
            self._try_older()
        else:
            self._fail(client, "it hung up without a greeting; check port and tls")

    def _acknowledged(
        self, _client: Client, _data: Any, mid: int, reason: ReasonCode, _more: Any
    ) -> None:
        self._refusals.pop(mid, None)
        if not reason.is_failure:
            return
        self._refusals[mid] = str(reason)
        if len(self._refusals) > _MAX_REFUSALS:
            self._refusals.popitem(last=False)
        if str(reason) != self._refusal:
            self._refusal = str(reason)
            _LOGGER.warning("%s refuses a message: %s", self._place, reason)

    def _heard(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self._guarded(lambda: self._on_message(message.topic, bytes(message.payload)))

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            _LOGGER.exception("%s: a message could not be handled", self._place)

    def _lose(self, problem: str) -> None:
        self.connected = False
        if problem != self._problem and not self._ending:
            _LOGGER.warning("%s: %s", self._place, problem)
        self._problem = problem
        self._decided.set()
