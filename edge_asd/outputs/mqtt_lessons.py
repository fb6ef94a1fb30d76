"""What connections that have ended tell of an MQTT broker, and of another client there."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace

from edge_asd.outputs.mqtt_connection import Connection
from edge_asd.outputs.mqtt_limits import BrokerLimits

__all__ = ["Lessons"]

_AT_ONCE_S = 5.0  # after a message that it does not take a broker hangs up
_STRIKES = 2  # so often it may be chance
_RIVALS = 3  # connections that were taken over or did not last, within
_RIVALRY_S = 300.0


class Lessons:
    """Knowledge of one broker.

    Parameters
    ----------
    healthy_s : a connection that lasted so long was a good one
    """

    def __init__(self, healthy_s: float) -> None:
        self.limits = BrokerLimits()  # as far as MQTT 3.1.1, or a refusal, shows them
        self._healthy_s = healthy_s
        self._strikes = 0
        self._rivals: deque[float] = deque(maxlen=_RIVALS)  # when there seemed to be one

    @property
    def has_rival(self) -> bool:
        """Whether another client seems to have the same client id."""
        if len(self._rivals) < _RIVALS:
            return False
        first_s, last_s = self._rivals[0], self._rivals[-1]
        return max(time.monotonic() - last_s, last_s - first_s) <= _RIVALRY_S

    def learn(self, connection: Connection, lasted_s: float | None) -> bool:
        """Take a connection that has ended; return whether the next one will do better.

        Parameters
        ----------
        lasted_s : since the broker's greeting; None: there was none
        """
        before = self.limits
        if lasted_s is not None:
            self.limits = replace(before, in_flight=connection.limits.in_flight)
            self._look_for_rivals(connection, lasted_s)
            self._look_for_long_packets(connection)
            return self.limits.packet_bytes != before.packet_bytes
        if connection.is_under_way:
            self.limits = before.refused(str(connection.refusal))
        else:  # a broker that was away may come back with other settings
            self.limits, self._strikes = BrokerLimits(), 0
        return connection.is_under_way and self.limits != before

    def _look_for_rivals(self, connection: Connection, lasted_s: float) -> None:
        """Note a take-over, which not every broker tells from another end."""
        if connection.farewell is not None:
            taken_over = str(connection.farewell) == "Session taken over"
        else:
            taken_over = lasted_s < self._healthy_s and not _suspect_bytes(connection)
            taken_over &= not isinstance(connection.failure, TimeoutError)  # the network's silence
        if taken_over:
            self._rivals.append(time.monotonic())

    def _look_for_long_packets(self, connection: Connection) -> None:
        suspect_bytes = _suspect_bytes(connection)
        if not suspect_bytes:
            self._strikes = 0
            return
        self._strikes += 1
        if str(connection.farewell) == "Packet too large" or self._strikes >= _STRIKES:
            self._strikes = 0
            self.limits = self.limits.below(suspect_bytes, connection.proven_bytes)


def _suspect_bytes(connection: Connection) -> int:
    """Size of a packet at which the broker may have hung up; 0: there is none."""
    n_bytes = connection.unproven_bytes(_AT_ONCE_S)
    return n_bytes if n_bytes > connection.proven_bytes else 0
