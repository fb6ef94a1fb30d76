"""The fault ``capture_band``: the source lacks frequencies that scores are made of."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.band import missing_band
from edge_asd.audio.block import Source
from edge_asd.events.event import Event
from edge_asd.events.fault import Report, ended, noticed
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher

__all__ = ["RateWatcher"]


class RateWatcher(Watcher):
    """Looks at the source's rate, which a card may change when it is opened again."""

    def __init__(self, source: Source, report: Report) -> None:
        self._source = source
        self._report = report
        self._rate_hz: int | None = None  # that was looked at
        self._missing: str | None = None

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        """Look, when the rate is another one."""
        rate_hz = self._source.source_rate_hz
        if rate_hz is None or rate_hz == self._rate_hz:
            return ()
        self._rate_hz, before = rate_hz, self._missing
        self._missing = missing_band(rate_hz, self._source.sample_rate_hz)
        if self._missing is not None:
            self._report(noticed("capture_band", self._missing, rate_hz=rate_hz))
        elif before is not None:
            self._report(ended("capture_band", f"it has {rate_hz} Hz now", rate_hz=rate_hz))
        return ()
