"""Scores of test clips, by the device's own code path."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_asd.audio.decode import read_audio
from edge_asd.audio.source import several
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import Manifest, ThresholdSpec
from edge_asd.errors import AudioError
from edge_asd.scoring.recording import score_recording
from edge_asd.signal.recorded import findings_in
from edge_asd_export.evaluation.evaluate import FUSED, ScoredClips
from edge_asd_export.evaluation.test_sets import MachineTestSet

if TYPE_CHECKING:
    from edge_asd.scoring.stream import WindowDetector

__all__ = ["STATED_RATES", "ScoredBundle", "score_bundle", "score_machine", "stated_levels"]

_log = logging.getLogger(__name__)

STATED_RATES = (0.01, 0.05, 0.1)  # of windows above a level, which reports compare with clips


@dataclass(frozen=True, slots=True)
class ScoredBundle:
    """The test clips of all machines, as one bundle scores them."""

    name: str  # tells it from the other bundles
    path: Path
    manifest: Manifest
    machines: tuple[ScoredClips, ...]


def score_bundle(
    name: str,
    bundle: Bundle,
    test_sets: Sequence[MachineTestSet],
    *,
    threads: int = 1,
    advance: Callable[[str], None] = lambda what: None,
) -> ScoredBundle:
    """:func:`score_machine` of every test set, at the bundle's hop; machines share the graphs.

    Parameters
    ----------
    threads
        Of ONNX Runtime.
    advance
        Called after each clip with what it belongs to.
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
                levels=stated_levels(detector.spec.threshold),
                advance=partial(advance, f"{name}, {test_set.machine}"),
            )
        )
    return ScoredBundle(name, bundle.path, bundle.manifest, tuple(scored))


def score_machine(
    detector: WindowDetector,
    test_set: MachineTestSet,
    *,
    hop_s: float,
    threshold: float,
    levels: Mapping[float, float] | None = None,
    advance: Callable[[], None] = lambda: None,
) -> ScoredClips:
    """The fused and the branches' scores of every test clip.

    Parameters
    ----------
    hop_s
        Between the windows of a clip that is longer than one window; its score is the mean
        over them, as ``edge-asd score`` computes it.
    levels
        Of stated rates of windows.
    advance
        Called after each clip.

    Raises
    ------
    AudioError
        When clips cannot be decoded; the message names all of them.

    Notes
    -----
    Every test clip gets a score. One whose sound the monitor would not score, or would doubt,
    is named in the log.
    """
    scores, errors = [], list[AudioError]()
    for clip in test_set.clips:
        try:
            result = score_recording(clip.path, detector, hop_s)
            scores.append(result.mean)
            for line in (*result.warnings, *_doubts(clip.path)):
                _log.warning(line)
        except AudioError as error:
            errors.append(error)
        advance()
    if errors:
        raise several(errors, len(test_set.clips))
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
        levels=levels or {},
    )


def _doubts(path: Path) -> Iterator[str]:
    """What is wrong with the sound of a clip, as ``data check`` says it."""
    for finding in findings_in(*read_audio(path)):
        said = ", the monitor would not score it" if finding.unusable else ""
        yield f"{path}: {finding.text}{said}"


def stated_levels(spec: ThresholdSpec) -> dict[float, float]:
    """The levels of `STATED_RATES`; none in bundles of before."""
    return {rate: level for rate, level in spec.levels if rate in STATED_RATES}
