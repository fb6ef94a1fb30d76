"""What a bundle says of each machine: fusion weights and alarm threshold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_asd.errors import DataError
from edge_asd.fusion import fuse
from edge_asd.manifest import FusionSpec, ScorerSpec, ThresholdSpec
from edge_asd.scorer import exact_scores, leave_one_out_scores
from edge_asd.system import System
from edge_asd_export.clips import Clip
from edge_asd_export.fit_fusion import (
    Evidence,
    Floats,
    GridSearch,
    LabelFree,
    WeightRule,
    fit_fusions,
    proxy_scores,
)
from edge_asd_export.metrics import machine_metrics, official_score
from edge_asd_export.references import Banks, Embeddings
from edge_asd_export.threshold import threshold_from_normal_scores

__all__ = ["Calibration", "LabelledClips", "calibrate"]


@dataclass(frozen=True, slots=True)
class LabelledClips:
    """Development test clips with labels, by machine, and their embeddings by branch."""

    clips: Mapping[str, Sequence[Clip]]
    embeddings: Mapping[str, Embeddings]  # machine -> branch -> (n_clips, dim)
    source: str  # in words, for the bundle


@dataclass(frozen=True, slots=True)
class Calibration:
    """The numbers of one machine."""

    fusion: FusionSpec
    threshold: ThresholdSpec


def calibrate(
    system: System,
    banks: Mapping[str, Mapping[str, Banks]],
    scorers: Mapping[str, ScorerSpec],
    *,
    weight_rule: str,
    false_alarm_rate: float,
    labelled: LabelledClips | None = None,
) -> dict[str, Calibration]:
    """Choose weights and thresholds of every machine from its training clips.

    Parameters
    ----------
    banks : by machine, then branch
    scorers : by branch
    weight_rule : label-free rule, used when `labelled` is None
    labelled : clips whose labels may choose the weights, by grid search
    """
    rule: WeightRule = LabelFree(weight_rule)
    labelled_scores: dict[str, dict[str, Floats]] = {}
    if labelled is not None:
        labelled_scores = _labelled_scores(banks, scorers, labelled)
        rule = GridSearch(_official_objective(labelled), labelled.source)
    evidence = {
        machine: Evidence(
            normal={branch: _pooled(branch_banks[branch], scorers[branch]) for branch in scorers},
            proxy=_proxy(machine, banks, scorers) if len(banks) > 1 else None,
            labelled=labelled_scores.get(machine),
        )
        for machine, branch_banks in banks.items()
    }
    fusions = fit_fusions(system.fusion, evidence, rule)
    return {
        machine: Calibration(
            fusion,
            threshold_from_normal_scores(
                fuse(fusion, dict(evidence[machine].normal)), false_alarm_rate
            ),
        )
        for machine, fusion in fusions.items()
    }


def _pooled(banks: Banks, scorer: ScorerSpec) -> Floats:
    """Leave-one-out scores of both domains, source first."""
    scores = leave_one_out_scores(banks, scorer)
    return np.concatenate([scores[domain] for domain in sorted(scores)])


def _proxy(
    machine: str,
    banks: Mapping[str, Mapping[str, Banks]],
    scorers: Mapping[str, ScorerSpec],
) -> dict[str, Floats]:
    return {
        branch: proxy_scores(machine, {name: own[branch] for name, own in banks.items()}, scorer)
        for branch, scorer in scorers.items()
    }


def _labelled_scores(
    banks: Mapping[str, Mapping[str, Banks]],
    scorers: Mapping[str, ScorerSpec],
    labelled: LabelledClips,
) -> dict[str, dict[str, Floats]]:
    missing = [machine for machine in banks if not labelled.clips.get(machine)]
    if missing:
        raise DataError(
            f"no labelled test clips of {', '.join(missing)}: a grid search needs every machine; "
            "leave --dev-labels out to choose weights without labels"
        )
    return {
        machine: {
            branch: exact_scores(labelled.embeddings[machine][branch], banks[machine][branch], spec)
            for branch, spec in scorers.items()
        }
        for machine in banks
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
