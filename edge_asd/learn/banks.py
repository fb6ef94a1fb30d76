"""The references of a machine: those of its bundle, and over them what was learned on site.

A machine whose source domain was enrolled has nothing of the bundle but its networks. Any
other has the bundle's banks, of which the target's may have been replaced by enrolment.
What was taught stands behind the target's.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import Domain
from edge_asd.explain.normal_spectra import NormalSpectra
from edge_asd.learn.learned import Learned, LearnedSound
from edge_asd.scoring.bank import Bank, JoinedBank
from edge_asd.scoring.bank_files import Search
from edge_asd.scoring.density import Distance
from edge_asd.scoring.ensemble import exact_bank

__all__ = ["banks_of", "site_banks", "site_spectra"]


def banks_of(sounds: Iterable[LearnedSound], branch: str, distance: Distance) -> list[Bank]:
    """The references of each sound."""
    return [
        exact_bank(sound.rows[branch], sound.normalisations[branch], distance) for sound in sounds
    ]


def site_banks(
    bundle: Bundle, learned: Learned, branch: str, search: Search = "auto"
) -> dict[Domain, Bank]:
    """All banks of one branch."""
    distance = bundle.manifest.reference_scorers[branch].distance
    banks: dict[Domain, Bank] = {}
    if "source" not in learned.enrolled:
        banks = bundle.banks(learned.site.like, branch, search)
    enrolled = banks_of(learned.enrolled.values(), branch, distance)
    banks.update(zip(learned.enrolled, enrolled, strict=True))
    if learned.taught:
        known = [banks["target"]] if "target" in banks else []
        banks["target"] = JoinedBank([*known, *banks_of(learned.taught, branch, distance)])
    return {domain: banks[domain] for domain in sorted(banks)}


def site_spectra(bundle: Bundle, learned: Learned) -> NormalSpectra | None:
    """How the references sound, in the order of the banks; None where the bundle's are unknown."""
    domains = {domain: sound.spectra for domain, sound in learned.enrolled.items()}
    spectra = NormalSpectra(domains, _normal_scores(learned))
    if "source" not in learned.enrolled:
        known = bundle.spectra(learned.site.like)
        if known is None:
            return None
        spectra = NormalSpectra({**known.domains, **domains}, spectra.scores or known.scores)
    for sound in learned.taught:
        spectra = spectra.joined("target", sound.spectra)
    return spectra


def _normal_scores(learned: Learned) -> dict[str, NDArray[np.float32]]:
    """Scores of the enrolled windows by branch, both domains together."""
    sounds = [sound for _, sound in sorted(learned.enrolled.items())]
    if not sounds:
        return {}
    return {
        branch: np.concatenate([sound.held_out[branch] for sound in sounds]).astype(np.float32)
        for branch in sounds[0].held_out
    }
