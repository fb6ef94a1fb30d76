"""Before systems are compared: what to call each bundle, and which clips all of them score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from edge_asd.bundle.manifest import Manifest
from edge_asd.errors import DataError, UsageError
from edge_asd_export.data.clips import Inventory
from edge_asd_export.evaluation.metrics import checked_clips
from edge_asd_export.evaluation.score_clips import MachineTestSet, plan_machines

__all__ = ["name_bundles", "plan_comparison"]


def name_bundles(paths: Sequence[Path]) -> dict[str, Path]:
    """Bundles by name: the last parts of their paths, as many as tell them apart.

    Raises
    ------
    UsageError
        When there is none, or one is given twice.
    """
    if not paths:
        raise UsageError("no bundle to compare: name bundles, or runs with --run")
    resolved = [path.resolve() for path in paths]
    twice = [path for i, path in enumerate(paths) if resolved[i] in resolved[:i]]
    if twice:
        raise UsageError(f"bundle {twice[0]} is given twice: name each bundle once")
    absolute = [path.absolute() for path in paths]
    n_parts = 1
    while True:
        names = ["/".join(path.parts[-n_parts:]) for path in absolute]
        if len(set(names)) == len(names):
            return dict(zip(names, paths, strict=True))
        n_parts += 1


def plan_comparison(
    inventory: Inventory, bundles: Mapping[str, Manifest], *, ground_truth: Path | None = None
) -> tuple[tuple[MachineTestSet, ...], tuple[str, ...]]:
    """The test sets that every bundle can score and that have figures, and what is left out.

    What can be refused is refused here, before minutes of scoring.

    Parameters
    ----------
    bundles
        Manifests by name.
    ground_truth
        As for :func:`edge_asd_export.evaluation.score_clips.plan_machines`.

    Raises
    ------
    DataError
        When there is no machine to compare on, or a bundle cannot take the clips.
    """
    tested = {name for name, machine in inventory.machines.items() if machine.test}
    common = set(tested)
    for bundle, manifest in bundles.items():
        if tested.isdisjoint(manifest.machines):
            raise DataError(
                f"bundle {bundle} shares no machine with the data: it knows "
                f"{_listed(manifest.machines)}, the data has test clips of {_listed(tested)}"
            )
        common &= manifest.machines.keys()
    if not common:
        each = "; ".join(f"{name} knows {_listed(m.machines)}" for name, m in bundles.items())
        raise DataError(f"the bundles share no machine, so nothing can be compared: {each}")
    shared = Inventory({name: inventory.machines[name] for name in common}, inventory.problems)
    test_sets: tuple[MachineTestSet, ...] = ()
    for bundle, manifest in bundles.items():
        try:
            test_sets, _ = plan_machines(
                shared,
                {name: spec for name, spec in manifest.machines.items() if name in common},
                sample_rate_hz=manifest.sample_rate_hz,
                ground_truth=ground_truth,
            )
        except DataError as error:
            raise DataError(f"bundle {bundle}: {error}") from error
    reasons = _missing(tested, bundles)
    measurable = []
    for test_set in test_sets:
        if reason := _unmeasurable(test_set):
            reasons[test_set.machine] = reason
        else:
            measurable.append(test_set)
    if not measurable:
        raise DataError(
            "nothing to compare: "
            + "; ".join(f"{one.machine}: {reasons[one.machine]}" for one in test_sets)
        )
    return tuple(measurable), tuple(
        f"machine {name!r} is left out: {reason}" for name, reason in reasons.items()
    )


def _missing(tested: set[str], bundles: Mapping[str, Manifest]) -> dict[str, str]:
    """Where each machine is missing that is not everywhere."""
    reasons = {}
    for name in sorted(tested.union(*(manifest.machines for manifest in bundles.values()))):
        places = [] if name in tested else ["the data has no test clips of it"]
        unknown = [bundle for bundle, manifest in bundles.items() if name not in manifest.machines]
        if unknown:
            places.append(f"{', '.join(unknown)} does not know it")
        if places:
            reasons[name] = ", and ".join(places)
    return reasons


def _unmeasurable(test_set: MachineTestSet) -> str | None:
    """Why the clips have no figures; None when they have."""
    if test_set.truth is None:
        return "its test clips are anonymous; give their labels with --ground-truth"
    try:
        checked_clips(
            np.zeros(len(test_set.truth)),
            [one.is_anomaly for one in test_set.truth],
            [one.is_target for one in test_set.truth],
        )
    except DataError as error:
        return str(error)
    return None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "no machine"
