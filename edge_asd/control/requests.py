"""What other commands ask of a running monitor: its status, to acknowledge, to shelve."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from edge_asd.alarm.reporter import AlarmReporter
from edge_asd.control.control_socket import Request
from edge_asd.errors import ControlError, EdgeAsdError, one_line
from edge_asd.events.event import Event, utc_text
from edge_asd.events.moment import Moment
from edge_asd.state.record import within_the_calendar

__all__ = ["Requests", "serve"]

_log = logging.getLogger(__name__)


class Requests(Protocol):
    """Requests in the order of their arrival."""

    def poll(self) -> Request | None: ...


def serve(
    request: Request,
    reporter: AlarmReporter,
    now: Moment,
    status: Callable[[], dict[str, Any]],
    take_over: Callable[[], Event],
    emit: Callable[[list[Event]], object],
) -> None:
    """Do what one request asks for, and answer it.

    Parameters
    ----------
    status : how the monitor is, :meth:`edge_asd.events.status.Status.to_dict`
    take_over : judges by what was learned since the start
    emit : is given what happened because of the request, before it is answered
    """
    reply: dict[str, Any] = {}
    events: list[Event] = []
    try:
        match request.command:
            case "status":
                reply = {"status": status()}
            case "ack":
                seen = reporter.acknowledge(now, _text(request, "note"))
                events, reply = [seen], {"alarm_id": seen.alarm_id}
            case "shelve":
                until, note = _time(request, "until"), _text(request, "note")
                cleared, shelved = reporter.shelve(now, until, note)
                events = [cleared, shelved] if cleared else [shelved]
                reply = {"alarm_id": shelved.alarm_id, "until": utc_text(shelved.until)}
            case "unshelve":
                events = [reporter.unshelve(now)]
            case "reload":
                events = [take_over()]
                reply = {"learned": events[0].to_dict()["text"]}
            case unknown:
                raise ControlError(
                    f"the monitor knows no request {unknown!r}; are both one version?"
                )
    except (EdgeAsdError, OSError) as error:  # OSError: what was learned cannot be read
        request.refuse(one_line(error))
        return
    except Exception as error:  # a mistake in answering is none in listening
        _log.exception("the request %r failed", request.command)
        request.refuse(f"the monitor failed to do it: {type(error).__name__}: {error}")
        return
    emit(events)
    request.reply(reply)


def _text(request: Request, name: str) -> str:
    value = request.arguments.get(name, "")
    if not isinstance(value, str):
        raise ControlError(f"{name} is {value!r}, expected text")
    return value


def _time(request: Request, name: str) -> datetime:
    try:
        time = within_the_calendar(datetime.fromisoformat(_text(request, name)))
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ControlError(f"{name} is {request.arguments.get(name)!r}, expected a time with zone")
    return time
