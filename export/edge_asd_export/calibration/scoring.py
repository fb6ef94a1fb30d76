"""From embeddings to the references and the scores of a branch, for many clips at once.

The device's :mod:`edge_asd.scoring.scorer` defines every score; here the same functions are applied
to whole recordings sets, to build banks, to calibrate and to compare precisions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.manifest import Domain
from edge_asd.bundle.system import System
from edge_asd.errors import DataError, UsageError
from edge_asd.scoring.kinds import (
    DirectSpec,
    DldnSpec,
    NearestSpec,
    OutputSpec,
    ScorerSpec,
    VarminSpec,
)
from edge_asd.scoring.scorer import exact_scores, leave_one_out_scores, window_queries
from edge_asd_export.data.clips import Clip
from edge_asd_export.training.training_set import ClassName

__all__ = [
    "SCORINGS",
    "Banks",
    "Floats",
    "References",
    "Scoring",
    "centre_banks",
    "clip_scores",
    "clips_by_domain",
    "make_banks",
    "normal_scores",
    "scorings_of",
]

Banks = Mapping[Domain, NDArray[np.float32]]
Floats = NDArray[np.float64]
References = Literal["clips", "centres", "none"]  # none: the network's output is the score


@dataclass(frozen=True, slots=True)
class Scoring:
    """How a branch is scored, and what its references are."""

    spec: ScorerSpec
    references: References = "clips"


SCORINGS: Mapping[str, Scoring] = {
    "dldn-mean": Scoring(DldnSpec()),
    "dldn-sum": Scoring(DldnSpec(aggregate="sum")),
    "nearest": Scoring(NearestSpec()),
    "varmin": Scoring(VarminSpec()),
    # 1 - the largest cosine to a class centre of the machine
    "centres": Scoring(NearestSpec(distance="cosine", average="scores"), references="centres"),
    # what the autoencoder itself puts out
    "mse": Scoring(OutputSpec(output=0), references="none"),
    "mahala": Scoring(OutputSpec(output=1), references="none"),
}

DEFAULT = "dldn-mean"


def scorings_of(system: System, choices: Mapping[str, str]) -> dict[str, Scoring]:
    """Return the scoring of each branch of a system.

    Parameters
    ----------
    choices : scoring names by extractor; that of ``""`` is for all extractors whose scoring
        the system leaves open

    Raises
    ------
    UsageError
        When a scoring or an extractor is unknown, or a choice is for no extractor.
    """
    unknown = sorted(set(choices) - {"", *system.extractors})
    if unknown:
        raise UsageError(
            f"{system.name} has no extractor {unknown[0]!r}; it has: {', '.join(system.extractors)}"
        )
    if "" in choices and not set(system.extractors) - system.scorers.keys():
        raise UsageError(
            f"{system.name} leaves no scorer open: name the extractor, "
            f"as in {system.extractors[0]}={choices['']}"
        )
    chosen = {"": DEFAULT, **system.scorers, **choices}
    names = {branch.name: chosen.get(branch.extractor, chosen[""]) for branch in system.branches}
    for name in names.values():
        if name not in SCORINGS:
            raise UsageError(f"unknown scorer {name!r}; known scorers: {', '.join(SCORINGS)}")
    return {branch: SCORINGS[name] for branch, name in names.items()}


def clips_by_domain(clips: Sequence[Clip]) -> dict[Domain, list[Clip]]:
    """Clips of each domain that has any, source first, in the order of the clips.

    Raises
    ------
    DataError
        When a clip names no domain.
    """
    domains: dict[Domain, list[Clip]] = {}
    for clip in clips:
        if clip.domain is None:
            raise DataError(f"{clip.path} names no domain; training clips must")
        domains.setdefault(clip.domain, []).append(clip)
    return dict(sorted(domains.items()))


def make_banks(
    embeddings: Mapping[Domain, NDArray[np.float32]], scoring: Scoring, centres: Banks
) -> Banks:
    """References of one machine and branch, rows of unit norm; none if none are needed.

    Parameters
    ----------
    embeddings : of the machine's training clips, by domain, (n_clips, n_segments, dim)
    centres : of the machine's classes, by domain; empty if the network has none

    Raises
    ------
    DataError
        When class centres are wanted of a network without.
    """
    match scoring.references:
        case "clips":
            return {
                domain: window_queries(rows, "embeddings")[:, 0]
                for domain, rows in embeddings.items()
            }
        case "centres":
            if not centres:
                raise DataError("this extractor was trained without class centres to score with")
            return centres
        case "none":
            return {}


def centre_banks(
    centres: NDArray[np.float32] | None, classes: Sequence[ClassName], machine: str, view: str
) -> Banks:
    """Class centres of one machine and view, by domain; empty without centres.

    Parameters
    ----------
    centres : (n_classes, dim) float32, rows of unit norm, in the order of `classes`
    """
    domains: dict[Domain, list[int]] = {}
    for i, (name, domain, _, class_view) in enumerate(classes):
        if name == machine and class_view in ("", view):
            domains.setdefault("target" if domain == "target" else "source", []).append(i)
    if centres is None:
        return {}
    return {domain: centres[index] for domain, index in sorted(domains.items())}


def clip_scores(embeddings: NDArray[np.float32], banks: Banks, scoring: Scoring) -> Floats:
    """Return the score of each clip.

    Parameters
    ----------
    embeddings : (n_clips, n_segments, dim) float32
    banks : references by domain; ignored where the network's output is the score

    Returns
    -------
    (n_clips,) float64
    """
    spec = scoring.spec
    if isinstance(spec, DirectSpec):
        return spec.scores(embeddings)
    queries = window_queries(embeddings, spec.average)  # (n_clips, n_queries, dim)
    scores = exact_scores(queries.reshape(-1, queries.shape[-1]), banks, spec)
    return np.asarray(scores.reshape(len(queries), -1).mean(axis=1))


def normal_scores(
    embeddings: Mapping[Domain, NDArray[np.float32]], banks: Banks, scoring: Scoring
) -> dict[Domain, Floats]:
    """Return the scores of training clips, by domain, each without help from itself.

    Where the references are the clips, each is left out of its bank. A clip cannot be taken
    out of what a network has learned: scores from class centres, and those that are the
    network's own output, are those of clips that it was trained on.

    Parameters
    ----------
    embeddings : by domain, (n_clips, n_segments, dim) float32
    """
    spec = scoring.spec
    if scoring.references != "clips" or isinstance(spec, DirectSpec):
        return {domain: clip_scores(rows, banks, scoring) for domain, rows in embeddings.items()}
    if sum(map(len, banks.values())) < 2:
        raise DataError("a threshold needs at least two training clips: record more")
    return leave_one_out_scores(banks, spec)
