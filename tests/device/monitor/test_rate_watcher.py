"""A source with a lower rate than the bundle's is a fault, until it has a higher one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from device.stream import MadeSource, noise

from edge_asd.audio.band import missing_band
from edge_asd.events.fault import FaultChange
from edge_asd.events.moment import Moment
from edge_asd.monitor.rate_watcher import RateWatcher

AT = Moment(datetime(2026, 11, 22, tzinfo=UTC), 0.1, "pump")


@pytest.mark.parametrize(
    ("source_rate_hz", "missing"),
    [(8000, True), (11_025, True), (15_999, True), (16_000, False), (48_000, False), (None, False)],
)
def test_frequencies_are_missing_below_the_rate_of_the_bundle(
    source_rate_hz: int | None, missing: bool
) -> None:
    assert (missing_band(source_rate_hz, 16_000) is not None) == missing


def test_the_fault_lasts_as_long_as_the_low_rate() -> None:
    source = MadeSource([], sample_rate_hz=16_000)
    changes: list[FaultChange] = []
    watcher = RateWatcher(source, changes.append)

    for rate_hz in (None, 8000, 8000, 11_025, 48_000, 48_000, 8000):
        source.source_rate_hz = rate_hz
        watcher.on_block(AT, noise(10))

    assert [(change.key, change.active) for change in changes] == [
        ("capture_band", True),
        ("capture_band", True),
        ("capture_band", False),
        ("capture_band", True),
    ]
    assert [change.figures["rate_hz"] for change in changes] == [8000, 11_025, 48_000, 8000]
