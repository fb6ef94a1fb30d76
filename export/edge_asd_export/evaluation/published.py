"""Published figures for the DCASE 2026 Task 2 development set, in percent, as printed.

Comparable only with a bundle that was trained on that set's ``train`` folders and evaluated
on its ``test`` folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_asd.errors import UsageError
from edge_asd_export.evaluation.metrics import harmonic_mean

__all__ = [
    "CAVEAT",
    "PUBLISHED",
    "Beside",
    "PublishedSystem",
    "published_beside",
    "published_for",
]

CAVEAT = (
    "published figures are for the DCASE 2026 Task 2 development set; "
    "comparable only when --data is that set"
)

_REPORT = "the technical report of the multi-system framework, DCASE 2026 Task 2"
_BASELINE = "the challenge's baseline repository"

# AUC source, AUC target, pAUC
_Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PublishedSystem:
    """The figures that a publication states for one system."""

    name: str
    citation: str
    official: float  # the total as stated
    machines: Mapping[str, _Triple]  # AUC source, AUC target, pAUC; empty: only the total

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


PUBLISHED: tuple[PublishedSystem, ...] = (
    PublishedSystem("baseline-mse", _REPORT, 57.06, {}),
    PublishedSystem("baseline-mahala", _REPORT, 57.71, {}),
    PublishedSystem("baseline-mse", _BASELINE, 56.66, {}),
    PublishedSystem("baseline-mahala", _BASELINE, 57.66, {}),
    PublishedSystem(
        "system1",
        _REPORT,
        64.67,
        {
            "bearingEmu": (56.68, 62.08, 56.79),
            "fan": (55.92, 62.44, 52.26),
            "gearboxEmu": (73.24, 73.44, 60.11),
            "sliderEmu": (61.68, 55.36, 52.63),
            "ToyCar": (71.40, 87.04, 60.74),
            "ToyCarEmu": (59.12, 86.48, 62.53),
            "valveEmu": (99.80, 70.48, 80.05),
        },
    ),
    PublishedSystem(
        "system2",
        _REPORT,
        61.55,
        {
            "bearingEmu": (68.42, 64.04, 58.84),
            "fan": (86.64, 73.98, 65.37),
            "gearboxEmu": (81.34, 70.58, 61.47),
            "sliderEmu": (72.26, 47.54, 51.63),
            "ToyCar": (60.40, 76.58, 58.89),
            "ToyCarEmu": (39.92, 90.46, 48.37),
            "valveEmu": (56.96, 61.06, 66.78),
        },
    ),
    PublishedSystem(
        "system3",
        _REPORT,
        65.86,
        {
            "bearingEmu": (59.64, 67.80, 61.53),
            "fan": (79.22, 63.20, 63.71),
            "gearboxEmu": (73.09, 79.24, 56.96),
            "sliderEmu": (71.05, 56.96, 52.37),
            "ToyCar": (55.77, 90.72, 65.12),
            "ToyCarEmu": (53.73, 89.64, 53.24),
            "valveEmu": (94.00, 70.08, 63.64),
        },
    ),
    PublishedSystem(
        "system4",
        _REPORT,
        62.96,
        {
            "bearingEmu": (51.64, 56.20, 54.21),
            "fan": (63.68, 48.84, 53.63),
            "gearboxEmu": (72.80, 76.40, 62.32),
            "sliderEmu": (65.84, 52.92, 50.74),
            "ToyCar": (68.44, 82.36, 58.26),
            "ToyCarEmu": (58.76, 81.32, 62.42),
            "valveEmu": (99.40, 70.04, 77.79),
        },
    ),
)


def published_for(machines: Iterable[str]) -> tuple[PublishedSystem, ...]:
    """The published systems when one of the machines is named in their tables, else none."""
    wanted = set(machines)
    known = {name for system in PUBLISHED for name in system.machines}
    return PUBLISHED if wanted & known else ()


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
    known = {name for system in PUBLISHED for name in system.machines}
    shared = [name for name in names if name in known]
    others = [name for name in names if name not in known]
    if wanted and not shared:
        raise UsageError(
            f"no published figures for {', '.join(names)}; there are some for "
            f"{', '.join(sorted(known))}: leave --published out"
        )
    if wanted is False or not shared:
        return Beside()
    if not others:
        return Beside(PUBLISHED, CAVEAT, all_machines=known == set(shared))
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
