"""The part of the bundle contract that says how scores become alarms: fusion, levels, promise.

What is learned on site is made of the same records.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import NormalDist
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from edge_asd.bundle.record import (
    LEAST_SCORE,
    HopSeconds,
    Positive,
    PositiveFloat,
    Rate,
    Record,
    Score,
)

__all__ = [
    "LONGEST_WINDOW_S",
    "MONTH_S",
    "MOST_WINDOWS",
    "FusionSpec",
    "PromiseSpec",
    "TermSpec",
    "ThresholdSpec",
    "clear_rate",
    "require_levels",
]

MONTH_S = 365.25 / 12 * 86_400
MOST_WINDOWS = 1000  # windows that an alarm may look back at
LONGEST_WINDOW_S = 600.0

_CLEAR_RATE_FACTOR = 10.0  # of the false-alarm rate; at most every second normal window is above
_SAME_SUM = 1e-6
_DEEPEST_SUM = 10  # channels, models and systems are three
# Of a level, by which a threshold may miss those of the rates around its own: programs before
# format 4 took them from quantiles that might cross.
_CROSSING = 0.05


class TermSpec(Record):
    """``weight * (score - mean) / std`` of a branch or of a nested sum."""

    of: str | FusionSpec
    weight: Annotated[float, Field(ge=0, le=1)]
    mean: Score = 0.0
    std: PositiveFloat = 1.0


class FusionSpec(Record):
    """A weighted sum with all its numbers; weights sum to one."""

    terms: Annotated[tuple[TermSpec, ...], Field(min_length=1)]
    method: str  # how the weights were chosen, in words
    labels: str | None = None  # which labels chose them; None: no labels were used

    @model_validator(mode="after")
    def _weights_sum_to_one(self) -> Self:
        total = sum(term.weight for term in self.terms)
        if abs(total - 1) > _SAME_SUM:
            raise ValueError(f"weights sum to {total:g}, expected 1")
        return self

    @model_validator(mode="after")
    def _is_shallow(self) -> Self:
        if self.depth > _DEEPEST_SUM:
            raise ValueError(f"sums are nested more than {_DEEPEST_SUM} deep")
        return self

    @property
    def depth(self) -> int:
        """How many sums are nested, this one included."""
        return 1 + max(one.of.depth if isinstance(one.of, FusionSpec) else 0 for one in self.terms)

    def branches(self) -> set[str]:
        """Names of the branches of this sum and of those nested in it."""
        nested = [term.of.branches() for term in self.terms if isinstance(term.of, FusionSpec)]
        return {term.of for term in self.terms if isinstance(term.of, str)}.union(*nested)


class ThresholdSpec(Record):
    """Alarm levels, statistics of the machine's normal sound."""

    threshold: Score  # a window above it speaks for an alarm
    clear_threshold: Score  # a window below it speaks for clearing
    false_alarm_rate: Rate  # stated, per window
    method: str
    n_scores: Positive  # normal scores behind it, each of sound that its references do not hold
    n_takes: Positive | None = None  # independent recordings behind these; None: not known
    # Whether the networks were trained with the sound of these scores, which then are too low.
    heard: bool = False
    # (rate, level), rates falling: the level that so large a share of normal windows exceeds.
    levels: tuple[tuple[Rate, Score], ...] = ()

    @model_validator(mode="after")
    def _levels_are_in_order(self) -> Self:
        if len(self.levels) == 1:
            raise ValueError("one level says nothing of other rates, expected two or none")
        for (rate, level), (next_rate, next_level) in pairwise(self.levels):
            if not (next_rate < rate and level <= next_level):
                raise ValueError(f"levels of {rate} and {next_rate} are not in order")
        return self

    @model_validator(mode="after")
    def _thresholds_fit(self) -> Self:
        if self.clear_threshold > self.threshold:
            raise ValueError(
                f"clear_threshold {self.clear_threshold} is above threshold {self.threshold}"
            )
        if self.n_takes is not None and self.n_takes > self.n_scores:
            raise ValueError(f"{self.n_scores} scores are of {self.n_takes} takes")
        if self.levels:
            rate = self.false_alarm_rate
            self._require_between("threshold", self.threshold, rate, math.inf)
            self._require_between(
                "clear_threshold", self.clear_threshold, clear_rate(rate), self.threshold
            )
        return self

    def level_at(self, rate: float) -> float:
        """Return the level that a share of normal windows exceeds, from `levels`.

        Between two levels, and beyond the last, their logarithm is a straight line over the normal
        quantile of the rate, or they themselves where they are not positive. Beyond the last that
        is a longer tail than that of a gamma distribution: the safe side.
        """
        rates, levels = zip(*self.levels, strict=True)
        place = NormalDist().inv_cdf
        known, wanted = [-place(each) for each in rates], -place(rate)
        positive = min(levels) > 0
        values = np.log(levels) if positive else np.asarray(levels)
        if wanted <= known[-1]:
            value = float(np.interp(wanted, known, values))
        else:
            slope = (values[-1] - values[-2]) / (known[-1] - known[-2])
            value = float(values[-1] + slope * (wanted - known[-1]))
        return float(np.exp(value)) if positive else value

    def _require_between(self, what: str, value: float, rate: float, most: float) -> None:
        """Check a threshold against the levels of the rates around its own."""
        common = [level for known, level in self.levels if known >= rate]
        rare = [level for known, level in self.levels if known <= rate]
        last = self.levels[-1][1]
        # Beyond the last level twice as far as it is continued: other tails are longer.
        highest = rare[0] if rare else 2 * self.level_at(rate) - last
        lowest = min(common[-1] if common else LEAST_SCORE, most)
        if not lowest - _CROSSING * abs(lowest) <= value <= highest + _CROSSING * abs(highest):
            raise ValueError(
                f"{what} {value:g} contradicts the levels: {rate:g} of normal windows lie above "
                f"{lowest:g} to {highest:g}"
            )


class PromiseSpec(Record):
    """How often a machine's alarm errs, how fast it is, and how far both can be trusted."""

    # False alarms that were asked for, and that are expected.
    wanted_per_month: Annotated[float, Field(gt=0, le=10_000)]
    false_alarms_per_month: Annotated[float, Field(ge=0)]
    # An alarm is raised when n of the last m windows are above.
    confirm_n: Positive
    confirm_m: Annotated[int, Field(gt=0, le=MOST_WINDOWS)]
    hop_s: HopSeconds  # from window to window, as it was counted
    delay_s: Annotated[float, Field(gt=0)]  # until a fault is raised that keeps n of m above
    trust: Literal["measured", "estimated", "extrapolated"]
    lasting_share: Annotated[float, Field(ge=0, le=1)]  # of the variance of normal scores ...
    lasting_s: Annotated[float, Field(gt=0, le=MONTH_S)]  # ... that stays for so long

    @model_validator(mode="after")
    def _numbers_agree(self) -> Self:
        if self.confirm_n > self.confirm_m:
            raise ValueError(f"confirms {self.confirm_n} of {self.confirm_m} windows")
        most = MONTH_S / self.hop_s + self.wanted_per_month
        if self.false_alarms_per_month > most:
            raise ValueError(
                f"{self.false_alarms_per_month:g} false alarms a month, of {most:g} windows"
            )
        confirming_s = self.confirm_m * self.hop_s
        if not confirming_s <= self.delay_s <= confirming_s + LONGEST_WINDOW_S:
            raise ValueError(
                f"a delay of {self.delay_s:g} s, where {self.confirm_m} windows of a hop of "
                f"{self.hop_s:g} s confirm"
            )
        return self


def require_levels(threshold: ThresholdSpec, promise: PromiseSpec | None) -> None:
    """Raise ValueError where a promise has no levels, which it needs for other hops and wishes."""
    if promise is not None and not threshold.levels:
        raise ValueError("a promise needs the levels of at least two rates")


def clear_rate(false_alarm_rate: float) -> float:
    """Return the share of normal windows above the clear threshold."""
    return max(false_alarm_rate, min(_CLEAR_RATE_FACTOR * false_alarm_rate, 0.5))
