"""A connection to an MQTT broker that comes back by itself, and says why it does not.

It speaks MQTT 5, which tells why a broker refuses a message. When a broker refuses the version, or
hangs up without a word as some do, MQTT 3.1.1 is tried before the next pause. Nothing outlives a
connection: what the broker has not acknowledged is published again by who wants it to arrive.

Connections that do not last are followed by growing pauses, however friendly their beginning was:
two clients with one client id, or a broker that hangs up at a long message, would go on for ever.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client, MQTTMessage, MQTTMessageInfo
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from edge_asd.errors import EventRefusedError, OutputError
from edge_asd.outputs.delivery import pauses_s
from edge_asd.outputs.mqtt_connection import Connection
from edge_asd.outputs.mqtt_lessons import Lessons
from edge_asd.outputs.mqtt_limits import shortened
from edge_asd.outputs.mqtt_tls import explained, tls_context

if TYPE_CHECKING:
    from edge_asd.outputs.mqtt import MqttSettings

__all__ = ["Link", "Patience"]

_LOGGER = logging.getLogger(__name__)

_NEWEST, _OLDER = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
_MAX_REFUSALS = 200
_LOOKS = 10  # how often who waits for an answer looks whether it still can come
_BUSY = ("Server unavailable", "Server busy", "Server shutting down")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for the broker, in seconds."""

    acknowledge_s: float = 10.0
    retry_min_s: float = 1.0
    retry_max_s: float = 60.0
    healthy_s: float = 90.0  # a connection that lasted so long was a good one
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
        self._logged: set[str] = set()  # problems since the last good connection
        self._decided = threading.Event()  # the first attempt has succeeded or failed
        self._refusals: OrderedDict[int, str] = OrderedDict()  # reasons by message id
        self._refusal = ""  # the last reason that was logged
        self._pending: tuple[str, Connection, MQTTMessageInfo] | None = None
        self._version = _NEWEST
        self._lessons = Lessons(patience.healthy_s)
        self._is_cut = False  # whether anything was too long for the limits
        if password and not self._tls and settings.host not in _LOOPBACK:
            _LOGGER.warning("%s gets the password unencrypted; set tls = true", self._place)
        try:
            settings.host.encode("idna")
        except ValueError as error:
            raise OutputError(
                f"sinks.mqtt.host is {settings.host!r}, which is no host name: {error}"
            ) from None
        self._greeting = threading.Lock()  # guards the following
        self._ending = threading.Event()
        self._connection = self._made(_NEWEST)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    @property
    def limited(self) -> str:
        """What the broker does not take of what is published; "" when that is nothing."""
        limits = self._connection.limits
        parts = {
            f"takes packets of {limits.packet_bytes} bytes at most, so that long messages lose "
            "what they can spare, or are left out": self._is_cut,
            "acknowledges nothing (no QoS 1), so that events may be lost": limits.qos == 0,
            "retains nothing, so that who comes late misses the state": not limits.retain,
        }
        found = "; ".join(text for text, holds in parts.items() if holds)
        return f"{self._place} {found}: change its settings" if found else ""

    @property
    def rivalry(self) -> str:
        """That another client seems to have the client id; "" when none does."""
        if not self._lessons.has_rival:
            return ""
        return (
            f"{self._place} ends each connection soon after it began, as it does when two clients "
            f"have one client id; is there another {self._client_id!r}? set sinks.mqtt.client_id"
        )

    def write(self, topic: str, payload: bytes) -> None:
        """Publish at most once; return when the message was written to the connection.

        A message that no packet of the broker holds is left out, as :attr:`limited` says.

        Raises
        ------
        OutputError
            When there is no connection.
        """
        connection = self._required()
        with suppress(EventRefusedError):
            self._wait(connection, self._publish(connection, topic, payload, qos=0))

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
        connection = self._required()
        if self._pending is None or self._pending[:2] != (key, connection):
            info = self._publish(connection, topic, payload, qos=1)
            self._pending = key, connection, info
        info = self._pending[2]
        self._wait(connection, info)
        self._pending = None
        if refusal := self._refusals.pop(info.mid, None):
            raise OutputError(f"{self._place} refuses a message: {refusal}; check its access rules")

    def retain(self, messages: Mapping[str, str]) -> None:
        """Publish retained messages by topic; do not wait for them."""
        for topic, payload in messages.items():
            with suppress(OutputError):  # said again after the next connect, or heartbeat
                self._publish(self._connection, topic, payload.encode(), qos=1, retain=True)

    def start(self) -> None:
        """Start the thread that connects again and again."""
        self._thread.start()

    def close(self) -> None:
        """Disconnect, and leave nothing on the broker but ``offline``."""
        with self._greeting:  # who has said "online" says "offline", too
            self._ending.set()
        if self.connected:
            with suppress(OutputError, RuntimeError, ValueError):
                farewell = self._publish(
                    self._connection, self._will, b"offline", qos=1, retain=True
                )
                farewell.wait_for_publish(self._patience.farewell_s)
        self._lose("the connection is closed")
        self._connection.disconnect()
        # It may be in the middle of a name lookup, which nothing can interrupt.
        self._thread.join(self._patience.farewell_s)

    def _run(self) -> None:
        least_s, most_s = self._patience.retry_min_s, self._patience.retry_max_s
        pauses = pauses_s(least_s, most_s)
        while not self._ending.is_set():
            if self._attempt():
                pauses = pauses_s(least_s, most_s)
            self._ending.wait(next(pauses))

    def _attempt(self) -> bool:
        """Connect, and stay connected; return whether the pauses begin anew."""
        connection = self._lived(self._version)
        if self._version == _NEWEST and _may_be_too_new(connection):
            older = self._lived(_OLDER)
            if older.greeted_s is not None:
                self._version = _OLDER
            connection = older
        if self._ending.is_set():
            return False
        self._lose(self._reason(connection))
        began_s = connection.greeted_s
        lasted_s = None if began_s is None else time.monotonic() - began_s
        was_good = lasted_s is not None and lasted_s >= self._patience.healthy_s
        if was_good:
            self._logged.clear()
        return self._lessons.learn(connection, lasted_s) or was_good

    def _lived(self, version: MQTTProtocolVersion) -> Connection:
        """Return a connection that has ended."""
        connection = self._made(version)
        with self._greeting:
            if self._ending.is_set():
                return connection
            self._connection = connection
        connection.run(self._patience.keepalive_s)
        return connection

    def _made(self, version: MQTTProtocolVersion) -> Connection:
        connection = Connection(
            self._settings,
            version,
            client_id=self._client_id,
            password=self._password,
            tls=self._tls,
            will=self._will,
            limits=self._lessons.limits,
            on_greeting=self._greeted,
        )
        connection.on_publish = self._acknowledged
        connection.on_message = self._heard
        return connection

    def _greeted(self, connection: Connection) -> None:
        with self._greeting:
            if self._ending.is_set():
                connection.disconnect()
                return
            self._is_cut = False
            for topic in self._listen_to:
                connection.subscribe(topic)
            self._guarded(self._on_up)
            self._problem = ""
            self.connected = True
        self._decided.set()
        _LOGGER.info("connected to %s with %s", self._place, connection.protocol.name)

    def _reason(self, connection: Connection) -> str:
        """Say why a connection ended, or was none."""
        if connection.refusal is not None:
            advice = "" if connection.refusal in _BUSY else "; check username, password, client_id"
            return f"it refuses the connection: {connection.refusal}{advice}"
        if connection.farewell is not None:
            return f"it ended the connection: {connection.farewell}"
        if connection.has_choked:
            self._listen_to = ()  # it would come again with every connection
            return f"{connection.failure}; Home Assistant's restarts are not listened to any more"
        if connection.greeted_s is not None:
            return "the connection was lost"
        hung_up = isinstance(connection.failure, ConnectionError) and connection.is_under_way
        if connection.failure is None or hung_up:
            places = "port, tls and cert_file" if self._tls else "port and tls"
            return f"it hung up without a greeting; check {places}"
        return explained(connection.failure)

    def _unanswered(self) -> OutputError:
        reason = self._problem or f"no answer for {self._patience.acknowledge_s:g} s"
        return OutputError(f"{self._place}: {reason}")

    def _required(self) -> Connection:
        """Return the connection, if there is one; wait only for the first attempt."""
        self._decided.wait(self._patience.acknowledge_s)
        connection = self._connection
        if not self.connected:
            raise self._unanswered()
        return connection

    def _publish(
        self,
        connection: Connection,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        retain: bool = False,
    ) -> MQTTMessageInfo:
        fitting = shortened(topic, payload, connection.limits)
        self._is_cut |= fitting != payload
        if fitting is None:
            raise EventRefusedError(
                f"{self._place} takes {connection.limits.packet_bytes} bytes at most, less than a "
                "message needs"
            )
        info = connection.send(topic, fitting, qos, retain=retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_NO_CONN and qos > 0:
            info.rc = MQTTErrorCode.MQTT_ERR_SUCCESS  # the wait for it tells
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            raise OutputError(f"{self._place}: too many messages wait for an answer already")
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._unanswered()
        return info

    def _wait(self, connection: Connection, info: MQTTMessageInfo) -> None:
        """Wait for the answer to a message, as long as there is a connection."""
        for _ in range(_LOOKS):
            try:
                info.wait_for_publish(self._patience.acknowledge_s / _LOOKS)
                if info.is_published():
                    return
            except (RuntimeError, ValueError):  # QoS 0, and the connection was lost
                raise OutputError(f"{self._place}: the connection was lost") from None
            if connection.ended.is_set() or not self.connected:
                break
        raise self._unanswered()

    def _acknowledged(
        self, client: Client, _data: Any, mid: int, reason: ReasonCode, _more: Any
    ) -> None:
        self._refusals.pop(mid, None)
        if not reason.is_failure:
            if isinstance(client, Connection):
                client.acknowledge(mid)
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
        if problem not in self._logged and not self._ending.is_set():
            self._logged.add(problem)
            _LOGGER.warning("%s: %s", self._place, problem)
        self._problem = problem
        self._decided.set()


def _may_be_too_new(connection: Connection) -> bool:
    """Whether a broker that is older than MQTT 5 ends a connection like this."""
    if connection.refusal is not None:
        return str(connection.refusal) == "Unsupported protocol version"
    wordless = isinstance(connection.failure, ConnectionError | TimeoutError | None)
    return connection.greeted_s is None and connection.is_under_way and wordless
