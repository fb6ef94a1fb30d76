"""The references of a machine: those of its bundle, and over them what was learned on site.

A machine whose source domain was enrolled has nothing of the bundle but its networks. Any
other has the bundle's banks, of which the target's may have been replaced by enrolment.
What was taught stands behind the target's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.bundle import Bundle, Search
from edge_asd.bundle.manifest import BankSpec, BranchSpec, Domain
from edge_asd.explain.normal_spectra import NormalSpectra
from edge_asd.learn.learned import Learned, LearnedSound, Site
from edge_asd.scoring.bank import Bank, ExactBank, open_bank
from edge_asd.scoring.density import Rows
from edge_asd.scoring.normalisation import Gauge, Nearest, bank_gauges

__all__ = ["JoinedBank", "bank_of", "bundle_banks", "known_gauges", "site_banks", "site_spectra"]


class JoinedBank:
    """Banks of one domain as if they were one, their references in order."""

    def __init__(self, parts: Sequence[Bank]) -> None:
        self._parts = tuple(parts)

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def minimum(self, query: Rows) -> float:
        """Return the least measured distance from `query`, (dim,), to the references."""
        return min(part.minimum(query) for part in self._parts)

    def nearest(self, query: Rows, k: int) -> Nearest:
        """Return the `k` references of least measured distance; all, if there are fewer."""
        rows, distance, before = [], [], 0
        for part in self._parts:
            found = part.nearest(query, k)
            rows.append(found.rows + before)
            distance.append(found.distance)
            before += len(part)
        measured = np.concatenate(distance)
        order = np.argsort(measured, kind="stable")[:k]
        return Nearest(np.concatenate(rows)[order], measured[order])


def bank_of(sounds: Sequence[LearnedSound], branch: BranchSpec) -> Bank:
    """One bank of the references of some sounds, in order."""
    banks = [
        ExactBank(sound.rows[branch.name], sound.gauges[branch.name], branch.scorer)
        for sound in sounds
    ]
    return banks[0] if len(banks) == 1 else JoinedBank(banks)


def bundle_banks(
    bundle: Bundle, site: Site, branch: BranchSpec, search: Search = "auto"
) -> dict[Domain, Bank]:
    """The banks of one branch that the machine has of its bundle."""
    files = bundle.manifest.files
    return {
        domain: open_bank(bundle.path, bank, domain, branch.scorer, files, search)
        for domain, bank in _bundle_specs(bundle, site, branch).items()
    }


def site_banks(
    bundle: Bundle, learned: Learned, branch: BranchSpec, search: Search = "auto"
) -> dict[Domain, Bank]:
    """All banks of one branch."""
    banks = bundle_banks(bundle, learned.site, branch, search)
    for domain, sound in learned.enrolled.items():
        banks[domain] = bank_of([sound], branch)
    if learned.taught:
        known = [banks["target"]] if "target" in banks else []
        banks["target"] = JoinedBank([*known, bank_of(learned.taught, branch)])
    return {domain: banks[domain] for domain in sorted(banks)}


def known_gauges(bundle: Bundle, learned: Learned, branch: BranchSpec) -> list[Gauge]:
    """Gauges of the references of one branch, but for what was taught."""
    gauges = [sound.gauges[branch.name] for sound in learned.enrolled.values()]
    for domain, bank in _bundle_specs(bundle, learned.site, branch).items():
        if bank.gauge_file:
            scale, offset = np.load(bundle.path / bank.gauge_file).T
            gauges.append(Gauge(scale, offset))
        else:
            rows = np.load(bundle.path / bank.file)
            gauges.append(bank_gauges({domain: rows}, branch.scorer)[domain])
    return gauges


def site_spectra(bundle: Bundle, learned: Learned) -> NormalSpectra | None:
    """How the references sound, in the order of the banks; None where the bundle's are unknown."""
    spectra = NormalSpectra({}, _normal_scores(learned))
    if "source" not in learned.enrolled:
        known = bundle.spectra(learned.site.like)
        if known is None:
            return None
        spectra = NormalSpectra(known.domains, spectra.scores or known.scores)
    enrolled = {domain: sound.spectra for domain, sound in learned.enrolled.items()}
    spectra = NormalSpectra({**spectra.domains, **enrolled}, spectra.scores)
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


def _bundle_specs(bundle: Bundle, site: Site, branch: BranchSpec) -> Mapping[Domain, BankSpec]:
    if "source" in site.enrolled:
        return {}
    banks = bundle.manifest.machines[site.like].banks[branch.name]
    return {domain: bank for domain, bank in banks.items() if domain not in site.enrolled}
