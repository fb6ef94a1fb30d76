"""Whether the times of events can be believed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from edge_asd.doctor.installation import Installation
from edge_asd.doctor.verdict import Verdict, not_checked, ok, warning
from edge_asd.monitor.stream_clock import clock_synchronised
from edge_asd.system_files import first_line

__all__ = ["clock", "synchronised", "time_zone"]

_MADE = datetime(2026, 1, 1, tzinfo=UTC)  # a clock before this was never set


def clock(installation: Installation) -> Iterator[Verdict]:
    """Clock and time zone."""
    yield synchronised(clock_synchronised(), datetime.now(UTC))
    yield time_zone(first_line(installation.root / "etc/timezone"), datetime.now().astimezone())


def synchronised(is_so: bool | None, now: datetime) -> Verdict:
    """Judge the clock; `is_so` is None where the system does not tell."""
    found = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    advice = "turn on time synchronisation: timedatectl set-ntp true; is the network there?"
    if now < _MADE:
        return warning("clock", f"{found}: it was never set", advice)
    if is_so is None:
        return not_checked("clock", f"{found}; the system does not tell whether it is synchronised")
    return (
        ok("clock", f"{found}, synchronised")
        if is_so
        else warning("clock", f"{found}, not synchronised", advice)
    )


def time_zone(name: str, now: datetime) -> Verdict:
    """Return the time zone of the device; events are in UTC."""
    return ok("time zone", f"{name or now.tzname()} (UTC{now:%z}); events are in UTC")
