"""The promise of an alarm: how many false ones a month, and how soon a lasting change is raised.

Window rate and confirmation are chosen together. A longer confirmation allows more windows
above, so a lower threshold, but delays every alarm: the shortest is taken that allows
one window in a hundred, or half of what the longest does.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from edge_asd.alarm.expected_alarms import LASTING_S, MONTH_S, expected_alarms, lasting_share
from edge_asd.alarm.policy import MOST_WINDOWS
from edge_asd.bundle.manifest import PromiseSpec, ThresholdSpec
from edge_asd.errors import UsageError
from edge_asd.profile import AlarmSettings
from edge_asd.scoring.threshold import at_rate

__all__ = [
    "FALSE_ALARMS_PER_MONTH",
    "at_hop",
    "confirmations",
    "extreme_level",
    "kept_on_device",
    "out_of_reach",
    "promise_at_rate",
    "promised",
    "sentence",
    "trust_in",
    "with_promise",
]

FALSE_ALARMS_PER_MONTH = 1.0  # wanted, where nobody says otherwise
EXTREME_SHARE = 0.1  # of the false alarms that are wanted; the rest are confirmed ones

# n of m windows, where a window is four hops long; with other hops, as long.
_CONFIRMATIONS = ((3, 3), (3, 4), (8, 12), (16, 24), (24, 36), (48, 72), (96, 144))
_HOPS_A_WINDOW = 4
_LONGEST_S = 60.0  # of confirmations of more than ...
_MOST_WINDOWS = 36  # ... so many windows, at four hops a window
_RATES = np.geomspace(0.1, 1e-4, 61)  # of windows above, from which one is chosen
_GOOD_RATE = 0.01


def with_promise(
    levels: ThresholdSpec,
    scores: ArrayLike,
    takes: ArrayLike | None,
    *,
    window_s: float,
    hop_s: float,
    false_alarms_per_month: float = FALSE_ALARMS_PER_MONTH,
    false_alarm_rate: float | None = None,
) -> tuple[ThresholdSpec, PromiseSpec]:
    """Return the threshold of a machine and what it keeps.

    Parameters
    ----------
    levels : of these scores
    scores, takes : see :func:`.expected_alarms.lasting_share`
    false_alarm_rate : of single windows, where it is given; None: chosen, too
    """
    share = lasting_share(scores, takes)
    if false_alarm_rate is None:
        return promised(
            levels,
            share=share,
            window_s=window_s,
            hop_s=hop_s,
            false_alarms_per_month=false_alarms_per_month,
        )
    promise = promise_at_rate(
        levels,
        share=share,
        window_s=window_s,
        hop_s=hop_s,
        false_alarms_per_month=false_alarms_per_month,
    )
    return levels, promise


def promised(
    levels: ThresholdSpec,
    *,
    share: float,
    window_s: float,
    hop_s: float,
    false_alarms_per_month: float = FALSE_ALARMS_PER_MONTH,
) -> tuple[ThresholdSpec, PromiseSpec]:
    """Return the threshold and the confirmation that keep to so many false alarms a month.

    Where none does, those that come nearest, and how many false alarms they mean.

    Raises
    ------
    UsageError
        When the number of false alarms is not above 0.
    """
    if not 0 < false_alarms_per_month < math.inf:
        raise UsageError(
            f"false alarms a month are a number above 0, found {false_alarms_per_month:g}"
        )
    allowed = (1 - EXTREME_SHARE) * false_alarms_per_month
    found: list[tuple[bool, float, float, tuple[int, int]]] = []
    for confirm in confirmations(window_s, hop_s):
        alarms = expected_alarms(_RATES, confirm, share=share, window_s=window_s, hop_s=hop_s)
        kept = np.flatnonzero(alarms <= allowed)
        place = int(kept[0]) if kept.size else int(alarms.argmin())
        found.append((bool(kept.size), float(_RATES[place]), float(alarms[place]), confirm))
    keeping = [one for one in found if one[0]]
    if keeping:
        enough = min(_GOOD_RATE, max(rate for _, rate, _, _ in keeping) / 2)
        chosen = next(one for one in keeping if one[1] >= enough)
    else:
        chosen = min(found, key=lambda one: one[2])
    _, rate, expected, confirm = chosen
    threshold = at_rate(levels, rate)
    spec = _spec(threshold, confirm, expected, share, window_s, hop_s, false_alarms_per_month)
    return threshold, spec


def promise_at_rate(
    threshold: ThresholdSpec,
    *,
    share: float,
    window_s: float,
    hop_s: float,
    false_alarms_per_month: float = FALSE_ALARMS_PER_MONTH,
    confirm: tuple[int, int] | None = None,
) -> PromiseSpec:
    """Return what a threshold that is given can keep, by the shortest confirmation that does.

    Parameters
    ----------
    confirm : n of m windows; None: chosen
    """
    allowed = (1 - EXTREME_SHARE) * false_alarms_per_month
    best, fewest = (1, 1), math.inf
    for tried in [confirm] if confirm else confirmations(window_s, hop_s):
        rates = [threshold.false_alarm_rate]
        alarms = expected_alarms(rates, tried, share=share, window_s=window_s, hop_s=hop_s)[0]
        if alarms < fewest:
            best, fewest = tried, float(alarms)
        if alarms <= allowed:
            break
    return _spec(threshold, best, fewest, share, window_s, hop_s, false_alarms_per_month)


def at_hop(
    threshold: ThresholdSpec,
    promise: PromiseSpec,
    *,
    window_s: float,
    hop_s: float,
    confirm: tuple[int, int] | None = None,
) -> PromiseSpec:
    """Return the same promise where windows follow each other at another hop.

    Parameters
    ----------
    confirm : n of m windows that a user chose; None: the promise's, or as long
    """
    if confirm is None and math.isclose(hop_s, promise.hop_s, rel_tol=0.01):
        return promise
    return promise_at_rate(
        threshold,
        share=promise.lasting_share,
        window_s=window_s,
        hop_s=hop_s,
        false_alarms_per_month=promise.wanted_per_month,
        confirm=confirm,
    )


def kept_on_device(
    threshold: ThresholdSpec,
    promise: PromiseSpec,
    settings: AlarmSettings,
    *,
    window_s: float,
    hop_s: float,
) -> tuple[ThresholdSpec, PromiseSpec]:
    """Return threshold and promise as a profile wants them, at the hop of a device.

    A profile may ask for another number of false alarms, which needs nothing but the levels
    that are known, and may set confirmation and minimum duration itself.
    """
    wanted = settings.false_alarms_per_month
    if wanted != "bundle":
        threshold, promise = promised(
            threshold,
            share=promise.lasting_share,
            window_s=window_s,
            hop_s=hop_s,
            false_alarms_per_month=wanted,
        )
    own = None if settings.confirm == "auto" else (settings.confirm[0], settings.confirm[1])
    promise = at_hop(threshold, promise, window_s=window_s, hop_s=hop_s, confirm=own)
    if settings.min_duration_s != "auto":
        delay_s = max(promise.delay_s, window_s + hop_s + settings.min_duration_s)
        promise = promise.model_copy(update={"delay_s": delay_s})
    return threshold, promise


def extreme_level(levels: ThresholdSpec, promise: PromiseSpec) -> float:
    """Return the least level at which a single window may raise an alarm.

    So few normal windows lie above it that they cost a tenth of the false alarms wanted.
    """
    n_windows = MONTH_S / promise.hop_s
    return levels.level_at(min(EXTREME_SHARE * promise.wanted_per_month / n_windows, 0.1))


def trust_in(rate: float, n_takes: int | None) -> Literal["measured", "estimated", "extrapolated"]:
    """Say how far a rate of windows can be trusted that so many independent takes showed.

    Measured where ten takes lie above; estimated where at least one is expected to.
    """
    if n_takes is None or rate < 1 / (n_takes + 1):
        return "extrapolated"
    return "measured" if rate * n_takes >= 10 else "estimated"


def sentence(threshold: ThresholdSpec, promise: PromiseSpec) -> str:
    """Say the promise: false alarms, how far that can be trusted, and the delay."""
    number = promise.false_alarms_per_month
    count = f"{number:.0f}" if number >= 0.75 else f"{number:.1g}"
    alarms = f"about {count} false alarm{'' if count == '1' else 's'} a month"
    takes = threshold.n_takes
    source = "takes are not known" if takes is None else f"from {takes} take{'s' * (takes != 1)}"
    if threshold.heard:
        source += " that the networks were trained with"
    comma = "," if takes is None else ""
    return (
        f"{alarms} ({promise.trust}{comma} {source}); "
        f"a lasting change is raised within {promise.delay_s:.0f} s"
    )


def out_of_reach(threshold: float, strange_score: float) -> str | None:
    """Say that hardly any sound reaches a threshold; None where strange sound does.

    Parameters
    ----------
    strange_score : see :meth:`.detector.Detector.strange_score`
    """
    if strange_score > threshold:
        return None
    return (
        f"hardly anything will raise an alarm: white noise, a tone and clicks score at most "
        f"{strange_score:.3g}, and the threshold is {threshold:.3g}; learn from more takes, or "
        "accept more false alarms a month"
    )


def confirmations(window_s: float, hop_s: float) -> tuple[tuple[int, int], ...]:
    """Return the confirmations that are tried, the shortest first: n of m windows at a hop."""
    scale = max(window_s / hop_s, 1.0) / _HOPS_A_WINDOW
    scaled = (
        (max(1, round(n * scale)), max(1, round(m * scale)))
        for n, m in _CONFIRMATIONS
        if m <= _MOST_WINDOWS or m * scale * hop_s <= _LONGEST_S
    )
    fitting = dict.fromkeys(one for one in scaled if one[1] <= MOST_WINDOWS)
    return tuple(fitting) or ((MOST_WINDOWS, MOST_WINDOWS),)


def _spec(
    threshold: ThresholdSpec,
    confirm: tuple[int, int],
    confirmed_alarms: float,
    share: float,
    window_s: float,
    hop_s: float,
    wanted: float,
) -> PromiseSpec:
    n, m = confirm
    return PromiseSpec(
        wanted_per_month=wanted,
        false_alarms_per_month=confirmed_alarms + EXTREME_SHARE * wanted,
        confirm_n=n,
        confirm_m=m,
        hop_s=hop_s,
        delay_s=window_s + m * hop_s,
        trust=trust_in(threshold.false_alarm_rate, None if threshold.heard else threshold.n_takes),
        lasting_share=share,
        lasting_s=LASTING_S,
    )
