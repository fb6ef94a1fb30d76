"""Evidence that more windows lie above the threshold, or more alarms come, than a limit allows.

A test that looks every hour for years must not err more often because it looks. These can be
looked at any time: each is the capital of somebody who bets against the limit and, while the
limit holds, can on average win nothing. That the capital ever grows a hundredfold then has a
probability of a hundredth (Ville's inequality).

- Windows: after each unit of listening, long beside what persists, a stake wins in proportion to
  the share of its windows above the threshold beyond the limit. How windows of one unit
  depend on each other does not matter (Waudby-Smith and Ramdas, "Estimating means of bounded
  random variables by betting", J. R. Stat. Soc. B 86, 2024).
- Alarms: the likelihood ratio of a Poisson process of some multiple of the limit.

Several stakes and multiples are played at once, and their mean counts.
"""

from __future__ import annotations

import numpy as np

from edge_asd.scoring.density import Floats

__all__ = ["LEVEL", "N_STAKES", "alarms_capital", "share_bets"]

LEVEL = 0.01  # probability that a limit which holds for ever is ever said to be broken

_STAKES = np.array([0.05, 0.1, 0.2, 0.4, 0.8])  # of what may be lost in one unit
N_STAKES = len(_STAKES)
_MULTIPLES = np.array([2.0, 4.0, 8.0, 16.0, 32.0])
_RICHEST = 100.0  # logarithm of a capital that counts as no larger


def share_bets(log_capital: Floats, share: float | Floats, limit: float) -> Floats:
    """Return what the stakes have become after another unit.

    Parameters
    ----------
    log_capital : (..., N_STAKES), zeros at first
    share : (...,) of the unit's windows above the threshold
    limit : on the mean of the share, in (0, 1)
    """
    beyond = np.asarray(share)[..., None] / limit - 1.0
    return np.minimum(log_capital + np.log1p(_STAKES * beyond), _RICHEST)


def alarms_capital(n_alarms: int | Floats, expected: float | Floats) -> Floats:
    """Return the capital after so many alarms where the limit lets one expect `expected`."""
    n, at_limit = np.asarray(n_alarms)[..., None], np.asarray(expected)[..., None]
    logarithms = n * np.log(_MULTIPLES) - (_MULTIPLES - 1.0) * at_limit
    capital: Floats = np.exp(np.minimum(logarithms, _RICHEST)).mean(axis=-1)
    return capital
