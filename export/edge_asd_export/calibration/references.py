"""References of a branch: the banks made of training clips or of class centres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.manifest import Domain
from edge_asd.errors import DataError
from edge_asd.scoring.scorer import window_queries
from edge_asd_export.calibration.scoring import Banks, Scoring
from edge_asd_export.data.clips import Clip
from edge_asd_export.training.training_set import ClassName

__all__ = ["centre_banks", "clips_by_domain", "make_banks"]


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
