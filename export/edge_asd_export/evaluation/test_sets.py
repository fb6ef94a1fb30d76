"""Before bundles are measured: what to call each, and which clips all of them score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_asd.bundle.manifest import Manifest
from edge_asd.errors import DataError, UsageError
from edge_asd_export.data.clips import Clip, Inventory, MachineClips
from edge_asd_export.data.machine_folders import machine_of
from edge_asd_export.data.problems import require_clean
from edge_asd_export.evaluation.challenge_csv import Truth, read_ground_truth
from edge_asd_export.evaluation.metrics import checked_clips
from edge_asd_export.synth.dataset import NOTE_FILE

__all__ = ["MachineTestSet", "name_bundles", "plan_test_sets"]


@dataclass(frozen=True, slots=True)
class MachineTestSet:
    """The test clips of one machine, sorted by name."""

    machine: str
    clips: tuple[Clip, ...]
    truth: tuple[Truth, ...] | None  # beside `clips`; None: some clips are anonymous


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


def plan_test_sets(
    inventory: Inventory,
    bundles: Mapping[str, Manifest],
    *,
    ground_truth: Path | None = None,
    need_figures: bool = False,
) -> tuple[tuple[MachineTestSet, ...], tuple[str, ...]]:
    """The test sets that every bundle can score, and what must be said with their figures.

    What can be refused is refused here, before minutes of scoring.

    Parameters
    ----------
    bundles
        Manifests by name.
    ground_truth
        Folder in the official evaluator's form, for anonymous clips.
    need_figures
        Leave out machines whose clips have no figures, such as anonymous ones.

    Raises
    ------
    DataError
        When a test clip is unusable, shorter than a machine's window or at another sample
        rate, when the ground truth lacks a clip, or when no machine is left.
    """
    known = set.intersection(*(set(manifest.machines) for manifest in bundles.values()))
    of_tests = [problem for problem in inventory.problems if problem.path.parent.name == "test"]
    require_clean([problem for problem in of_tests if machine_of(problem.path) in known])
    tested = {name for name, machine in inventory.machines.items() if machine.test}
    for bundle, manifest in bundles.items():
        if tested.isdisjoint(manifest.machines):
            raise DataError(
                f"bundle {bundle} shares no machine with the data: it knows "
                f"{_listed(manifest.machines)}, the data has test clips of {_listed(tested)}"
            )
    if not known & tested:
        each = "; ".join(f"{name} knows {_listed(m.machines)}" for name, m in bundles.items())
        raise DataError(f"the bundles share no machine, so nothing can be compared: {each}")
    reasons = _missing(tested, bundles)
    test_sets = []
    for name in sorted(known & tested):
        found = inventory.machines[name]
        for bundle, manifest in bundles.items():
            _require_fit(found, bundle, manifest)
        test_set = MachineTestSet(name, found.test, _truth(found.test, ground_truth))
        if need_figures and (reason := _without_figures(test_set)):
            reasons[name] = reason
        else:
            test_sets.append(test_set)
    if not test_sets:
        left_out = "; ".join(f"{name}: {reasons[name]}" for name in sorted(known & tested))
        raise DataError(f"nothing to compare: {left_out}")
    warnings = (f"machine {name!r} is left out: {reason}" for name, reason in reasons.items())
    return tuple(test_sets), (*warnings, *_synthetic(test_sets))


def _synthetic(test_sets: Iterable[MachineTestSet]) -> Iterator[str]:
    """What must be said of machines that do not exist."""
    names = [
        one.machine for one in test_sets if (one.clips[0].path.parent.parent / NOTE_FILE).is_file()
    ]
    if names:
        yield (
            f"{', '.join(names)}: synthetic recordings; their figures say that the software works, "
            "and nothing about real machines"
        )


def _require_fit(found: MachineClips, bundle: str, manifest: Manifest) -> None:
    """Refuse clips at another rate, or too short for one window."""
    rate_hz, window_samples = manifest.sample_rate_hz, manifest.machines[found.name].window_samples
    clips = f"bundle {bundle}: clips of machine {found.name!r}"
    if found.sample_rate_hz != rate_hz:
        raise DataError(
            f"{clips} have {found.sample_rate_hz} Hz, the bundle needs {rate_hz} Hz: resample them"
        )
    if found.window_samples < window_samples:
        raise DataError(
            f"{clips} are {found.window_samples / rate_hz:g} s long, the bundle's window is "
            f"{window_samples / rate_hz:g} s: make a bundle for clips of this length"
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


def _without_figures(test_set: MachineTestSet) -> str | None:
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


def _truth(clips: Sequence[Clip], ground_truth: Path | None) -> tuple[Truth, ...] | None:
    """Label and domain of each clip, from its name or else from the ground truth."""
    anonymous = [clip for clip in clips if clip.label is None]
    known: dict[str, Truth] = {}
    if anonymous:
        if ground_truth is None:
            return None
        for section in sorted({clip.section for clip in anonymous}):
            known |= read_ground_truth(ground_truth, anonymous[0].machine, section)
    missing = [clip.path.name for clip in anonymous if clip.path.stem not in known]
    if missing:
        raise DataError(
            f"the ground truth of machine {anonymous[0].machine!r} in {ground_truth} lacks "
            f"{len(missing)} of {len(anonymous)} clips, the first is {missing[0]}"
        )
    return tuple(
        known[clip.path.stem]
        if clip.label is None
        else Truth(is_anomaly=clip.label == "anomaly", is_target=clip.domain == "target")
        for clip in clips
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "no machine"
