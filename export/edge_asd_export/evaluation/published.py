"""Published figures for the DCASE 2026 Task 2 development set, in percent, as printed.

Comparable only with a bundle that was trained on that set's ``train`` folders and evaluated
on its ``test`` folders.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files

from edge_asd.bundle.record import Record
from edge_asd.errors import UsageError
from edge_asd_export.evaluation.metrics import harmonic_mean

__all__ = [
    "CAVEAT",
    "PUBLISHED",
    "Beside",
    "PublishedSystem",
    "published_beside",
    "published_for",
    "totals_only",
]

CAVEAT = (
    "published figures are for the DCASE 2026 Task 2 development set; "
    "comparable only when --data is that set"
)


class PublishedSystem(Record):
    """The figures that a publication states for one system."""

    name: str
    citation: str
    official: float  # the total as stated
    # AUC source, AUC target, pAUC; empty: only the total
    machines: Mapping[str, tuple[float, ...]] = {}

    @property
    def recomputed(self) -> float | None:
        """The official score of the printed table; it can differ from the stated total."""
        return self.recomputed_over(self.machines)

    def recomputed_over(self, machines: Iterable[str]) -> float | None:
        """The official score of some rows of the printed table; None when one is not there."""
        names = list(machines)
        if not names or not self.machines.keys() >= set(names):
            return None
        values = [value / 100 for name in names for value in self.machines[name]]
        return 100 * harmonic_mean(values)


@dataclass(frozen=True, slots=True)
class Beside:
    """The published figures to show beside measured ones, and what must be said with them."""

    systems: tuple[PublishedSystem, ...] = ()  # empty: none
    note: str | None = None
    all_machines: bool = False  # the measured machines are all of the published ones

    def named(self, system: str) -> tuple[PublishedSystem, ...]:
        """What is published of one system, each publication for itself."""
        return tuple(one for one in self.systems if one.name == system)


_FILE = files("edge_asd_export.evaluation").joinpath("published.toml")
PUBLISHED = tuple(
    PublishedSystem(**one) for one in tomllib.loads(_FILE.read_text("utf-8"))["system"]
)
_KNOWN = frozenset(name for system in PUBLISHED for name in system.machines)


def published_for(machines: Iterable[str]) -> tuple[PublishedSystem, ...]:
    """The published systems when one of the machines is named in their tables, else none."""
    return () if _KNOWN.isdisjoint(machines) else PUBLISHED


def published_beside(machines: Iterable[str], *, wanted: bool | None = None) -> Beside:
    """The published figures that may stand beside figures of these machines.

    Parameters
    ----------
    wanted
        None: when every machine is named in the published tables; a machine of that name
        among others is somebody else's.

    Raises
    ------
    UsageError
        When they are wanted and no machine is named there.
    """
    names = list(machines)
    shared = [name for name in names if name in _KNOWN]
    others = [name for name in names if name not in _KNOWN]
    if wanted and not shared:
        raise UsageError(
            f"no published figures for {', '.join(names)}; there are some for "
            f"{', '.join(sorted(_KNOWN))}: leave --published out"
        )
    if wanted is False or not shared:
        return Beside()
    if not others:
        return Beside(PUBLISHED, CAVEAT, all_machines=set(shared) == _KNOWN)
    doubt = (
        f"the data has {', '.join(others)}, which that set has not, so its "
        f"{', '.join(shared)} is most likely another machine of the same name"
    )
    if wanted:
        return Beside(PUBLISHED, f"{CAVEAT}; {doubt}")
    return Beside(
        (),
        f"figures published for {', '.join(shared)} of the DCASE 2026 Task 2 development set are "
        f"not shown: {doubt}; --published shows them all the same",
    )


def totals_only(known: Iterable[PublishedSystem]) -> str:
    """The published systems without a table of machines, by publication."""
    by_citation: dict[str, list[str]] = {}
    for system in known:
        if not system.machines:
            stated = by_citation.setdefault(system.citation, [])
            stated.append(f"{system.name} {system.official:.2f}")
    return "; ".join(f"{', '.join(stated)} ({where})" for where, stated in by_citation.items())
