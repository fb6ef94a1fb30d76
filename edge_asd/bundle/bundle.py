"""Open a bundle: verify it, then hand out sessions, banks and detectors."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from edge_asd.bundle.limits import BUNDLE_BYTES, N_FILES
from edge_asd.bundle.manifest import (
    Domain,
    ExtractorSpec,
    MachineSpec,
    Manifest,
)
from edge_asd.bundle.manifest_file import read_manifest
from edge_asd.errors import BundleError, UsageError
from edge_asd.explain.normal_spectra import NormalSpectra, read_spectra
from edge_asd.machine_name import machine_name
from edge_asd.scoring.bank import Bank
from edge_asd.scoring.bank_files import Search, open_banks
from edge_asd.scoring.detector import Detector
from edge_asd.scoring.extractor import Extractor
from edge_asd.scoring.graph import Shape, open_session, require_shapes
from edge_asd.scoring.kinds import ReferenceSpec
from edge_asd.scoring.scorer import BankScorer, Scorer

if TYPE_CHECKING:
    import onnxruntime as ort

__all__ = ["UNCOVERED", "Bundle", "open_extractors"]

# Of a manifest of an old format.
UNCOVERED = "no digest covers its manifest: a damaged threshold would not be noticed"

_log = logging.getLogger(__name__)


class Bundle:
    """A verified bundle folder.

    Use :meth:`open`; the constructor does not check anything.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: Path, *, verify: bool = True) -> Bundle:
        """Read the manifest and, unless told otherwise, compare the files with their digests.

        Raises
        ------
        BundleError
            When the bundle is missing, of another format version, or a file is missing
            or differs from the manifest.
        """
        bundle = cls(path, read_manifest(path))
        if verify:
            if not bundle.manifest.covered:
                _log.warning("%s: %s; export it again", path, UNCOVERED)
            bundle.verify(bundle.manifest.files.keys() - bundle.manifest.derived_files())
        return bundle

    def verify(self, names: Iterable[str]) -> None:
        """Compare the named files with the sizes and digests of the manifest.

        Raises
        ------
        BundleError
            At the first file that is missing, leaves the bundle, or differs; when there are too
            many, or too large ones.
        """
        n_bytes = sum(entry.bytes for entry in self.manifest.files.values())
        if len(self.manifest.files) > N_FILES or n_bytes > BUNDLE_BYTES:
            raise BundleError(
                f"{self.path} has {len(self.manifest.files)} files of {n_bytes} bytes, expected at "
                f"most {N_FILES} of {BUNDLE_BYTES}: no edge-asd wrote it"
            )
        for name in sorted(names):
            self.manifest.files[name].require(self.path, name)

    def resolve_machine(self, name: str | None) -> str:
        """Return the machine called `name`, or the only one when `name` is None.

        Raises
        ------
        UsageError
            When the bundle does not know it, or when there are several to choose from.
        """
        known = ", ".join(self.manifest.machines)
        if name is None:
            if len(self.manifest.machines) == 1:
                return next(iter(self.manifest.machines))
            raise UsageError(
                f"{self.path} knows {len(self.manifest.machines)} machines: "
                f"choose one with --machine ({known})"
            )
        spelled = {machine_name(own): own for own in self.manifest.machines}
        if name not in self.manifest.machines:
            name = spelled.get(machine_name(name), name)
        if name not in self.manifest.machines:
            raise UsageError(f"{self.path} was not made for machine {name!r}; it knows: {known}")
        return name

    def extractors(self, machine: str | None = None, *, threads: int = 1) -> dict[str, Extractor]:
        """Load each extractor once, by its name in the manifest.

        Parameters
        ----------
        machine : only what this machine needs; None: everything, to share it between machines
        """
        names = {
            self.manifest.extractor_name(name, branch.extractor)
            for name in ([machine] if machine else self.manifest.machines)
            for branch in self.manifest.branches
        }
        return open_extractors(
            self.path, {name: self.manifest.extractors[name] for name in sorted(names)}, threads
        )

    def detector(
        self,
        machine: str | None = None,
        *,
        threads: int = 1,
        search: Search = "auto",
        extractors: dict[str, Extractor] | None = None,
    ) -> Detector:
        """Load what is needed to score windows of one machine.

        Parameters
        ----------
        threads : ONNX Runtime threads within an operator
        search : how banks are searched
        extractors : from :meth:`extractors`, to share graphs between machines
        """
        name = self.resolve_machine(machine)
        branches = self.manifest.reference_scorers
        return self.detector_with(
            {branch: self.banks(name, branch, search) for branch in branches},
            like=name,
            machine=name,
            spec=self.manifest.machines[name],
            extractors=extractors or self.extractors(name, threads=threads),
        )

    def detector_with(
        self,
        banks: Mapping[str, Mapping[Domain, Bank]],
        *,
        like: str,
        machine: str,
        spec: MachineSpec,
        extractors: Mapping[str, Extractor],
    ) -> Detector:
        """Return what scores windows with the networks of a machine, and with any banks.

        Parameters
        ----------
        banks : of each branch that has references
        like : machine of the bundle whose networks are used
        machine, spec : what is scored, and its calibration
        extractors : those of `like`, from :meth:`extractors`
        """
        scorers: dict[str, Scorer] = {
            branch.name: BankScorer(banks[branch.name], branch.scorer.average)
            if isinstance(branch.scorer, ReferenceSpec)
            else branch.scorer
            for branch in self.manifest.branches
        }
        return Detector(
            machine=machine,
            spec=spec,
            sample_rate_hz=self.manifest.sample_rate_hz,
            hop_s=self.manifest.hop_s,
            extractors={
                b.extractor: extractors[self.manifest.extractor_name(like, b.extractor)]
                for b in self.manifest.branches
            },
            scorers=scorers,
        )

    def banks(self, machine: str, branch: str, search: Search = "auto") -> dict[Domain, Bank]:
        """Open the memory banks of one machine and branch.

        Raises
        ------
        BundleError
            When one is not what the manifest says.
        """
        manifest = self.manifest
        return open_banks(
            self.path,
            manifest.machines[machine].banks[branch],
            manifest.reference_scorers[branch],
            search,
            members=manifest.members(machine, branch),
        )

    def spectra(self, machine: str | None = None) -> NormalSpectra | None:
        """How the references of one machine sound; None in a bundle that does not tell.

        Raises
        ------
        BundleError
            When the file cannot be read.
        """
        file = self.manifest.machines[self.resolve_machine(machine)].spectra_file
        return read_spectra(self.path / file) if file else None


def open_extractors(
    bundle_dir: Path, specs: Mapping[str, ExtractorSpec], threads: int = 1
) -> dict[str, Extractor]:
    """Load the graphs of extractors; a file that several of them use is loaded once.

    Raises
    ------
    BundleError
        When ONNX Runtime cannot load a graph, or its shapes are not those of the manifest.
    """
    open_once = cache(lambda file: open_session(bundle_dir / file, threads=threads))

    def opened(file: str, inputs: dict[str, Shape], output: Shape) -> ort.InferenceSession:
        session = open_once(file)
        require_shapes(session, bundle_dir / file, inputs, output)
        return session

    return {
        name: Extractor(
            spec,
            {
                feature.name: opened(feature.file, {"audio": spec.audio_shape}, feature.shape)
                for feature in spec.features
                if feature.file
            },
            opened(
                spec.encoder.file,
                {feature.name: spec.encoder_shape(feature) for feature in spec.features},
                spec.embedding_shape,
            ),
        )
        for name, spec in specs.items()
    }
