"""Events read back from the JSON that they were written as."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from edge_asd.events import event as events
from edge_asd.events.event import Event
from edge_asd.explain.explanation import Explanation

__all__ = ["event_names", "read_event"]

_KINDS: Mapping[str, type[Event]] = {
    kind.event: kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind.event
}


def event_names() -> list[str]:
    """Names of all events, as ``event`` in their JSON says them."""
    return sorted(_KINDS)


def read_event(line: str | bytes) -> Event:
    """Return the event that :meth:`~edge_asd.events.event.Event.to_json` wrote.

    It may come from an earlier or later version of the program: what this version does
    not know is left out, and what that version did not know is None.

    Raises
    ------
    ValueError
        When it is not an event.
    """
    try:
        content = json.loads(line)
        kind = _KINDS[content["event"]]
        values = {field.name: content.get(field.name) for field in fields(kind)}
        event = kind(**{name: _read(name, value) for name, value in values.items()})
        event.to_json()
    except (AttributeError, KeyError, RecursionError, TypeError) as error:
        raise ValueError(f"not an event: {error!r}") from error
    return event


def _read(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in ("time", "until"):
        return datetime.fromisoformat(value)
    if name == "explanation":
        return Explanation(**{field.name: value.get(field.name) for field in fields(Explanation)})
    return value
