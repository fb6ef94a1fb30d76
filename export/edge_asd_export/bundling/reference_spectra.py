"""How the training clips of every machine sound, for the explanations of a device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.decode import read_audio
from edge_asd.bundle.manifest import Domain
from edge_asd.explain.normal_spectra import NormalSpectra, measure_spectra, write_spectra
from edge_asd_export.bundling.export_job import Clips
from edge_asd_export.calibration.calibration import Evidences
from edge_asd_export.calibration.scoring import normal_scores
from edge_asd_export.data.clips import Clip

__all__ = ["write_reference_spectra"]


def write_reference_spectra(
    folder: Path, clips: Clips, known: Evidences, sample_rate_hz: int
) -> dict[str, str]:
    """Write ``spectra/<machine>.npz`` of every machine into `folder`; return their names.

    The clips of a domain come in the order of its banks (:func:`.references.split_domains`).
    """
    files = {machine: f"spectra/{machine}.npz" for machine in clips}
    for machine, own in clips.items():
        domains: dict[Domain, list[Clip]] = {}
        for clip in own:
            if clip.domain is not None:
                domains.setdefault(clip.domain, []).append(clip)
        spectra = NormalSpectra(
            {
                domain: measure_spectra(_sounds(some), sample_rate_hz)
                for domain, some in sorted(domains.items())
            },
            _scores(machine, known),
        )
        write_spectra(folder / files[machine], spectra)
    return files


def _sounds(clips: Sequence[Clip]) -> Iterator[NDArray[np.float32]]:
    for clip in clips:
        yield read_audio(clip.path)[0]


def _scores(machine: str, known: Evidences) -> dict[str, NDArray[np.float32]]:
    """Scores that each branch gives to the clips, each without help from itself."""
    scores = {}
    for branch, rows in known.embeddings[machine].items():
        of_domain = normal_scores(rows, known.banks[machine][branch], known.scorings[branch])
        scores[branch] = np.concatenate([of_domain[domain] for domain in sorted(of_domain)])
    return {branch: own.astype(np.float32) for branch, own in scores.items()}
