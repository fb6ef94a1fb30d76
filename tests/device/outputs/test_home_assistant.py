"""Home Assistant finds the monitor by itself, and is never shown an all-clear that is none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from device.made_events import SCORE
from device.mosquitto import Broker, Listener, needs_mosquitto
from device.mqtt_transports import a_transport, send
from device.reports import SILENT, UNREACHABLE, a_status
from device.waiting import wait_until

from edge_asd import __version__
from edge_asd.events.event import strict_json
from edge_asd.events.status import Status
from edge_asd.outputs.home_assistant import birth_topic, discovery, removal
from edge_asd.outputs.mqtt import MqttTransport

NOW_S = 100.5
BASE = "edge-asd/pump"
TOPICS = {
    f"homeassistant/{entity}/config"
    for entity in (
        "binary_sensor/edge-asd-pump/alarm",
        "binary_sensor/edge-asd-pump/fault",
        "sensor/edge-asd-pump/state",
        "sensor/edge-asd-pump/score",
        "sensor/edge-asd-pump/threshold",
        "sensor/edge-asd-pump/condition_hour",
        "sensor/edge-asd-pump/condition_day",
        "sensor/edge-asd-pump/near_level",
        "sensor/edge-asd-pump/far_level",
        "sensor/edge-asd-pump/drift",
        "sensor/edge-asd-pump/lost",
    )
}
# Home Assistant refuses a class with a unit or a state class that it does not allow.
UNITS: dict[str | None, set[str | None]] = {
    None: {None, "dBFS", "ppm"},
    "enum": {None},
    "duration": {"s"},
}
STATE_CLASSES: dict[str | None, set[str | None]] = {
    None: {"measurement"},
    "enum": {None},
    "duration": {"measurement", "total", "total_increasing"},
}


def announced() -> dict[str, dict[str, Any]]:
    messages = discovery("homeassistant", BASE, "pump", "pump")
    return {topic: json.loads(payload) for topic, payload in messages.items()}


def entity(key: str) -> dict[str, Any]:
    return next(config for topic, config in announced().items() if topic.split("/")[3] == key)


def shown(key: str, status: Status, *, now_s: float = NOW_S, field: str = "value_template") -> str:
    """What Home Assistant makes of the state topic."""
    jinja2 = pytest.importorskip("jinja2", reason="needs Jinja: pip install 'edge-asd[export]'")
    state = json.loads(strict_json(status.to_dict(now_s)))
    return str(jinja2.Template(entity(key)[field]).render(value_json=state))


def test_these_entities_are_announced() -> None:
    assert set(announced()) == TOPICS


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_an_entity_belongs_to_the_device_and_says_where_it_comes_from(topic: str) -> None:
    config = announced()[topic]

    assert config["device"]["identifiers"] == ["edge-asd-pump"]
    assert config["device"]["name"] == "pump"
    assert config["device"]["sw_version"] == __version__
    assert config["origin"] == {"name": "edge-asd", "sw_version": __version__}
    assert config["availability_topic"] == f"{BASE}/availability"
    assert config["state_topic"] in (f"{BASE}/state", f"{BASE}/score")
    assert config["expire_after"] == 180
    assert re.fullmatch(r"[A-Za-z0-9_-]+", config["unique_id"])


def test_every_entity_has_an_id_of_its_own() -> None:
    ids = {config["unique_id"] for config in announced().values()}

    assert len(ids) == len(TOPICS)


@pytest.mark.parametrize("topic", sorted(t for t in TOPICS if t.startswith("homeassistant/s")))
def test_a_sensor_has_a_unit_and_a_state_class_that_its_device_class_allows(topic: str) -> None:
    config = announced()[topic]
    device_class = config.get("device_class")

    assert config.get("unit_of_measurement") in UNITS[device_class]
    assert config.get("state_class") in STATE_CLASSES[device_class]


@pytest.mark.parametrize("key", ["alarm", "fault"])
def test_alarm_and_fault_are_problems(key: str) -> None:
    assert entity(key)["device_class"] == "problem"


def test_only_what_is_about_the_machine_is_on_the_front_page() -> None:
    front = {t.split("/")[3] for t, c in announced().items() if "entity_category" not in c}

    assert front == {"alarm", "state", "score", "condition_hour", "condition_day"}


@pytest.mark.parametrize(
    ("status", "alarm", "fault"),
    [
        (a_status(), "OFF", "OFF"),
        (a_status(alarm_state="warning"), "OFF", "OFF"),
        (a_status(alarm_state="commissioning"), "None", "OFF"),
        (a_status(alarm_state="alarm"), "ON", "OFF"),
        (a_status(alarm_state="acknowledged"), "ON", "OFF"),
        (a_status(faults=(UNREACHABLE,)), "OFF", "ON"),
        (a_status(faults=(SILENT,)), "None", "ON"),
        (a_status(capture="lost"), "None", "ON"),
        (a_status(capture="lost", alarm_state="alarm"), "ON", "ON"),
    ],
)
def test_a_deaf_monitor_gives_no_all_clear(status: Status, alarm: str, fault: str) -> None:
    assert (shown("alarm", status), shown("fault", status)) == (alarm, fault)


def test_a_monitor_that_hangs_gives_no_all_clear() -> None:
    assert shown("alarm", a_status(), now_s=131.0) == "None"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("state", "normal"),
        ("threshold", "1.5"),
        ("near_level", "-31.5"),
        ("far_level", "-40.25"),
        ("drift", "None"),
        ("lost", "0.0"),
    ],
)
def test_a_sensor_shows_its_figure_or_that_it_is_unknown(key: str, expected: str) -> None:
    assert shown(key, a_status()) == expected


def test_the_score_is_read_from_the_scores() -> None:
    jinja2 = pytest.importorskip("jinja2", reason="needs Jinja: pip install 'edge-asd[export]'")
    template = jinja2.Template(entity("score")["value_template"])

    assert entity("score")["state_topic"] == f"{BASE}/score"
    assert template.render(value_json=json.loads(SCORE.to_json())) == "1.5"


def test_details_of_alarm_and_fault_are_attributes() -> None:
    status = a_status(alarm_state="alarm", alarm_id="pump-1", faults=(SILENT,))

    alarm = json.loads(shown("alarm", status, field="json_attributes_template"))
    fault = json.loads(shown("fault", status, field="json_attributes_template"))

    assert alarm == {"alarm_id": "pump-1", "shelved_until": None}
    assert fault["deaf"] is True
    assert fault["faults"][0]["detail"] == "both channels are digital silence"


def test_removal_empties_every_topic_that_was_announced() -> None:
    assert removal("homeassistant", "pump") == dict.fromkeys(TOPICS, "")


@pytest.fixture
def connect() -> Iterator[Callable[..., MqttTransport]]:
    made: list[MqttTransport] = []

    def connect(port: int, **options: Any) -> MqttTransport:
        made.append(a_transport(port, **{"discovery": True} | options))
        return made[-1]

    yield connect
    for transport in made:
        transport.close()


def configured(listener: Listener) -> dict[str, str]:
    messages = [m for m in list(listener.messages) if m.topic.endswith("/config")]
    return {message.topic: message.payload.decode() for message in messages}


def wait_until_announced(listener: Listener) -> None:
    wait_until(lambda: set(configured(listener)) == TOPICS, "everything is announced")


@needs_mosquitto
def test_who_comes_late_finds_the_announcement(
    broker: Broker, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    connect(broker.port)
    wait_until_announced(listener)

    late = Listener(broker.port, "homeassistant/#")
    wait_until_announced(late)
    late.close()

    assert json.loads(configured(late)["homeassistant/sensor/edge-asd-pump/state/config"])


@needs_mosquitto
def test_everything_is_announced_again_to_a_broker_that_has_forgotten(
    broker: Broker, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    connect(broker.port)
    wait_until_announced(listener)
    broker.kill()
    listener.wait_until_disconnected()
    listener.forget()

    broker.start()

    wait_until_announced(listener)


@needs_mosquitto
def test_everything_is_announced_again_when_home_assistant_comes_back(
    broker: Broker, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    connect(broker.port)
    wait_until_announced(listener)
    listener.last("/state")
    listener.forget()

    listener.publish(birth_topic("homeassistant"), "online")

    wait_until_announced(listener)
    listener.wait_for("/availability", "online")
    assert json.loads(listener.last("/state"))["healthy"] is True


@needs_mosquitto
def test_what_home_assistant_says_when_it_goes_is_no_reason_to_announce(
    broker: Broker, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    transport = connect(broker.port)
    wait_until_announced(listener)
    listener.forget()

    listener.publish(birth_topic("homeassistant"), "offline")
    send(transport, SCORE)
    listener.last("/score")

    assert configured(listener) == {}


@needs_mosquitto
def test_a_monitor_that_is_no_longer_to_be_announced_takes_it_back(
    broker: Broker, listener: Listener, connect: Callable[..., MqttTransport]
) -> None:
    announcing = connect(broker.port)
    wait_until_announced(listener)
    announcing.close()

    connect(broker.port, discovery=False)

    wait_until(lambda: set(configured(listener).values()) == {""}, "it is taken back")
    late = Listener(broker.port)
    late.last("/state")
    late.close()
    assert configured(late) == {}
