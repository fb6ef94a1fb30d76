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
from edge_asd.scoring.ensemble import ReferenceSet, ReferenceSets, open_exact
from edge_asd.scoring.held_out import Groups, held_out_scores
from edge_asd.scoring.kinds import (
    DirectSpec,
    DldnSpec,
    NearestSpec,
    OutputSpec,
    ScorerSpec,
    VarminSpec,
)
from edge_asd.scoring.scorer import BankScorer, window_queries
from edge_asd_export.data.clips import Clip
from edge_asd_export.training.training_set import ClassName

__all__ = [
    "SCORINGS",
    "Floats",
    "References",
    "Scoring",
    "centre_banks",
    "clip_scores",
    "clips_by_domain",
    "make_references",
    "normal_scores",
    "scorings_of",
]

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


def make_references(
    embeddings: Mapping[Domain, NDArray[np.float32]],
    scoring: Scoring,
    centres: ReferenceSets,
    *,
    folds: Groups | None = None,
    members: int = 1,
) -> ReferenceSets:
    """References of one machine and branch, rows of unit norm; none if none are needed.

    Parameters
    ----------
    embeddings : of the machine's training clips, by domain, (n_clips, n_segments, dim), of an
        ensemble (n_clips, members, dim)
    centres : of the machine's classes, by domain; empty if the network has none
    folds : of each clip, the member of an ensemble that was trained without it
    members : networks that gave the embeddings

    Raises
    ------
    DataError
        When class centres are wanted of a network without.
    """
    match scoring.references:
        case "clips":
            found = {
                domain: ReferenceSet.known_to_all(window_queries(rows, "embeddings", members))
                for domain, rows in embeddings.items()
            }
            if members == 1 or folds is None:
                return found
            return {
                domain: ReferenceSet(own.rows, folds[domain].astype(np.int8))
                for domain, own in found.items()
            }
        case "centres":
            if not centres:
                raise DataError("this extractor was trained without class centres to score with")
            return centres
        case "none":
            return {}


def centre_banks(
    centres: NDArray[np.float32] | None, classes: Sequence[ClassName], machine: str, view: str
) -> ReferenceSets:
    """Class centres of one machine and view, by domain; empty without centres.

    Parameters
    ----------
    centres : (n_classes, dim) float32, rows of unit norm, in the order of `classes`
    """
    domains: dict[Domain, list[int]] = {}
    for i, of in enumerate(classes):
        if of.machine == machine and of.view in ("", view) and of.warp == 1.0:
            domains.setdefault("target" if of.domain == "target" else "source", []).append(i)
    if centres is None:
        return {}
    return {
        domain: ReferenceSet.known_to_all(centres[index][:, None])
        for domain, index in sorted(domains.items())
    }


def clip_scores(
    embeddings: NDArray[np.float32], references: ReferenceSets, scoring: Scoring
) -> Floats:
    """Return the score of each clip, as the device gives it.

    Parameters
    ----------
    embeddings : (n_clips, n_segments, dim) float32, of an ensemble (n_clips, members, dim)
    references : by domain; ignored where the network's output is the score

    Returns
    -------
    (n_clips,) float64
    """
    spec = scoring.spec
    if isinstance(spec, DirectSpec):
        return spec.scores(embeddings)
    scorer = BankScorer(open_exact(references, spec), spec.average)
    return np.array([scorer.score(clip) for clip in embeddings])


def normal_scores(
    embeddings: Mapping[Domain, NDArray[np.float32]],
    references: ReferenceSets,
    scoring: Scoring,
    groups: Groups,
) -> dict[Domain, Floats]:
    """Return the scores of training clips, by domain, each without help from its group.

    Where the references are the clips, those of a clip's group are left out
    (:mod:`edge_asd.scoring.held_out`). A clip cannot be taken out of what a network has
    learned: scores from class centres, and those that are the network's own output, are those
    of clips that it was trained on.

    Parameters
    ----------
    embeddings : by domain, (n_clips, n_segments, dim) float32, of an ensemble
        (n_clips, members, dim)
    groups : number of the group of each clip; clips of two groups share no sound
    """
    spec = scoring.spec
    if scoring.references != "clips" or isinstance(spec, DirectSpec):
        return {d: clip_scores(rows, references, scoring) for d, rows in embeddings.items()}
    if sum(map(len, references.values())) < 2:
        raise DataError("a threshold needs at least two training clips: record more")
    members = next(iter(references.values())).members
    queries = {d: window_queries(rows, spec.average, members) for d, rows in embeddings.items()}
    return held_out_scores(references, groups, spec, queries=queries)
