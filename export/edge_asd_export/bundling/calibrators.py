"""Calibration networks at work: how training clips score that a network has not heard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.bundle import open_extractors
from edge_asd.bundle.record import Domain
from edge_asd.scoring.ensemble import ReferenceSets
from edge_asd.scoring.extractor import Extractor
from edge_asd.scoring.held_out import Groups
from edge_asd_export.bundling.export_job import ExportJob
from edge_asd_export.bundling.onnx_graphs import write_extractor
from edge_asd_export.bundling.trained_networks import TrainedNetwork, load_network
from edge_asd_export.calibration.scoring import Floats, Scoring, clip_scores, make_references
from edge_asd_export.training.calibration_networks import trained_without
from edge_asd_export.training.recipes import recipe_of

__all__ = ["Calibrator", "open_calibrators", "unheard_scores"]


@dataclass(frozen=True, slots=True)
class Calibrator:
    """A network that was trained without a fold, as the device would run it in float32."""

    network: TrainedNetwork
    extractor: Extractor


def open_calibrators(job: ExportJob, name: str, folder: Path) -> dict[int, Calibrator]:
    """Write and open the calibration networks that a run has of one of its networks, by fold.

    Warns where it should have one and has none.

    Parameters
    ----------
    folder : for the graphs, which are needed until they are loaded
    """
    found = {}
    for fold in trained_without(job.run, name):
        network = load_network(job.run.without_fold(fold), name)
        own = folder / str(fold)
        spec = write_extractor(network.exported(job.options), name, own, network=name)
        found[fold] = Calibrator(network, open_extractors(own, {name: spec})[name])
    if not found and not recipe_of(name).is_ensemble:
        job.progress.say(
            f"warning: {name} was trained with all sound that its thresholds come from, so they "
            f"are too low: {_remedy(job)}"
        )
    return found


def _remedy(job: ExportJob) -> str:
    if not job.run.record.folds:  # of a run from before there were folds; none can be added
        return "train again with 'edge-asd train'"
    if job.run.record.config.folds:
        return f"train its calibration network with 'edge-asd train --resume {job.run.path}'"
    return "train with --folds 1"


def unheard_scores(
    embeddings: Mapping[Domain, NDArray[np.float32]],
    folds: Groups,
    fold: int,
    scoring: Scoring,
    centres: ReferenceSets,
) -> dict[Domain, Floats]:
    """Return the scores of the clips of a fold against the other clips; of these, NaN.

    Parameters
    ----------
    embeddings : of a machine's training clips, by a network that was trained without the fold,
        by domain, (n_clips, n_segments, dim)
    folds : of these clips
    centres : of the machine's classes; empty if the network has none
    """
    known = {
        d: rows[folds[d] != fold] for d, rows in embeddings.items() if (folds[d] != fold).any()
    }
    scores = {domain: np.full(len(rows), np.nan) for domain, rows in embeddings.items()}
    if not known:
        return scores
    references = make_references(known, scoring, centres)
    for domain, rows in embeddings.items():
        new = folds[domain] == fold
        if new.any():
            scores[domain][new] = clip_scores(rows[new], references, scoring)
    return scores
