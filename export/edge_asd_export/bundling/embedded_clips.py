"""Training clips as the exported graphs see them; each clip is decoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.decode import read_audio
from edge_asd.bundle.manifest import Domain
from edge_asd.bundle.system import Branch
from edge_asd.errors import DataError
from edge_asd.explain.normal_spectra import DomainSpectra, NormalSpectra, measure_spectra
from edge_asd.scoring.detector import embed
from edge_asd.scoring.extractor import Extractor
from edge_asd_export.bundling.export_job import Clips, ExportJob
from edge_asd_export.bundling.trained_networks import TrainedNetwork
from edge_asd_export.calibration.references import clips_by_domain, make_banks
from edge_asd_export.calibration.scoring import Banks, Floats, clip_scores, normal_scores
from edge_asd_export.data.clips import Clip
from edge_asd_export.training.tasks import network_name

__all__ = [
    "ClipReader",
    "EmbeddedClips",
    "Embeddings",
    "embed_clips",
    "embed_training_clips",
    "score_labelled_clips",
]

Audio = NDArray[np.float32]  # (2, n_samples)
Embeddings = dict[str, NDArray[np.float32]]  # by branch, (n_clips, n_segments, dim)


class ClipReader:
    """Reads clips, and keeps the audio of some so that none is decoded twice.

    Parameters
    ----------
    kept : clips that several steps of an export read
    """

    def __init__(self, kept: Iterable[Clip] = ()) -> None:
        self._kept = {clip.path for clip in kept}
        self._audio: dict[Path, Audio] = {}

    def __call__(self, clip: Clip) -> Audio:
        """Audio (2, n_samples) float32 of a clip."""
        if clip.path in self._audio:
            return self._audio[clip.path]
        audio, _ = read_audio(clip.path)
        if clip.path in self._kept:
            self._audio[clip.path] = audio
        return audio


@dataclass(frozen=True, slots=True)
class EmbeddedClips:
    """What an export knows of one machine's training clips."""

    banks: Mapping[str, Banks]  # by branch
    # Scores of the clips by branch, each without help from itself; source clips come first.
    normal: Mapping[str, Floats]
    spectra: Mapping[Domain, DomainSpectra]

    def normal_spectra(self) -> NormalSpectra:
        """What a device explains with."""
        scores = {branch: own.astype(np.float32) for branch, own in self.normal.items()}
        return NormalSpectra(self.spectra, scores)


def embed_training_clips(
    job: ExportJob,
    networks: Mapping[str, TrainedNetwork],
    extractors: Mapping[str, Extractor],
    read: Callable[[Clip], Audio],
) -> dict[str, EmbeddedClips]:
    """Embed the training clips of every machine and make its banks of them.

    Parameters
    ----------
    networks, extractors : by network name, as trained and as exported

    Raises
    ------
    DataError
        When a clip names no domain, or an embedding is not finite.
    """
    job.progress.say("embedding training clips")
    on_clip = _clip_counter(job, job.clips)
    return {
        machine: _embed_machine(job, machine, networks, extractors, read, on_clip)
        for machine in job.clips
    }


def _embed_machine(
    job: ExportJob,
    machine: str,
    networks: Mapping[str, TrainedNetwork],
    extractors: Mapping[str, Extractor],
    read: Callable[[Clip], Audio],
    on_clip: Callable[[], None],
) -> EmbeddedClips:
    own = _extractors_of(job, machine, extractors)
    embeddings: dict[Domain, Embeddings] = {}
    spectra: dict[Domain, DomainSpectra] = {}
    for domain, clips in clips_by_domain(job.clips[machine]).items():
        embedded, measured = [], []
        for clip in clips:
            audio = read(clip)
            embedded.append(_embed_clip(clip, audio, job.system.branches, own))
            measured.append(measure_spectra([audio], job.run.record.sample_rate_hz))
            on_clip()
        embeddings[domain] = _stacked(embedded)
        spectra[domain] = DomainSpectra(
            np.concatenate([one.mean_db for one in measured]),
            np.concatenate([one.spread_db for one in measured]),
        )
    banks, normal = {}, {}
    for branch in job.system.branches:
        scoring, network = job.scorings[branch.name], network_name(branch.extractor, machine)
        rows = {domain: of_domain[branch.name] for domain, of_domain in embeddings.items()}
        centres = networks[network].centres(machine, branch.view)
        banks[branch.name] = make_banks(rows, scoring, centres)
        scores = normal_scores(rows, banks[branch.name], scoring)
        normal[branch.name] = np.concatenate([scores[domain] for domain in sorted(scores)])
    return EmbeddedClips(banks, normal, spectra)


def score_labelled_clips(
    job: ExportJob,
    clips: Clips,
    extractors: Mapping[str, Extractor],
    embedded: Mapping[str, EmbeddedClips],
) -> dict[str, dict[str, Floats]]:
    """Scores by machine and branch of labelled clips that may choose the fusion weights."""
    job.progress.say("embedding labelled development clips")
    on_clip = _clip_counter(job, clips)
    scores = {}
    for machine, own in clips.items():
        known = _extractors_of(job, machine, extractors)
        rows = embed_clips(own, job.system.branches, known, on_clip)
        scores[machine] = {
            branch: clip_scores(rows[branch], embedded[machine].banks[branch], scoring)
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


def _extractors_of(
    job: ExportJob, machine: str, extractors: Mapping[str, Extractor]
) -> dict[str, Extractor]:
    """The extractors of a machine's branches."""
    return {name: extractors[network_name(name, machine)] for name in job.system.extractors}


def _clip_counter(job: ExportJob, clips: Clips) -> Callable[[], None]:
    done, total = count(1), sum(map(len, clips.values()))
    return lambda: job.progress.on_clip(next(done), total)
