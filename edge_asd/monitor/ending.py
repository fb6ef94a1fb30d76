"""The end of a run: all parts are closed at the same time, within one deadline.

A part that hangs (a broker that does not answer, a disk, a driver, a terminal that is stopped)
is left behind, and costs the others nothing. After the parts come the journal, the state files
and the log, which take four seconds at most: the whole end takes ten.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Protocol, TypeVar

__all__ = ["RunEnd"]

_WITHIN_S = 5.5

_log = logging.getLogger(__name__)


class _Closable(Protocol):
    def close(self) -> None: ...


Part = TypeVar("Part", bound=_Closable)


class RunEnd:
    """Closes what was opened for a run.

    Parameters
    ----------
    within_s : for all parts together
    """

    def __init__(self, within_s: float = _WITHIN_S) -> None:
        self._within_s = within_s
        self._parts: list[_Closable] = []

    def add(self, part: Part) -> Part:
        """Have a part closed at the end; return it."""
        self._parts.append(part)
        return part

    def close(self) -> None:
        """Close all parts; one that fails keeps no other from being closed."""
        end_s = time.monotonic() + self._within_s
        parts, self._parts = self._parts, []
        threads = [
            threading.Thread(target=_close, args=(part,), name=_name(part), daemon=True)
            for part in reversed(parts)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(end_s - time.monotonic(), 0.0))
            if thread.is_alive():
                _log.warning("%s does not end, and is left behind", thread.name)


def _close(part: _Closable) -> None:
    try:
        part.close()
    except Exception:
        _log.exception("%s could not be closed", _name(part))


def _name(part: _Closable) -> str:
    return str(getattr(part, "name", type(part).__name__))
