"""Bundles of every kind that are changed and opened: small, and whole in every other way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from device.bundle_files import file_entries, seal
from device.mini_bundle import BRANCHES, MACHINE, N_BANDS, machine_sound, mixings, write_mini_bundle
from device.parts_bundle import write_parts_bundle

from edge_asd.bundle import golden
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import MachineSpec
from edge_asd.bundle.manifest_file import read_manifest
from edge_asd.explain.normal_spectra import NormalSpectra, measure_spectra, write_spectra
from edge_asd.scoring.bank_files import write_banks
from edge_asd.scoring.ensemble import ReferenceSet, ReferenceSets
from edge_asd.scoring.kinds import DldnSpec
from edge_asd.scoring.scorer import normalise_rows

N_LARGE = 10_001


def _single(folder: Path) -> Path:
    """One network, two banks, and the spectra of its references."""
    write_mini_bundle(folder)
    windows = [machine_sound(1.0, seed=seed) for seed in range(24)]
    write_spectra(
        folder / "spectra.npz", NormalSpectra({"source": measure_spectra(windows, 16000)})
    )
    return _change(folder, spectra_file="spectra.npz")


def _ensemble(folder: Path) -> Path:
    return write_mini_bundle(folder, mixings(3))


def _large(folder: Path) -> Path:
    """A bank that had an index in bundles of old."""
    write_mini_bundle(folder)
    banks = {}
    for branch in BRANCHES:
        few = np.load(folder / f"{branch}.npy")
        noise = 0.05 * np.random.default_rng(0).standard_normal((N_LARGE, N_BANDS))
        rows = normalise_rows(few[np.arange(N_LARGE) % len(few)] + noise)
        rows[: len(few)] = few
        references: ReferenceSets = {"source": ReferenceSet.known_to_all(rows[:, None])}
        banks[branch] = write_banks(folder, branch, references, DldnSpec())
    return _change(folder, banks=banks)


def _change(folder: Path, **changes: object) -> Path:
    """Write the manifest again with changes of its one machine, and with the files there are."""
    manifest = read_manifest(folder)
    machine: MachineSpec = manifest.machines[MACHINE].model_copy(update=changes)
    more = {"machines": {MACHINE: machine}, "files": file_entries(folder)}
    changed = manifest.model_copy(update=more)
    windows = [machine_sound(1.0, seed=seed) for seed in (50, 51)]
    seal(folder, changed, golden.record(Bundle(folder, changed).detector(), windows))
    return folder


BUNDLES: Mapping[str, Callable[[Path], Path]] = {
    "single": _single,
    "ensemble": _ensemble,
    "large": _large,
    "parts": write_parts_bundle,  # two machines, segments, scores without references
}
