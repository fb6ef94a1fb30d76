"""False alarms a month, from the share of normal windows above a threshold.

Such a rate says little about alarms: windows overlap, and normal scores wander, so that windows
above come in rows. Here a normal score is a sum of two parts. A share of its variance *lasts*: it
stays as it is for ten minutes and is then drawn anew. The rest belongs to the window, and is
shared with the windows that overlap it. For a level of the lasting part, the alarms of the other
are counted in a simulation of the alarm's life cycle, and averaged over all levels. Where the
simulation shows few, the logarithm of their number is continued as a straight line over the
threshold, which is too many rather than too few.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_asd.bundle.calibration_spec import MONTH_S
from edge_asd.scoring.density import Floats

__all__ = ["ASSUMED_SHARE", "LASTING_S", "MONTH_S", "expected_alarms", "lasting_share"]

LASTING_S = 600.0  # assumed: clips do not tell for how long what they share goes on
ASSUMED_SHARE = 0.5  # that lasts, as far as takes do not tell; its weight is that of ...
_ASSUMED_TAKES = 10  # ... so many of them
_MOST_LASTING = 0.99

_PLACES = np.arange(-2.0, 4.01, 0.25)  # of the threshold, in deviations of what does not last
_CLEARS_BELOW = 0.75  # deviations: the level of ten times the rate, where the rate is 0.001
_N_WINDOWS = 240_000  # that are simulated for each of these
_FEW = 20  # alarms among them; fewer are no figure
_LASTING = np.linspace(-8.0, 8.0, 641)  # levels of the lasting part, in its deviations
_WEIGHTS = np.exp(-(_LASTING**2) / 2) / np.exp(-(_LASTING**2) / 2).sum()

_normal_quantile = NormalDist().inv_cdf


def lasting_share(scores: ArrayLike, takes: ArrayLike | None) -> float:
    """Return the share of the variance of normal scores that lasts longer than a window.

    The variance between takes over that of all windows, by analysis of variance of the ranks'
    normal quantiles (random effects, groups of any size). Few takes say little about it: to
    what they say, ten takes that say `ASSUMED_SHARE` are added.

    Parameters
    ----------
    scores : (n,) float, held out
    takes : (n,) int, number of the continuous recording that each window is of; of one long
        recording, its stretches; None: not known
    """
    values = np.asarray(scores, dtype=np.float64)
    if takes is None or np.ptp(values) == 0:
        return ASSUMED_SHARE
    ranks = np.argsort(np.argsort(values))
    normal = np.array([_normal_quantile((rank + 0.5) / len(values)) for rank in ranks.tolist()])
    _, of, sizes = np.unique(np.asarray(takes), return_inverse=True, return_counts=True)
    n, n_takes = len(values), len(sizes)
    if n_takes < 2 or n_takes == n:
        return ASSUMED_SHARE
    means = np.bincount(of, normal) / sizes
    between = float((sizes * (means - normal.mean()) ** 2).sum()) / (n_takes - 1)
    within = float(((normal - means[of]) ** 2).sum()) / (n - n_takes)
    size = (n - float((sizes**2).sum()) / n) / (n_takes - 1)
    seen = min(max((between - within) / (between + (size - 1) * within), 0.0), 1.0)
    weight = min(n_takes, n - n_takes)  # of what is known of the variance between, and within
    return (weight * seen + _ASSUMED_TAKES * ASSUMED_SHARE) / (weight + _ASSUMED_TAKES)


def expected_alarms(
    rates: ArrayLike, confirm: tuple[int, int], *, share: float, window_s: float, hop_s: float
) -> Floats:
    """Return false alarms a month for each of some rates of windows above the threshold.

    Parameters
    ----------
    rates : (n,) float in (0, 1)
    confirm : windows above, of so many
    share : of the variance that lasts
    """
    log_alarms = _log_alarms(*confirm, window_s / hop_s, LASTING_S / hop_s)
    share = min(share, _MOST_LASTING)
    places = [-_normal_quantile(rate) for rate in np.atleast_1d(rates).tolist()]
    seen = (np.array(places)[:, None] - math.sqrt(share) * _LASTING) / math.sqrt(1 - share)
    alarms = np.exp(_interpolated(seen, log_alarms))
    return np.asarray(alarms @ _WEIGHTS * MONTH_S / hop_s)


@lru_cache(maxsize=64)
def _log_alarms(n: int, m: int, hops_a_window: float, lasting_hops: float) -> Floats:
    """Logarithm of alarms for each window, at each of `_PLACES`: simulated, then a line."""
    n_steps = max(round(lasting_hops), 6 * m)
    n_lanes = max(1, round(_N_WINDOWS / n_steps))
    overlap = max(1, round(hops_a_window))
    raised = _simulated(n, m, _short_scores(n_steps, n_lanes, overlap), math.ceil(hops_a_window))
    enough = np.flatnonzero(raised >= _FEW)
    log = np.log(np.maximum(raised, 1) / (n_steps * n_lanes))
    if enough.size:
        last = max(int(enough[-1]), 1)
        slope = log[last] - log[last - 1]
    else:  # so long a confirmation: as if windows that do not overlap were above by themselves
        last, above = 0, [NormalDist().cdf(-place) for place in _PLACES[:2].tolist()]
        slope = n / overlap * math.log(above[1] / above[0])
    log[last:] = log[last] + slope * np.arange(len(log) - last)
    return np.asarray(log)


def _short_scores(n_steps: int, n_lanes: int, overlap: int) -> NDArray[np.float32]:
    """Scores of windows of noise that overlap, (n_steps, n_lanes), of unit variance."""
    noise = np.random.default_rng(0).standard_normal((n_steps + overlap, n_lanes))
    sums = np.cumsum(noise, axis=0)
    return ((sums[overlap:] - sums[:-overlap]) / math.sqrt(overlap)).astype(np.float32)


def _simulated(n: int, m: int, scores: NDArray[np.float32], holdoff: int) -> NDArray[np.int64]:
    """How many alarms are raised at each of `_PLACES`: :class:`.life_cycle.Alarm`, all at once."""
    threshold = _PLACES.astype(np.float32)[:, None]  # (n_places, 1)
    shape = (len(_PLACES), scores.shape[1])  # (n_places, n_lanes)
    last = np.zeros((m, *shape), dtype=np.bool_)
    n_above = np.zeros(shape, dtype=np.int16)
    on = np.zeros(shape, dtype=np.bool_)
    free_at = np.zeros(shape, dtype=np.int32)  # step from which an alarm may be raised again
    raised = np.zeros(len(_PLACES), dtype=np.int64)
    for step, score in enumerate(scores):
        above = score > threshold
        oldest = last[step % m]
        n_above += above
        n_above -= oldest
        last[step % m] = above
        new = above & ~on & (n_above >= n) & (free_at <= step)
        cleared = on & (score < threshold - np.float32(_CLEARS_BELOW))
        on |= new
        raised += new.sum(axis=1)
        if cleared.any():
            on[cleared] = False
            last[:, cleared] = False
            n_above[cleared] = 0
            free_at[cleared] = step + holdoff
    return raised


def _interpolated(places: Floats, log_alarms: Floats) -> Floats:
    """Values between and beyond `_PLACES`; constant below the first, a line above the last."""
    inside = np.interp(places, _PLACES, log_alarms)
    slope = (log_alarms[-1] - log_alarms[-2]) / (_PLACES[-1] - _PLACES[-2])
    return np.asarray(inside + slope * np.maximum(places - _PLACES[-1], 0.0))
