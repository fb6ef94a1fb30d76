"""Everything that can be verified about a bundle on the computer that will obey it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_asd.alarm.promise import out_of_reach, sentence
from edge_asd.bundle import golden
from edge_asd.bundle.agreement import require
from edge_asd.bundle.arrays import read_array
from edge_asd.bundle.bundle import UNCOVERED, Bundle, open_extractors
from edge_asd.bundle.manifest import BankSpec
from edge_asd.errors import BundleError

__all__ = ["Finding", "check_bundle"]

# Rows are normalised in float32; 1e-3 is far above its rounding and below any real defect.
_NORM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was verified and is right."""

    what: str
    detail: str


def check_bundle(path: Path, *, threads: int = 1) -> Iterator[Finding]:
    """What was verified, in order: digests, graphs, banks, golden windows.

    Raises
    ------
    BundleError
        At the first thing that is wrong.
    """
    bundle = Bundle.open(path)
    manifest = bundle.manifest
    covered = "agrees with its digest" if manifest.covered else UNCOVERED
    yield Finding("manifest", f"format {manifest.format_version}, {covered}")
    n_bytes = sum(entry.bytes for entry in manifest.files.values())
    yield Finding("files", f"{len(manifest.files)} files, {n_bytes / 2**20:.1f} MiB, digests agree")
    extractors = open_extractors(path, manifest.extractors, threads)  # compares the shapes
    for name, extractor in manifest.extractors.items():
        features = ", ".join(feature.name for feature in extractor.features)
        yield Finding(
            f"graphs of {name}",
            f"{extractor.network}: {features} -> "
            f"{' x '.join(map(str, extractor.embedding_shape))} dimensions, "
            f"{extractor.encoder.precision}",
        )
    for machine, spec in manifest.machines.items():
        banks = [bank for domains in spec.banks.values() for bank in domains.values()]
        for branch, domains in spec.banks.items():
            for bank in domains.values():
                _check_bank(path, bank, manifest.members(machine, branch))
        if banks:
            n_references = sum(bank.n for bank in banks)
            yield Finding(f"banks of {machine}", f"{n_references} references, finite, unit norm")
        if spectra := bundle.spectra(machine):
            counts = ", ".join(f"{len(own)} {domain}" for domain, own in spectra.domains.items())
            yield Finding(f"spectra of {machine}", f"{counts}, finite")
    arrays = golden.read_golden(path, manifest)
    for machine in manifest.machines:
        detector = bundle.detector(machine, extractors=extractors)
        agreement = golden.compare(detector, arrays)
        require(agreement, manifest)
        golden.require_banks(detector, arrays)
        yield Finding(
            f"golden windows of {machine}",
            f"{agreement.n_windows} windows, cosine at least {agreement.min_cosine:.6f}, "
            f"scores within {agreement.max_score_difference:.1e}",
        )
        if detector.spec.promise:
            level = detector.spec.threshold.threshold
            if said := out_of_reach(level, detector.strange_score()):
                yield Finding(f"threshold of {machine}", said)
    for machine, spec in manifest.machines.items():
        if spec.promise:
            yield Finding(f"promise of {machine}", sentence(spec.threshold, spec.promise))


def _check_bank(path: Path, spec: BankSpec, members: int) -> None:
    file = path / spec.file
    rows = read_array(file, np.float32, (spec.n, spec.dim))
    norms = np.linalg.norm(rows.reshape(spec.n * members, -1), axis=1)
    n_bad = int(np.sum(~(np.abs(norms - 1) <= _NORM_TOLERANCE)))  # counts NaN too
    if n_bad:
        raise BundleError(
            f"{file} has {n_bad} of {len(norms)} rows that are not finite and of unit norm: "
            "export the bundle again"
        )
