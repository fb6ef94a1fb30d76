"""What a bundle says of each machine: fusion weights and alarm threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.manifest import Domain, FusionSpec, ThresholdSpec
from edge_asd.bundle.system import System
from edge_asd.errors import DataError
from edge_asd.scoring.fusion import fuse
from edge_asd_export.bundling.references import Embeddings
from edge_asd_export.calibration.fit_fusion import (
    Evidence,
    GridSearch,
    LabelFree,
    WeightRule,
    fit_fusions,
)
from edge_asd_export.calibration.scoring import Banks, Floats, Scoring, clip_scores, normal_scores
from edge_asd_export.calibration.threshold import threshold_from_normal_scores
from edge_asd_export.data.clips import Clip
from edge_asd_export.evaluation.metrics import machine_metrics, official_score

__all__ = ["ByDomain", "Calibration", "Evidences", "LabelledClips", "calibrate"]

ByDomain = Mapping[Domain, NDArray[np.float32]]  # (n_clips, n_segments, dim)


@dataclass(frozen=True, slots=True)
class Evidences:
    """Training embeddings and banks of every machine; see :mod:`.references`."""

    embeddings: Mapping[str, Mapping[str, ByDomain]]  # machine -> branch -> domain
    banks: Mapping[str, Mapping[str, Banks]]  # machine -> branch
    scorings: Mapping[str, Scoring]  # by branch
    # Whether every machine has an extractor of its own, by branch: then one machine's
    # embeddings mean nothing to another's banks.
    own_extractor: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class LabelledClips:
    """Development test clips with labels, by machine, and their embeddings by branch."""

    clips: Mapping[str, Sequence[Clip]]
    embeddings: Mapping[str, Embeddings]
    source: str  # in words, for the bundle


@dataclass(frozen=True, slots=True)
class Calibration:
    """The numbers of one machine."""

    fusion: FusionSpec
    threshold: ThresholdSpec


def calibrate(
    system: System,
    known: Evidences,
    *,
    weight_rules: Mapping[str, str],
    false_alarm_rate: float,
    labelled: LabelledClips | None = None,
) -> dict[str, Calibration]:
    """Choose weights and thresholds of every machine from its training clips.

    Parameters
    ----------
    weight_rules : label-free rule by what a mix is over, used when `labelled` is None
    labelled : clips whose labels may choose the weights, by grid search
    """
    rules: dict[str, WeightRule] = {over: LabelFree(rule) for over, rule in weight_rules.items()}
    labelled_scores: dict[str, dict[str, Floats]] = {}
    if labelled is not None:
        labelled_scores = _labelled_scores(known, labelled)
        rules = dict.fromkeys(rules, GridSearch(_official_objective(labelled), labelled.source))
    evidence = {
        machine: Evidence(
            normal={
                branch: _pooled(normal_scores(rows, known.banks[machine][branch], scoring))
                for branch, rows in known.embeddings[machine].items()
                for scoring in (known.scorings[branch],)
            },
            proxy=_proxy(machine, known),
            labelled=labelled_scores.get(machine),
        )
        for machine in known.embeddings
    }
    fusions = fit_fusions(system.fusion, evidence, rules)
    left_out = all(scoring.references == "clips" for scoring in known.scorings.values())
    kind = "leave-one-out" if left_out else "the network's own training clips'"
    return {
        machine: Calibration(
            fusion,
            threshold_from_normal_scores(
                fuse(fusion, dict(evidence[machine].normal)), false_alarm_rate, kind=kind
            ),
        )
        for machine, fusion in fusions.items()
    }


def _pooled(scores: Mapping[Domain, Floats]) -> Floats:
    """Scores of both domains, source first."""
    return np.concatenate([scores[domain] for domain in sorted(scores)])


def _proxy(machine: str, known: Evidences) -> dict[str, Floats] | None:
    """Scores that a machine's banks give to the training clips of all others."""
    others = [name for name in known.embeddings if name != machine]
    if not others or any(known.own_extractor.values()):
        return None
    return {
        branch: np.concatenate(
            [
                clip_scores(rows, known.banks[machine][branch], scoring)
                for other in others
                for rows in known.embeddings[other][branch].values()
            ]
        )
        for branch, scoring in known.scorings.items()
    }


def _labelled_scores(known: Evidences, labelled: LabelledClips) -> dict[str, dict[str, Floats]]:
    missing = [machine for machine in known.banks if not labelled.clips.get(machine)]
    if missing:
        raise DataError(
            f"no labelled test clips of {', '.join(missing)}: a grid search needs every machine; "
            "leave --dev-labels out to choose weights without labels"
        )
    return {
        machine: {
            branch: clip_scores(labelled.embeddings[machine][branch], banks[branch], scoring)
            for branch, scoring in known.scorings.items()
        }
        for machine, banks in known.banks.items()
    }


def _official_objective(labelled: LabelledClips) -> Callable[[Mapping[str, Floats]], float]:
    truth = {
        machine: (
            np.array([clip.label == "anomaly" for clip in clips]),
            np.array([clip.domain == "target" for clip in clips]),
        )
        for machine, clips in labelled.clips.items()
    }

    def official(fused: Mapping[str, Floats]) -> float:
        return official_score(
            machine_metrics(scores, *truth[machine]) for machine, scores in fused.items()
        )

    return official
