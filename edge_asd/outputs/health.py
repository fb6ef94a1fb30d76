"""The verdict of the health page and of MQTT: whether the monitor can be trusted.

A :class:`~edge_asd.events.status.Status` says how the monitor was when it was made. A
monitor that hangs leaves a status in which everything is well: one that is too old counts as deaf.
"""

from __future__ import annotations

import json
from typing import Any

from edge_asd.events.event import plain
from edge_asd.events.status import Status

__all__ = ["ALARM_STATES", "STALE_AFTER_S", "strict_json", "verdict"]

# A monitor renews its status with every block of audio, and while none arrives several times
# a second; the slowest window takes seconds. The service manager's watchdog waits as long.
STALE_AFTER_S = 30.0

ALARM_STATES = ("normal", "warning", "alarm", "acknowledged", "shelved", "cleared", "commissioning")


def verdict(status: Status, now_s: float) -> dict[str, Any]:
    """Return `status` as JSON knows it, judged at the monotonic time `now_s`.

    It has what :meth:`~edge_asd.events.status.Status.to_dict` has, and

    - ``stale``: the monitor has not renewed its status; ``healthy`` is then false and
      ``deaf`` true, whatever it said last;
    - ``alarm``: whether an alarm is on, acknowledged or not;
    - ``status_age_s``, ``audio_age_s`` and ``score_age_s``: seconds since the monitor's last
      sign of life, since audio came and since a window was scored; null for never;
    - ``levels_dbfs`` with both channels, null where nothing was measured.
    """
    stale = now_s - status.updated_s > STALE_AFTER_S
    levels = {"near": None, "far": None} | status.levels_dbfs
    content = status.to_dict() | {
        "healthy": status.healthy and not stale,
        "deaf": status.deaf or stale,
        "stale": stale,
        "alarm": status.state in ("alarm", "acknowledged"),
        "levels_dbfs": levels,
        "status_age_s": _age_s(status.updated_s, now_s),
        "audio_age_s": _age_s(status.audio_at_s, now_s),
        "score_age_s": _age_s(status.score_at_s, now_s),
    }
    known: dict[str, Any] = plain(content)  # silence is -inf dBFS
    return known


def strict_json(content: dict[str, Any]) -> str:
    """One line of JSON that every parser accepts."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False)


def _age_s(then_s: float | None, now_s: float) -> float | None:
    return None if then_s is None else round(max(0.0, now_s - then_s), 3)
