"""What normal scores would be had the networks never heard the clips.

Networks that were trained without a fold score its clips. By how much these scores are above those
of the shipped network, which has heard them, is the *excess* of new sound: a mean difference of
logarithms. A fold of a machine is a few takes, so its excess is drawn towards the mean over all
machines. Clips that no network was trained without are raised by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd_export.calibration.scoring import Floats

__all__ = ["Unheard", "as_unheard"]

PRIOR_TAKES = 5  # of a machine that weigh as much as the mean over machines


@dataclass(frozen=True, slots=True)
class Unheard:
    """Normal scores of a machine as those of new sound."""

    scores: Mapping[str, Floats]  # by branch, (n_clips,) each
    heard: bool  # whether some network has heard these clips all the same


def as_unheard(
    normal: Mapping[str, Mapping[str, Floats]],
    unheard: Mapping[str, Mapping[str, Floats]],
    takes: Mapping[str, NDArray[np.integer]],
) -> dict[str, Unheard]:
    """Return the scores of each machine's clips as those of sound that no network has heard.

    Parameters
    ----------
    normal : scores by the shipped networks, by machine and branch, (n_clips,) each
    unheard : of the same clips by networks that have not heard them; NaN where there are none
    takes : number of the take of each of these clips by machine
    """
    branches = dict.fromkeys(branch for own in normal.values() for branch in own)
    raised = {}
    heard = False
    for branch in branches:
        by_network = {machine: own[branch] for machine, own in normal.items()}
        by_others = {machine: own[branch] for machine, own in unheard.items()}
        raised[branch] = _raised(by_network, by_others, takes)
        heard |= all(np.isnan(own).all() for own in by_others.values())
    return {
        machine: Unheard({branch: raised[branch][machine] for branch in own}, heard)
        for machine, own in normal.items()
    }


def _raised(
    normal: Mapping[str, Floats],
    unheard: Mapping[str, Floats],
    takes: Mapping[str, NDArray[np.integer]],
) -> dict[str, Floats]:
    """Scores of one branch, by machine."""
    known = {machine: ~np.isnan(own) for machine, own in unheard.items()}
    # Scores of some scorers may be 0 or less; then they differ by deviations.
    positive = all(
        np.concatenate([own, unheard[machine][known[machine]]]).min() > 0
        for machine, own in normal.items()
    )
    unit = {machine: 1.0 if positive else max(own.std(), 1e-12) for machine, own in normal.items()}

    def place(machine: str, scores: Floats) -> Floats:
        return np.log(scores) if positive else scores / unit[machine]

    excess, n_takes = {}, {}
    for machine, which in known.items():
        if which.any():
            new, old = (place(machine, own[machine][which]) for own in (unheard, normal))
            excess[machine] = float((new - old).mean())
            n_takes[machine] = np.unique(takes[machine][which]).size
    common = float(np.mean(list(excess.values()))) if excess else 0.0
    raised = {}
    for machine, own in normal.items():
        n = n_takes.get(machine, 0)
        drawn = (n * excess.get(machine, 0.0) + PRIOR_TAKES * common) / (n + PRIOR_TAKES)
        # No network knows sound better for not having heard it: less than 0 is chance.
        drawn = max(drawn, 0.0)
        others = own * np.exp(drawn) if positive else own + drawn * unit[machine]
        raised[machine] = np.where(known[machine], unheard[machine], others)
    return raised
