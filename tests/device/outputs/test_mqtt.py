"""What a broker is told: events, the state, and who is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from device.made_events import GAP, NOTICE, SCORE
from device.mosquitto import Broker, Listener, needs_mosquitto
from device.mqtt_transports import (
    NOW_S,
    a_transport,
    send,
)
from device.reports import SILENT, a_notice, a_status
from device.waiting import wait_until
from hypothesis import given
from hypothesis import strategies as st

from edge_asd.errors import OutputError
from edge_asd.events.status import Status
from edge_asd.outputs.mqtt import MqttTransport, machine_slug


@needs_mosquitto
def test_an_event_that_must_arrive_is_acknowledged_and_not_retained(
    broker: Broker, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    send(connect(broker.port), NOTICE)

    listener.last("pump/event")
    (message,) = [m for m in listener.messages if m.topic == "edge-asd/pump/event"]
    assert (message.qos, message.retain) == (1, False)
    assert json.loads(message.payload) == NOTICE.to_dict()


@needs_mosquitto
@pytest.mark.parametrize(("event", "topic"), [(SCORE, "score"), (GAP, "event")])
def test_an_event_that_may_be_lost_is_sent_at_most_once(
    event: Any,
    topic: str,
    broker: Broker,
    listener: Listener,
    connect: Callable[..., MqttTransport],
) -> None:
    send(connect(broker.port), event)

    listener.last(f"pump/{topic}")
    (message,) = [m for m in listener.messages if m.topic == f"edge-asd/pump/{topic}"]
    assert (message.qos, message.retain) == (0, False)
    assert json.loads(message.payload) == event.to_dict()


@needs_mosquitto
def test_a_monitor_that_ended_leaves_no_state_that_is_said_to_be_normal(broker: Broker) -> None:
    transport = a_transport(broker.port)
    send(transport, NOTICE)
    transport.close()

    late = Listener(broker.port)
    state = json.loads(late.last("edge-asd/pump/state"))
    late.close()

    assert (state["state"], state["healthy"], state["stale"]) == ("unknown", False, True)


@needs_mosquitto
def test_who_comes_late_hears_the_state_and_that_the_monitor_is_there(
    broker: Broker, connect: Callable[..., MqttTransport]
) -> None:
    send(connect(broker.port), NOTICE)

    late = Listener(broker.port)
    state = json.loads(late.last("edge-asd/pump/state"))
    late.wait_for("edge-asd/pump/availability", "online")
    late.close()

    assert (state["healthy"], state["alarm"], state["state"]) == (True, False, "normal")
    assert state["levels_dbfs"] == {"near": -31.5, "far": -40.25}
    assert state["score_age_s"] == 1.5


@needs_mosquitto
@pytest.mark.parametrize(
    "changes",
    [{"alarm_state": "alarm", "alarm_id": "pump-1"}, {"capture": "lost"}, {"faults": (SILENT,)}],
)
def test_the_state_is_told_at_once_when_it_changes(
    changes: dict[str, Any],
    broker: Broker,
    listener: Listener,
    connect: Callable[..., MqttTransport],
) -> None:
    statuses = [a_status()]
    connect(broker.port, status=lambda: statuses[-1])
    listener.last("/state")
    listener.forget()

    statuses.append(a_status(**changes))

    told = json.loads(listener.last("/state"))
    assert told["healthy"] is ("alarm_state" in changes)
    assert told["alarm"] is (True if "alarm_state" in changes else None)


@needs_mosquitto
def test_figures_wait_for_the_heartbeat_which_repeats_that_the_monitor_is_there(
    broker: Broker, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    now_s = [NOW_S]
    statuses = [a_status()]
    polls: list[float] = []

    def status() -> Status:
        polls.append(now_s[0])
        return statuses[-1]

    connect(broker.port, status=status, clock=lambda: now_s[0])
    listener.last("/state")
    listener.forget()
    statuses.append(a_status(score=0.75, updated_s=159.0))
    wait_until(lambda: len(polls) > 5, "the state is looked at some times")
    assert listener.payloads("/state") == []

    now_s[0] += 60

    assert json.loads(listener.last("/state"))["score"] == 0.75
    assert listener.last("/availability") == "online"


@needs_mosquitto
def test_the_state_of_a_monitor_that_hangs_is_deaf(
    broker: Broker, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    now_s = [NOW_S]
    connect(broker.port, clock=lambda: now_s[0])
    assert json.loads(listener.last("/state"))["healthy"] is True
    listener.forget()

    now_s[0] = 131.0

    state = json.loads(listener.last("/state"))
    assert (state["healthy"], state["deaf"], state["stale"]) == (False, True, True)


@needs_mosquitto
def test_a_monitor_that_ends_says_so_and_leaves_no_thread(
    broker: Broker, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", logger="edge_asd")
    transport = a_transport(broker.port)
    send(transport, NOTICE)

    transport.close()

    listener.wait_for("/availability", "offline")
    assert caplog.text == ""
    assert "mqtt-state" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(OutputError, match="the connection is closed"):
        send(transport, a_notice(1))


@needs_mosquitto
def test_a_monitor_that_ends_before_it_is_connected_leaves_nothing_behind(
    broker: Broker, listener: Listener
) -> None:
    threads = threading.active_count()
    for _ in range(5):
        a_transport(broker.port).close()

    wait_until(lambda: threading.active_count() <= threads, "the threads end")
    late = Listener(broker.port)
    late.publish("edge-asd/pump/score", "the end")
    late.last("/score")
    late.close()
    assert late.payloads("/availability") in ([], ["offline"])


KILLED = """
import sys
sys.path[:] = {path!r}
from device.made_events import NOTICE
from device.mqtt_transports import a_transport, send
send(a_transport({port}), NOTICE)
print("sent", flush=True)
sys.stdin.read()
"""


@needs_mosquitto
def test_the_broker_says_offline_when_the_monitor_is_killed(
    broker: Broker, listener: Listener
) -> None:
    code = KILLED.format(path=sys.path, port=broker.port)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as monitor:
        assert monitor.stdout is not None
        assert monitor.stdout.readline() == b"sent\n"
        listener.wait_for("/availability", "online")

        monitor.kill()

        listener.wait_for("/availability", "offline")


def test_a_plain_name_is_its_own_part_of_the_topics() -> None:
    assert machine_slug("pump-3_B") == "pump-3_B"


@given(st.text(max_size=100))
def test_no_name_reaches_a_topic_with_a_character_that_has_a_meaning(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,63}", machine_slug(name))


@given(st.text(max_size=100), st.text(max_size=100))
def test_different_names_have_different_topics(one: str, other: str) -> None:
    assert (machine_slug(one) == machine_slug(other)) == (one == other)
