"""A connection to an MQTT broker that comes back by itself, and says why it does not."""

from __future__ import annotations

import logging
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge_asd.errors import OutputError
from edge_asd.outputs.mqtt_tls import explained, tls_context
from edge_asd.profile import MqttSettings

__all__ = ["Link", "Patience", "Receipt"]

_LOGGER = logging.getLogger(__name__)

_PORT, _TLS_PORT = 1883, 8883
# How long the broker keeps a handshake that was cut. A new process begins a new session, and
# after a clean end there is none.
_SESSION_S = 300
_MAX_QUEUED = 100  # messages that the broker has not acknowledged
_MAX_UNDER_WAY = 5  # of them at once; some brokers hang up at more than 10
_MAX_REFUSALS = 200
_LOOKS = 10  # how often who waits for an answer looks whether it still can come
# Answer to the repeated end of a handshake that is over: no error after a reconnect.
_NOT_FOUND = 0x92
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for the broker, in seconds."""

    acknowledge_s: float = 10.0
    retry_min_s: float = 1.0
    retry_max_s: float = 60.0
    keepalive_s: int = 30  # silence after which a connection counts as dead
    farewell_s: float = 2.0


class Receipt:
    """What the broker will have said about one message."""

    def __init__(self, link: Link, info: MQTTMessageInfo, session: int) -> None:
        self._link = link
        self._info = info
        self._session = session

    def wait(self, timeout_s: float) -> bool:
        """Return whether the message was acknowledged in time; it still may be, later.

        Without a connection nobody waits for the end of that time.

        Raises
        ------
        OutputError
            When the broker refuses the message, or it is lost with the connection.
        """
        for _ in range(_LOOKS):
            try:
                self._info.wait_for_publish(timeout_s / _LOOKS)
                done = self._info.is_published()
            except (RuntimeError, ValueError):
                done, self._session = False, -1
            if not done and self._session != self._link.session:
                raise OutputError(f"{self._link.place}: the connection was lost; trying again")
            if done:
                self.check()
                return True
            if not self._link.connected:
                return False
        return False

    def check(self) -> None:
        """Return unless the broker has refused the message by now, which is a ``OutputError``."""
        self._link.check(self._info.mid)


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
        reached is no error here: :meth:`require` tells.
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
        self._port = settings.port or (_TLS_PORT if settings.tls else _PORT)
        self.place = f"MQTT broker {settings.host}:{self._port}"  # as messages name it
        self._patience = patience
        self._will = will
        self._listen_to = listen_to
        self._on_up = on_up
        self._on_message = on_message
        self._up = False
        self._max_qos = 2
        self._session = 0
        self._ending = False
        self._problem = "no answer yet"
        self._refused = False  # by the broker, which says why before it hangs up
        self._decided = threading.Event()  # the first attempt has succeeded or failed
        self._refusals: OrderedDict[int, str] = OrderedDict()  # reasons by message id
        self._refusal = ""  # the last reason that was logged
        self._client = self._made(settings, client_id, password)

    @property
    def connected(self) -> bool:
        """Whether the broker listens, as far as is known."""
        return self._up

    @property
    def session(self) -> int:
        """Number of the session; another one knows nothing of the messages of this one."""
        return self._session

    @property
    def problem(self) -> str:
        """Why there is no connection, or that there is no answer."""
        reason = self._problem or f"no answer for {self._patience.acknowledge_s:g} s"
        return f"{self.place}: {reason}"

    def require(self) -> None:
        """Return when there is a connection; wait only for the first attempt.

        Raises
        ------
        OutputError
            When there is none, and why.
        """
        self._decided.wait(self._patience.acknowledge_s)
        if not self._up:
            raise OutputError(self.problem)

    def publish(self, topic: str, payload: str, *, qos: int, retain: bool = False) -> Receipt:
        """Hand a message to the network thread.

        Raises
        ------
        OutputError
            When too many wait already, or the connection is lost (QoS 0).
        """
        qos, session = min(qos, self._max_qos), self._session
        info = self._client.publish(topic, payload.encode(), qos, retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_NO_CONN and qos > 0:
            # paho has queued it all the same and sends it after the reconnect.
            info.rc = MQTTErrorCode.MQTT_ERR_SUCCESS
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            raise OutputError(f"{self.place}: {_MAX_QUEUED} messages wait for an answer already")
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise OutputError(self.problem)
        return Receipt(self, info, session)

    def check(self, message_id: int) -> None:
        """Return unless the broker has refused this message, which is a ``OutputError``."""
        if refusal := self._refusals.get(message_id):
            raise OutputError(f"{self.place} refuses a message: {refusal}; check its access rules")

    def retain(self, messages: Mapping[str, str]) -> None:
        """Publish retained messages by topic; do not wait for them."""
        with suppress(OutputError):  # said again after the next connect, or heartbeat
            for topic, payload in messages.items():
                self.publish(topic, payload, qos=1, retain=True)

    def start(self) -> None:
        """Start the network thread, which connects and reconnects."""
        self._client.loop_start()

    def close(self) -> None:
        """Say farewell, and leave nothing on the broker but ``offline``."""
        if self._up:
            with suppress(OutputError):
                farewell = self.publish(self._will, "offline", qos=1, retain=True)
                farewell.wait(self._patience.farewell_s)
        self._ending = True
        self._lose("the connection is closed")
        properties = Properties(PacketTypes.DISCONNECT)
        properties.SessionExpiryInterval = 0
        self._client.disconnect(properties=properties)
        # It may be in the middle of a name lookup, which nothing can interrupt.
        stopping = threading.Thread(target=self._client.loop_stop, daemon=True)
        stopping.start()
        stopping.join(self._patience.farewell_s)

    def _made(self, settings: MqttSettings, client_id: str, password: str | None) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv5
        )
        client.suppress_exceptions = True  # raised, they would end the network thread
        client.max_queued_messages = _MAX_QUEUED
        client.max_inflight_messages = _MAX_UNDER_WAY
        client.reconnect_delay_set(self._patience.retry_min_s, self._patience.retry_max_s)  # type: ignore[arg-type]
        client.will_set(self._will, "offline", qos=1, retain=True)
        if settings.username:
            client.username_pw_set(settings.username, password)
        if context := tls_context(settings):
            client.tls_set_context(context)
        elif password and settings.host not in _LOOPBACK:
            _LOGGER.warning("%s gets the password unencrypted; set tls = true", self.place)
        client.on_connect = self._connected
        client.on_connect_fail = self._failed
        client.on_disconnect = self._disconnected
        client.on_publish = self._acknowledged
        client.on_message = self._heard
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = _SESSION_S
        try:
            settings.host.encode("idna")
            client.connect_async(
                settings.host, self._port, self._patience.keepalive_s, properties=properties
            )
        except ValueError as error:
            raise OutputError(
                f"sinks.mqtt.host is {settings.host!r}, which is no host name: {error}"
            ) from None
        return client

    def _connected(
        self,
        client: Client,
        userdata: Any,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._ending:
            client.disconnect()
            return
        self._refused = reason.is_failure
        if reason.is_failure:
            self._lose(f"it refuses the connection: {reason}; check username, password, client_id")
            return
        if not flags.session_present:
            # paho would go on with handshakes that the broker knows nothing of, and take
            # its polite answers for success.
            client.drop_out_messages()
            self._session += 1
        self._max_qos = getattr(properties, "MaximumQoS", 2)
        for topic in self._listen_to:
            client.subscribe(topic)
        self._guarded(self._on_up)
        self._problem = ""
        self._up = True
        self._decided.set()
        _LOGGER.info("connected to %s", self.place)

    def _failed(self, client: Client, userdata: Any) -> None:
        # paho gives no reason, but calls this while it handles the error.
        self._lose(explained(sys.exc_info()[1]))

    def _disconnected(
        self,
        client: Client,
        userdata: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._ending:
            return
        if self._up:
            told = flags.is_disconnect_packet_from_server
            self._lose(f"it ended the connection: {reason}" if told else "the connection was lost")
        elif not self._refused:
            self._lose("it hung up without a greeting; check port and tls")
        self._refused = False

    def _acknowledged(
        self,
        client: Client,
        userdata: Any,
        mid: int,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._refusals.pop(mid, None)
        if not reason.is_failure or reason.value == _NOT_FOUND:
            return
        self._refusals[mid] = str(reason)
        if len(self._refusals) > _MAX_REFUSALS:
            self._refusals.popitem(last=False)
        if str(reason) != self._refusal:
            self._refusal = str(reason)
            _LOGGER.warning("%s refuses a message: %s", self.place, reason)

    def _heard(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        self._guarded(lambda: self._on_message(message.topic, bytes(message.payload)))

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            _LOGGER.exception("%s: nothing could be said", self.place)

    def _lose(self, problem: str) -> None:
        self._up = False
        if problem != self._problem and not self._ending:
            _LOGGER.warning("%s: %s", self.place, problem)
        self._problem = problem
        self._decided.set()
