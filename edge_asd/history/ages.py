"""How long minutes, hours and days are kept: the older, the coarser."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SPECTRA", "SUMMARIES", "Span", "cutoff"]

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Span:
    """One table of the history: what is kept of each span of time."""

    table: str
    seconds: int
    keep_s: int | None  # None: for ever

    def start(self, time_s: int) -> int:
        """Return when the span of a time begins; both in seconds since 1970."""
        return time_s // self.seconds * self.seconds


SUMMARIES = (
    Span("minutes", 60, 14 * DAY_S),
    Span("hours", 3600, 400 * DAY_S),
    Span("days", DAY_S, None),
)
SPECTRA = (
    Span("quarter_spectra", 900, 14 * DAY_S),
    Span("hour_spectra", 3600, 400 * DAY_S),
    Span("day_spectra", DAY_S, None),
)


def cutoff(span: Span, now_s: int, proven_s: int | None) -> int | None:
    """Return before when a table keeps nothing; None: it keeps everything.

    Parameters
    ----------
    now_s : by the clock of the system
    proven_s : a time after which an hour or more was recorded; None: no whole hour was. A clock
        that is wrong by years for less than an hour must not cost what was recorded before.
    """
    if span.keep_s is None or proven_s is None:
        return None
    return span.start(min(now_s, proven_s) - span.keep_s)
