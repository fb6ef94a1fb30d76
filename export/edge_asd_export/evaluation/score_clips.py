"""Scores of test clips, by the device's own code path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_asd.errors import DataError
from edge_asd.scoring.recording import score_recording
from edge_asd_export.data.clips import Clip, Inventory, MachineClips, require_clean
from edge_asd_export.evaluation.challenge_csv import Truth, read_ground_truth
from edge_asd_export.evaluation.evaluate import FUSED, ScoredClips

if TYPE_CHECKING:
    from edge_asd.bundle.bundle import Bundle
    from edge_asd.bundle.manifest import MachineSpec
    from edge_asd.scoring.stream import WindowDetector

__all__ = ["MachineTestSet", "plan_machines", "score_bundle", "score_machine"]


@dataclass(frozen=True, slots=True)
class MachineTestSet:
    """The test clips of one machine, sorted by name."""

    machine: str
    clips: tuple[Clip, ...]
    truth: tuple[Truth, ...] | None  # beside `clips`; None: some clips are anonymous


def plan_machines(
    inventory: Inventory,
    machines: Mapping[str, MachineSpec],
    *,
    sample_rate_hz: int,
    ground_truth: Path | None = None,
) -> tuple[tuple[MachineTestSet, ...], tuple[str, ...]]:
    """The test sets that the bundle can score, and warnings about what it cannot.

    What can be refused is refused here, before minutes of scoring.

    Parameters
    ----------
    machines, sample_rate_hz
        From the bundle's manifest.
    ground_truth
        Folder in the official evaluator's form, for anonymous clips.

    Raises
    ------
    DataError
        When a test clip is unusable, shorter than the machine's window or at another sample
        rate, when the ground truth lacks a clip, or when there is nothing to score.
    """
    concerned = tuple(
        problem
        for problem in inventory.problems
        # As the scan names machines: the clip itself may be a link to anywhere.
        if problem.path.parent.name == "test"
        and problem.path.parent.parent.resolve().name in machines
    )
    require_clean(Inventory(inventory.machines, concerned))
    warnings = []
    test_sets = []
    for name in sorted(machines.keys() | inventory.machines.keys()):
        if name not in machines:
            warnings.append(
                f"machine {name!r} is in the data but not in the bundle, which knows "
                f"{_listed(machines)}; skipped"
            )
        elif name not in inventory.machines or not inventory.machines[name].test:
            warnings.append(f"machine {name!r} of the bundle has no test clips; skipped")
        else:
            found = inventory.machines[name]
            _require_fit(found, machines[name].window_samples, sample_rate_hz)
            test_sets.append(MachineTestSet(name, found.test, _truth(found.test, ground_truth)))
    if not test_sets:
        raise DataError(
            f"nothing to evaluate: the bundle knows {_listed(machines)}, the data has test "
            f"clips of {_listed(m.name for m in inventory.machines.values() if m.test)}"
        )
    return tuple(test_sets), tuple(warnings)


def score_bundle(
    bundle: Bundle,
    test_sets: Sequence[MachineTestSet],
    *,
    threads: int = 1,
    advance: Callable[[str], None] = lambda machine: None,
) -> tuple[ScoredClips, ...]:
    """:func:`score_machine` of every test set, at the bundle's hop; machines share the graphs.

    Parameters
    ----------
    threads
        Of ONNX Runtime.
    advance
        Called with the machine after each clip.
    """
    extractors = bundle.extractors(threads=threads)
    scored = []
    for test_set in test_sets:
        detector = bundle.detector(test_set.machine, extractors=extractors)
        scored.append(
            score_machine(
                detector,
                test_set,
                hop_s=detector.hop_s,
                threshold=detector.spec.threshold.threshold,
                advance=partial(advance, test_set.machine),
            )
        )
    return tuple(scored)


def score_machine(
    detector: WindowDetector,
    test_set: MachineTestSet,
    *,
    hop_s: float,
    threshold: float,
    advance: Callable[[], None] = lambda: None,
) -> ScoredClips:
    """The fused and the branches' scores of every test clip.

    Parameters
    ----------
    hop_s
        Between the windows of a clip that is longer than one window; its score is the mean
        over them, as ``edge-asd score`` computes it.
    advance
        Called after each clip.

    Raises
    ------
    AudioError
        When a clip cannot be decoded; the message names it.
    """
    scores = []
    for clip in test_set.clips:
        scores.append(score_recording(clip.path, detector, hop_s).mean)
        advance()
    by_kind = {FUSED: np.array([score.score for score in scores])}
    for branch in scores[0].branches:
        by_kind[branch] = np.array([score.branches[branch] for score in scores])
    truth = test_set.truth
    return ScoredClips(
        machine=test_set.machine,
        scores=by_kind,
        is_anomaly=None if truth is None else np.array([one.is_anomaly for one in truth]),
        is_target=None if truth is None else np.array([one.is_target for one in truth]),
        threshold=threshold,
    )


def _require_fit(found: MachineClips, window_samples: int, sample_rate_hz: int) -> None:
    """Refuse clips at another rate, or too short for one window."""
    if found.sample_rate_hz != sample_rate_hz:
        raise DataError(
            f"clips of machine {found.name!r} have {found.sample_rate_hz} Hz, the bundle needs "
            f"{sample_rate_hz} Hz: resample them"
        )
    if found.window_samples < window_samples:
        raise DataError(
            f"clips of machine {found.name!r} are {found.window_samples / sample_rate_hz:g} s "
            f"long, the bundle's window is {window_samples / sample_rate_hz:g} s: "
            "make a bundle for clips of this length"
        )


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
