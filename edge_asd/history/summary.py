"""A minute, an hour or a day in some numbers, to which more of it can be added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from edge_asd.audio.level import SILENCE_DBFS, power_dbfs
from edge_asd.history.minute import Minute
from edge_asd.history.score_counts import quantiles

__all__ = ["Summary"]

_LEVELS = {
    "score_p05": 0.05,
    "score_p25": 0.25,
    "score_p50": 0.5,
    "score_p75": 0.75,
    "score_p95": 0.95,
}

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is kept of a span of time.

    All of it can be added to by :meth:`plus`, so that a minute comes into its hour and its day
    whenever it comes: after an outage, or after the clock was set.
    """

    start: int  # seconds since 1970, UTC
    heard_s: float = 0.0  # of running, while the monitor could be trusted to hear
    deaf_s: float = 0.0  # of running, while not; the rest of the span it was off
    windows: int = 0  # scored
    skipped: int = 0
    score_mean: float | None = None
    score_min: float | None = None
    score_p05: float | None = None
    score_p25: float | None = None
    score_p50: float | None = None
    score_p75: float | None = None
    score_p95: float | None = None
    score_max: float | None = None
    threshold: float | None = None  # the last
    condition: float | None = None  # mean of the index of the last hour
    condition_s: float = 0.0  # so long it was known
    sound_s: float = 0.0  # that the levels are of
    near_dbfs: float | None = None  # root mean square
    far_dbfs: float | None = None
    near_peak_dbfs: float | None = None
    far_peak_dbfs: float | None = None
    scores: dict[str, int] = field(default_factory=dict)  # windows, by bucket of their score
    branches: dict[str, tuple[int, float]] = field(default_factory=dict)  # windows, mean score
    states: dict[str, float] = field(default_factory=dict)  # seconds
    faults: dict[str, float] = field(default_factory=dict)  # seconds
    events: dict[str, int] = field(default_factory=dict)  # durable ones

    def plus(self, minute: Minute) -> Summary:
        """Return this span with another minute, or part of one, in it."""
        run_s = minute.heard_s + minute.deaf_s
        condition_s = run_s if minute.condition is not None else 0.0
        levels = _levels(self, minute)
        return replace(
            self,
            heard_s=self.heard_s + minute.heard_s,
            deaf_s=self.deaf_s + minute.deaf_s,
            windows=self.windows + minute.windows,
            skipped=self.skipped + minute.skipped,
            **_scores(self, minute),
            threshold=self.threshold if minute.threshold is None else minute.threshold,
            condition=_mean(self.condition, self.condition_s, minute.condition, condition_s),
            condition_s=self.condition_s + condition_s,
            sound_s=self.sound_s + minute.sound_s,
            **levels,
            branches=_branches(self.branches, minute.branches),
            states=_sums(self.states, minute.states),
            faults=_sums(self.faults, minute.faults),
            events=_sums(self.events, minute.events),
        )


def _scores(before: Summary, minute: Minute) -> dict[str, Any]:
    if not minute.windows:
        return {}
    n = before.windows + minute.windows
    least, most = minute.score_min, minute.score_max
    if before.score_min is not None and before.score_max is not None:
        least, most = min(least, before.score_min), max(most, before.score_max)
    counts = _sums(before.scores, {str(bucket): k for bucket, k in minute.scores.items()})
    levels = quantiles({int(bucket): k for bucket, k in counts.items()}, list(_LEVELS.values()))
    return {
        "score_mean": ((before.score_mean or 0.0) * before.windows + minute.score_sum) / n,
        "score_min": least,
        "score_max": most,
        **{name: min(max(q, least), most) for name, q in zip(_LEVELS, levels, strict=True)},
        "scores": counts,
    }


def _levels(before: Summary, minute: Minute) -> dict[str, Any]:
    if not minute.sound_s:
        return {}
    known = np.array([before.near_dbfs or 0.0, before.far_dbfs or 0.0])
    energy = before.sound_s * 10 ** (known / 10) + minute.energy
    near, far = power_dbfs(energy / (before.sound_s + minute.sound_s)).tolist()
    near_peak, far_peak = power_dbfs(minute.peak).tolist()
    return {
        "near_dbfs": near,
        "far_dbfs": far,
        "near_peak_dbfs": max(near_peak, _or_silence(before.near_peak_dbfs)),
        "far_peak_dbfs": max(far_peak, _or_silence(before.far_peak_dbfs)),
    }


def _or_silence(dbfs: float | None) -> float:
    return SILENCE_DBFS if dbfs is None else dbfs


def _mean(
    first: float | None, first_s: float, second: float | None, second_s: float
) -> float | None:
    if second is None or not second_s:
        return first
    if first is None:
        return second
    return (first * first_s + second * second_s) / (first_s + second_s)


def _branches(
    before: Mapping[str, tuple[int, float]], minute: Mapping[str, tuple[int, float]]
) -> dict[str, tuple[int, float]]:
    joined = dict(before)
    for name, (n, total) in minute.items():
        n_before, mean = before.get(name, (0, 0.0))
        joined[name] = n_before + n, (n_before * mean + total) / (n_before + n)
    return joined


def _sums(before: Mapping[str, Number], minute: Mapping[str, Number]) -> dict[str, Number]:
    return {name: before.get(name, 0) + minute.get(name, 0) for name in {*before, *minute}}
