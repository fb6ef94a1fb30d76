"""Embeddings of training clips, computed by the device's own extractor on shipped graphs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio import read_audio
from edge_asd.detector import embed_views
from edge_asd.errors import DataError
from edge_asd.extractor import Extractor
from edge_asd.manifest import Domain
from edge_asd.scorer import normalise_rows
from edge_asd.system import Branch
from edge_asd_export.clips import Clip

__all__ = ["Banks", "Embeddings", "embed_clips", "split_domains"]

Banks = dict[Domain, NDArray[np.float32]]
Embeddings = dict[str, NDArray[np.float32]]  # by branch, (n_clips, dim), rows of unit norm


def embed_clips(
    clips: Sequence[Clip],
    branches: Sequence[Branch],
    extractors: Mapping[str, Extractor],
    on_clip: Callable[[], None],
) -> Embeddings:
    """Unit-norm embeddings (n_clips, dim) of each branch, in the order of the clips.

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
            for view, embedding in embed_views(extractors[name], audio, wanted).items():
                if not np.isfinite(embedding).all():
                    raise DataError(f"{clip.path}: its {name}@{view} embedding is not finite")
                rows[f"{name}@{view}"].append(embedding)
        on_clip()
    return {branch: normalise_rows(np.stack(stacked)) for branch, stacked in rows.items()}


def split_domains(clips: Sequence[Clip], rows: NDArray[np.float32]) -> Banks:
    """Rows of each domain that has any, in the order of the clips."""
    domains: dict[Domain, list[int]] = {}
    for i, clip in enumerate(clips):
        if clip.domain is None:
            raise DataError(f"{clip.path} names no domain; training clips must")
        domains.setdefault(clip.domain, []).append(i)
    return {domain: rows[index] for domain, index in sorted(domains.items())}
