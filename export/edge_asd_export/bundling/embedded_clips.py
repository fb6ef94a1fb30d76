"""Training clips as the exported graphs see them; each clip is decoded once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.decode import read_audio
from edge_asd.bundle.manifest import Domain
from edge_asd.bundle.system import Branch
from edge_asd.errors import DataError
from edge_asd.explain.normal_spectra import DomainSpectra, NormalSpectra, measure_spectra
from edge_asd.scoring.detector import embed
from edge_asd.scoring.ensemble import KNOWN_TO_ALL, ReferenceSets
from edge_asd.scoring.extractor import Extractor
from edge_asd_export.bundling.calibrators import Calibrator, unheard_scores
from edge_asd_export.bundling.export_job import Clips, DomainClips, ExportJob
from edge_asd_export.bundling.trained_networks import TrainedNetwork
from edge_asd_export.calibration.scoring import (
    Floats,
    Scoring,
    clip_scores,
    clips_by_domain,
    make_references,
    normal_scores,
)
from edge_asd_export.data.clips import Clip

__all__ = [
    "ClipReader",
    "EmbeddedClips",
    "embed_clips",
    "embed_machine",
    "score_labelled_clips",
    "score_normal_clips",
]

Audio = NDArray[np.float32]  # (2, n_samples)
Embeddings = dict[str, NDArray[np.float32]]  # by branch, (n_clips, n_segments, dim)


class ClipReader:
    """Reads clips, and keeps their audio until it is released: none is decoded twice.

    Parameters
    ----------
    kept : clips that are not released
    """

    def __init__(self, kept: Collection[Clip] = ()) -> None:
        self._kept = frozenset(kept)
        self._audio: dict[Clip, Audio] = {}

    def __call__(self, clip: Clip) -> Audio:
        """Audio (2, n_samples) float32 of a clip."""
        if clip not in self._audio:
            self._audio[clip], _ = read_audio(clip.path)
        return self._audio[clip]

    def release(self, clip: Clip) -> None:
        """Let go of the audio of a clip."""
        if clip not in self._kept:
            self._audio.pop(clip, None)


@dataclass(frozen=True, slots=True)
class EmbeddedClips:
    """What an export knows of one machine's training clips."""

    references: Mapping[str, ReferenceSets]  # by branch
    # Scores of the clips by branch, each without help from its take; source clips come first.
    normal: Mapping[str, Floats]
    # Scores of the same clips where a network gave them that has not heard the clip; otherwise NaN.
    unheard: Mapping[str, Floats]
    takes: NDArray[np.integer]  # number of the take of each of these clips
    spectra: NormalSpectra  # what a device explains with


def embed_machine(
    job: ExportJob,
    machine: str,
    networks: Mapping[str, TrainedNetwork],
    extractors: Mapping[str, Extractor],
    calibrators: Mapping[str, Mapping[int, Calibrator]],
    read: ClipReader,
    on_clip: Callable[[], None],
) -> EmbeddedClips:
    """Embed the training clips of a machine, make its banks of them, and release their audio.

    Parameters
    ----------
    networks, extractors : by network name, as trained and as exported
    calibrators : networks that were trained without a fold, by network name and fold

    Raises
    ------
    DataError
        When a clip names no domain, or an embedding is not finite.
    """
    names = job.networks(machine)
    own = {name: extractors[network] for name, network in names.items()}
    without = _by_fold({name: calibrators.get(network, {}) for name, network in names.items()})
    embeddings: dict[Domain, Embeddings] = {}
    of_calibrators: dict[int, dict[Domain, Embeddings]] = {fold: {} for fold in without}
    spectra: dict[Domain, DomainSpectra] = {}
    by_domain = clips_by_domain(job.clips[machine])
    for domain, clips in by_domain.items():
        embedded, measured = [], []
        again: dict[int, list[Embeddings]] = {fold: [] for fold in without}
        for clip in clips:
            audio = read(clip)
            embedded.append(_embed_clip(clip, audio, job.system.branches, own))
            for fold, found in without.items():
                graphs = {name: calibrator.extractor for name, calibrator in found.items()}
                branches = [branch for branch in job.system.branches if branch.extractor in graphs]
                again[fold].append(_embed_clip(clip, audio, branches, graphs))
            measured.append(measure_spectra([audio], job.run.record.sample_rate_hz))
            read.release(clip)
            on_clip()
        embeddings[domain] = _stacked(embedded)
        for fold, clips_again in again.items():
            of_calibrators[fold][domain] = _stacked(clips_again)
        spectra[domain] = DomainSpectra.joined(measured)
    references, normal, unheard = {}, {}, {}
    folds = job.folds_of(by_domain)
    for branch in job.system.branches:
        name, scoring = names[branch.extractor], job.scorings[branch.name]
        references[branch.name], scores = score_normal_clips(
            job,
            by_domain,
            _of_branch(embeddings, branch),
            scoring,
            networks[name].centres(machine, branch.view),
            extractors[name].spec.members,
        )
        normal[branch.name] = np.concatenate([scores[domain] for domain in by_domain])
        unheard[branch.name] = np.full(len(normal[branch.name]), np.nan)
        if extractors[name].spec.members > 1:  # the member without the fold of a clip scored it
            in_fold = np.concatenate([folds[domain] for domain in by_domain]) != KNOWN_TO_ALL
            unheard[branch.name][in_fold] = normal[branch.name][in_fold]
        for fold, found in without.items():
            if branch.extractor not in found:
                continue
            by_clip = unheard_scores(
                _of_branch(of_calibrators[fold], branch),
                folds,
                fold,
                scoring,
                found[branch.extractor].network.centres(machine, branch.view),
            )
            held_out = np.concatenate([by_clip[domain] for domain in by_domain])
            unheard[branch.name] = np.where(np.isnan(held_out), unheard[branch.name], held_out)
    kept = {branch: values.astype(np.float32) for branch, values in normal.items()}
    takes = np.concatenate(list(job.takes_of(by_domain).values()))
    return EmbeddedClips(references, normal, unheard, takes, NormalSpectra(spectra, kept))


def _by_fold(
    calibrators: Mapping[str, Mapping[int, Calibrator]],
) -> dict[int, dict[str, Calibrator]]:
    """The calibrators of each fold, by the name of the extractor."""
    folds = sorted({fold for own in calibrators.values() for fold in own})
    return {
        fold: {name: own[fold] for name, own in calibrators.items() if fold in own}
        for fold in folds
    }


def _of_branch(
    embeddings: Mapping[Domain, Embeddings], branch: Branch
) -> dict[Domain, NDArray[np.float32]]:
    return {domain: rows[branch.name] for domain, rows in embeddings.items()}


def score_normal_clips(
    job: ExportJob,
    clips: DomainClips,
    embeddings: Mapping[Domain, NDArray[np.float32]],
    scoring: Scoring,
    centres: ReferenceSets,
    members: int,
) -> tuple[ReferenceSets, dict[Domain, Floats]]:
    """References of one machine and branch, and the scores of its clips, held out by fold.

    Parameters
    ----------
    clips : of the machine
    embeddings : of these clips, (n_clips, n_segments, dim), of an ensemble
        (n_clips, members, dim)
    centres : of the machine's classes; empty if the network has none
    members : networks that gave the embeddings
    """
    folds = job.folds_of(clips)
    references = make_references(embeddings, scoring, centres, folds=folds, members=members)
    return references, normal_scores(embeddings, references, scoring, job.groups_of(clips))


def score_labelled_clips(
    job: ExportJob,
    clips: Clips,
    extractors: Mapping[str, Extractor],
    embedded: Mapping[str, EmbeddedClips],
) -> dict[str, dict[str, Floats]]:
    """Scores by machine and branch of labelled clips that may choose the fusion weights."""
    job.progress.say("embedding labelled development clips")
    on_clip = job.progress.clip_counter(clips)
    scores = {}
    for machine, own in clips.items():
        known = {name: extractors[network] for name, network in job.networks(machine).items()}
        rows = embed_clips(own, job.system.branches, known, on_clip)
        scores[machine] = {
            branch: clip_scores(rows[branch], embedded[machine].references[branch], scoring)
            for branch, scoring in job.scorings.items()
        }
    return scores


def embed_clips(
    clips: Sequence[Clip],
    branches: Sequence[Branch],
    extractors: Mapping[str, Extractor],
    on_clip: Callable[[], None] = lambda: None,
) -> Embeddings:
    """Embeddings of each branch, in the order of the clips.

    Raises
    ------
    DataError
        When an embedding is not finite.
    """
    rows = []
    for clip in clips:
        rows.append(_embed_clip(clip, read_audio(clip.path)[0], branches, extractors))
        on_clip()
    return _stacked(rows)


def _embed_clip(
    clip: Clip, audio: Audio, branches: Sequence[Branch], extractors: Mapping[str, Extractor]
) -> Embeddings:
    """Embeddings (n_segments, dim) of each branch."""
    rows = embed(audio, branches, extractors)
    for branch, segments in rows.items():
        if not np.isfinite(segments).all():
            raise DataError(f"{clip.path}: its {branch} embedding is not finite")
    return rows


def _stacked(clips: Sequence[Embeddings]) -> Embeddings:
    return {branch: np.stack([rows[branch] for rows in clips]) for branch in clips[0]}
