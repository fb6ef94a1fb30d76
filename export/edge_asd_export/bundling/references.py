"""Embeddings of clips by the device's own extractor, and the banks made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.decode import read_audio
from edge_asd.bundle.manifest import Domain
from edge_asd.bundle.system import Branch
from edge_asd.errors import DataError
from edge_asd.scoring.detector import embed_views
from edge_asd.scoring.extractor import Extractor
from edge_asd.scoring.scorer import window_queries
from edge_asd_export.calibration.scoring import Banks, Scoring
from edge_asd_export.data.clips import Clip
from edge_asd_export.training.training_set import ClassName

__all__ = ["Embeddings", "centre_banks", "embed_clips", "make_banks", "split_domains"]

Embeddings = dict[str, NDArray[np.float32]]  # by branch, (n_clips, n_segments, dim)


def embed_clips(
    clips: Sequence[Clip],
    branches: Sequence[Branch],
    extractors: Mapping[str, Extractor],
    on_clip: Callable[[], None],
) -> Embeddings:
    """Embeddings of each branch, in the order of the clips.

    Raises
    ------
    DataError
        When an embedding is not finite.
    """
    rows: dict[str, list[NDArray[np.float32]]] = {branch.name: [] for branch in branches}
    views: dict[str, list[str]] = {}
    for branch in branches:
        views.setdefault(branch.extractor, []).append(branch.view)
    for clip in clips:
        audio, _ = read_audio(clip.path)
        for name, wanted in views.items():
            for view, segments in embed_views(extractors[name], audio, wanted).items():
                if not np.isfinite(segments).all():
                    raise DataError(f"{clip.path}: its {name}@{view} embedding is not finite")
                rows[f"{name}@{view}"].append(segments)
        on_clip()
    return {branch: np.stack(stacked) for branch, stacked in rows.items()}


def split_domains(
    clips: Sequence[Clip], rows: NDArray[np.float32]
) -> dict[Domain, NDArray[np.float32]]:
    """Rows of each domain that has any, in the order of the clips."""
    domains: dict[Domain, list[int]] = {}
    for i, clip in enumerate(clips):
        if clip.domain is None:
            raise DataError(f"{clip.path} names no domain; training clips must")
        domains.setdefault(clip.domain, []).append(i)
    return {domain: rows[index] for domain, index in sorted(domains.items())}


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
