"""Messages by which Home Assistant finds the monitor over MQTT, without any configuration there.

One device whose entities (:data:`_ENTITIES`) are each announced by a retained message on
``<prefix>/<component>/edge-asd-<machine>/<key>/config``. Everything here is pure;
:mod:`edge_asd.outputs.mqtt` sends it. dBFS and ppm have no device class: Home
Assistant's ``sound_pressure`` and ``signal_strength`` take other units.
"""

from __future__ import annotations

from typing import Any

from edge_asd import __version__
from edge_asd.events.event import strict_json
from edge_asd.events.status import MACHINE_STATES

__all__ = ["BIRTH", "birth_topic", "discovery", "removal"]

BIRTH = b"online"  # what Home Assistant says when it has started

# Three of the state's heartbeats. Without it an entity would show its last value for ever
# when the monitor hangs while its connection lives on.
_EXPIRE_AFTER_S = 180


def birth_topic(prefix: str) -> str:
    """Where Home Assistant says that it has started."""
    return f"{prefix}/status"


def discovery(prefix: str, base: str, slug: str, machine: str) -> dict[str, str]:
    """Return what to publish, retained: JSON by topic.

    Parameters
    ----------
    prefix : Home Assistant's discovery prefix
    base : of the machine's own topics, which are ``<base>/state`` and so on
    slug : the machine's name with nothing but ``A-Z a-z 0-9 _ -``
    machine : its name for people
    """
    common = {
        "availability_topic": f"{base}/availability",
        "device": {
            "identifiers": [_node(slug)],
            "name": machine,
            "manufacturer": "edge-asd",
            "model": "Acoustic condition monitor",
            "sw_version": __version__,
        },
        "origin": {"name": "edge-asd", "sw_version": __version__},
        "expire_after": _EXPIRE_AFTER_S,
    }
    return {
        topic: strict_json(
            {
                "unique_id": f"{_node(slug)}-{key}",
                "state_topic": f"{base}/{'score' if key == 'score' else 'state'}",
            }
            | _with_attributes(_ENTITIES[component][key], f"{base}/state")
            | common
        )
        for topic, component, key in _topics(prefix, slug)
    }


def removal(prefix: str, slug: str) -> dict[str, str]:
    """Return what to publish, retained, to make all entities disappear."""
    return {topic: "" for topic, _, _ in _topics(prefix, slug)}


def _topics(prefix: str, slug: str) -> list[tuple[str, str, str]]:
    return [
        (f"{prefix}/{component}/{_node(slug)}/{key}/config", component, key)
        for component, entities in _ENTITIES.items()
        for key in entities
    ]


def _node(slug: str) -> str:
    return f"edge-asd-{slug}"


def _with_attributes(entity: dict[str, Any], topic: str) -> dict[str, Any]:
    if "json_attributes_template" not in entity:
        return entity
    return entity | {"json_attributes_topic": topic}


def _figure(name: str, value: str, unit: str = "", digits: int | None = None) -> dict[str, Any]:
    figure: dict[str, Any] = {
        "name": name,
        "value_template": f"{{{{ value_json.{value} }}}}",
        "state_class": "measurement",
    }
    if unit:
        figure["unit_of_measurement"] = unit
    if digits is not None:
        figure["suggested_display_precision"] = digits
    return figure


_DIAGNOSTIC = {"entity_category": "diagnostic"}

_ENTITIES: dict[str, dict[str, dict[str, Any]]] = {
    "binary_sensor": {
        "alarm": {
            "name": "Alarm",
            "device_class": "problem",
            # "None" is Home Assistant's word for unknown: no all-clear from a deaf monitor.
            "value_template": (
                "{{ 'ON' if value_json.alarm else 'None' if value_json.deaf"
                " or value_json.state in ('unknown', 'commissioning') else 'OFF' }}"
            ),
            "json_attributes_template": (
                "{{ {'alarm_id': value_json.alarm_id,"
                " 'shelved_until': value_json.shelved_until} | tojson }}"
            ),
        },
        "fault": {
            "name": "Monitor fault",
            "device_class": "problem",
            "value_template": "{{ 'OFF' if value_json.healthy else 'ON' }}",
            "json_attributes_template": (
                "{{ {'capture': value_json.capture, 'deaf': value_json.deaf,"
                " 'faults': value_json.faults} | tojson }}"
            ),
        }
        | _DIAGNOSTIC,
    },
    "sensor": {
        "state": {
            "name": "Alarm state",
            "device_class": "enum",
            "options": [state for state in MACHINE_STATES if state != "unknown"],
            "value_template": (
                "{{ 'None' if value_json.state == 'unknown' else value_json.state }}"
            ),
        },
        "score": _figure("Score", "score", digits=3),
        "threshold": _figure("Threshold", "threshold", digits=3) | _DIAGNOSTIC,
        "condition_hour": _figure("Condition, last hour", "condition.hour", digits=0),
        "condition_day": _figure("Condition, last day", "condition.day", digits=0),
        "near_level": _figure("Near level", "levels_dbfs.near", "dBFS", 1) | _DIAGNOSTIC,
        "far_level": _figure("Far level", "levels_dbfs.far", "dBFS", 1) | _DIAGNOSTIC,
        "drift": _figure("Clock drift", "drift_ppm", "ppm", 0) | _DIAGNOSTIC,
        "lost": _figure("Lost audio", "lost_s", "s")
        | {"device_class": "duration", "state_class": "total_increasing"}
        | _DIAGNOSTIC,
    },
}
