"""The bundle contract: everything that a device must obey, as frozen records.

A bundle is a folder whose ``manifest.json`` is one :class:`Manifest`. The workstation
writes it, the device reads it, and both use these classes. Unknown keys are errors,
so that a newer bundle is never half understood; any change of meaning raises
``FORMAT_VERSION``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from edge_asd.audio.view import VIEWS
from edge_asd.bundle.calibration_spec import (
    LONGEST_WINDOW_S,
    FusionSpec,
    PromiseSpec,
    TermSpec,
    ThresholdSpec,
    require_levels,
)
from edge_asd.bundle.extractor_spec import EncoderSpec, ExtractorSpec, FeatureSpec, SegmentSpec
from edge_asd.bundle.limits import FILE_BYTES, WINDOW_ELEMENTS
from edge_asd.bundle.record import Domain, HopSeconds, Positive, Record
from edge_asd.bundle.system import Branch
from edge_asd.errors import BundleError
from edge_asd.scoring.kinds import ReferenceSpec, ScorerSpec

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST_NAME",
    "READABLE_VERSIONS",
    "BankSpec",
    "BranchSpec",
    "Domain",
    "EncoderSpec",
    "ExtractorSpec",
    "FeatureSpec",
    "FileEntry",
    "FusionSpec",
    "GoldenSpec",
    "IndexSpec",
    "MachineSpec",
    "Manifest",
    "PromiseSpec",
    "ScorerSpec",
    "SegmentSpec",
    "TermSpec",
    "ThresholdSpec",
]

FORMAT_VERSION = 4
READABLE_VERSIONS = (2, 3, 4)  # 2 knows neither ensembles nor promises, 3 no digest of the manifest
MANIFEST_NAME = "manifest.json"

_OLD_TOLERANCES = {"min_cosine", "max_score_difference"}
_SAME_TIME = 0.01  # relative


class FileEntry(Record):
    """Digest and size of one file of the bundle."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]

    @classmethod
    def of(cls, path: Path) -> FileEntry:
        """Digest and size of a file that exists."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(sha256=digest, bytes=path.stat().st_size)

    def require(self, bundle_dir: Path, name: str) -> None:
        """Check that a file is as it was written.

        Raises
        ------
        BundleError
            When it is missing, leaves the bundle, or differs.
        """
        path, pure = bundle_dir / name, PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts:
            raise BundleError(f"{bundle_dir}: file name {name!r} leads out of the bundle")
        if not path.is_file():
            raise BundleError(f"{path} is missing; copy the bundle again")
        if (size := path.stat().st_size) != self.bytes or size > FILE_BYTES:
            raise BundleError(
                f"{path} has {size} bytes, expected {self.bytes} and at most {FILE_BYTES}; "
                "copy the bundle again"
            )
        found = FileEntry.of(path)
        if found != self:
            raise BundleError(
                f"{path} is damaged: found {found}, expected {self}; copy the bundle again"
            )

    def __str__(self) -> str:
        return f"{self.bytes} bytes, sha256 {self.sha256[:12]}..."


class IndexSpec(Record):
    """A search index, as bundles of old have beside large banks; its file is never read."""

    file: str
    space: Literal["cosine"] = "cosine"
    dim: Positive  # of the folded vectors, not of the embedding
    n: Positive
    m: Positive
    ef_construction: Positive
    ef_search: Positive
    recall: Annotated[float, Field(ge=0, le=1)]  # of the minimiser, against exact search
    n_queries: Positive  # sample size of `recall`


class BankSpec(Record):
    """Reference embeddings of one machine, branch and domain."""

    file: str  # float32 (n, dim) npy, rows L2-normalised; of an ensemble, each member's part
    n: Positive
    dim: Positive  # of an ensemble, the width of all members together, one after the other
    # int8 (n,) npy: the member of an ensemble that does not know a reference, because it was
    # held out when that member was trained; -1: all know it. None: no ensemble.
    folds_file: str | None = None
    # Score normalisation, float64 (n, 2) npy: scale and offset of the distance to each reference;
    # None: computed when the bank is opened. The format's first name for it has stayed.
    gauge_file: str | None = None
    index: IndexSpec | None = None

    @property
    def paths(self) -> list[str]:
        """Relative paths of the files of this bank."""
        index = self.index.file if self.index else None
        return [path for path in (self.file, self.gauge_file, self.folds_file, index) if path]


class BranchSpec(Record):
    """One extractor on one view, and its scorer."""

    extractor: str
    view: str
    scorer: ScorerSpec

    @model_validator(mode="after")
    def _view_is_known(self) -> Self:
        if self.view not in VIEWS:
            raise ValueError(f"unknown view {self.view!r}; known views: {', '.join(VIEWS)}")
        return self

    @property
    def name(self) -> str:
        return Branch(self.extractor, self.view).name


class MachineSpec(Record):
    """What is known of one machine's normal sound."""

    # One analysis window = one clip of its training data; of two channels.
    window_samples: Annotated[int, Field(gt=0, le=WINDOW_ELEMENTS // 2)]
    banks: dict[str, dict[Domain, BankSpec]]  # by branch name, then domain; none without references
    # Where an extractor was trained for this machine alone: its entry in the manifest's
    # extractors, by the name that the branches use.
    extractors: dict[str, str] = Field(default_factory=dict)
    fusion: FusionSpec
    threshold: ThresholdSpec
    promise: PromiseSpec | None = None  # None: in bundles of format 2
    # npz of the references' spectra (:mod:`edge_asd.explain.normal_spectra`); None: alarms are
    # explained without them
    spectra_file: str | None = None

    @model_validator(mode="after")
    def _promise_has_levels(self) -> Self:
        require_levels(self.threshold, self.promise)
        return self


class GoldenSpec(Record):
    """Windows with the embeddings and scores that the graphs must give on any device."""

    file: str  # npz of the arrays in :mod:`edge_asd.bundle.golden`

    @model_validator(mode="before")
    @classmethod
    def _without_tolerances(cls, raw: Any) -> Any:
        """Drop what bundles of formats 2 and 3 allowed themselves; the program decides."""
        if not isinstance(raw, dict):
            return raw
        return {key: value for key, value in raw.items() if key not in _OLD_TOLERANCES}


class Manifest(Record):
    """The whole contract of one bundle."""

    format_version: Literal[2, 3, 4] = 4
    name: str
    created_utc: str
    system: str
    target: Literal["x86-64", "arm64"]
    tools: dict[str, str]  # program and library versions that wrote the bundle
    sample_rate_hz: Annotated[int, Field(ge=1000, le=768_000)]
    n_channels: Literal[2] = 2
    hop_s: HopSeconds  # default; the device may choose another
    extractors: dict[str, ExtractorSpec]
    branches: tuple[BranchSpec, ...]
    machines: Annotated[dict[str, MachineSpec], Field(min_length=1)]
    golden: GoldenSpec
    files: dict[str, FileEntry]  # every file but the manifest, by relative path
    export_report: dict[str, dict[str, float | int | str | bool | None]] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _references_resolve(self) -> Self:
        names = {branch.name for branch in self.branches}
        if len(names) < len(self.branches):
            raise ValueError("a branch is listed twice")
        for name, extractor in self.extractors.items():
            if extractor.n_samples > LONGEST_WINDOW_S * self.sample_rate_hz:
                raise ValueError(f"extractor {name!r} takes {extractor.n_samples} samples")
        with_banks = sorted(self.reference_scorers)
        for machine, spec in self.machines.items():
            self._require_times(machine, spec)
            for branch in self.branches:
                self._require_fit(machine, branch)
            if (found := sorted(spec.banks)) != with_banks:
                raise ValueError(
                    f"machine {machine!r} has banks for {found}, expected {with_banks}"
                )
            if not all(spec.banks.values()):
                raise ValueError(f"machine {machine!r} has a branch without banks")
            if unused := set(spec.extractors) - {b.extractor for b in self.branches}:
                raise ValueError(f"machine {machine!r} has an extractor for no branch: {unused}")
            if unknown := spec.fusion.branches() - names:
                raise ValueError(f"the fusion of machine {machine!r} names {sorted(unknown)}")
        for path in self.referenced_files():
            if path not in self.files:
                raise ValueError(f"file {path!r} is used but not listed with its digest")
        return self

    def _require_times(self, machine: str, spec: MachineSpec) -> None:
        """The times of a promise are those of the machine's windows."""
        window_s = spec.window_samples / self.sample_rate_hz
        if window_s > LONGEST_WINDOW_S:
            raise ValueError(f"windows of {machine!r} are {window_s:g} s long")
        if not (promise := spec.promise):
            return
        expected = (self.hop_s, window_s + promise.confirm_m * self.hop_s)
        for found_s, expected_s in zip((promise.hop_s, promise.delay_s), expected, strict=True):
            if not math.isclose(found_s, expected_s, rel_tol=_SAME_TIME):
                raise ValueError(
                    f"the promise of {machine!r} is of {found_s:g} s, its windows of {expected_s:g}"
                )

    def _require_fit(self, machine: str, branch: BranchSpec) -> None:
        """A branch, its extractor, its scorer and its banks go together."""
        where = f"branch {branch.name} of {machine!r}"
        name = self.extractor_name(machine, branch.extractor)
        if name not in self.extractors:
            raise ValueError(f"{where} names an unknown extractor")
        extractor, n_channels = self.extractors[name], VIEWS[branch.view].n_channels
        if extractor.n_channels != n_channels:
            raise ValueError(
                f"{where} has {n_channels} channels, its extractor takes {extractor.n_channels}"
            )
        try:
            branch.scorer.require_width(extractor.embedding_dim)
        except ValueError as error:
            raise ValueError(f"{where} {error}") from None
        banks = self.machines[machine].banks.get(branch.name, {})
        width = extractor.embedding_dim * extractor.members
        for bank in banks.values() if isinstance(branch.scorer, ReferenceSpec) else ():
            if bank.dim != width:
                raise ValueError(
                    f"banks of {where} are {bank.dim} wide, its extractor gives {width}"
                )
            if (bank.folds_file is None) != (extractor.members == 1):
                raise ValueError(
                    f"banks of {where} have the folds file {bank.folds_file!r}, its extractor "
                    f"{extractor.members} networks"
                )

    @property
    def covered(self) -> bool:
        """Whether a digest covers the manifest, and the golden windows all that it says."""
        return self.format_version >= 4

    @property
    def reference_scorers(self) -> dict[str, ReferenceSpec]:
        """Scorer of each branch that compares with references, by branch name."""
        return {b.name: b.scorer for b in self.branches if isinstance(b.scorer, ReferenceSpec)}

    def extractor_name(self, machine: str, extractor: str) -> str:
        """Entry in ``extractors`` of what a machine's branches call `extractor`."""
        return self.machines[machine].extractors.get(extractor, extractor)

    def members(self, machine: str, branch: str) -> int:
        """How many networks the extractor of a machine's branch is made of."""
        return self.extractors[self.extractor_name(machine, Branch.parse(branch).extractor)].members

    def banks(self) -> Iterator[BankSpec]:
        """All banks of all machines."""
        for machine in self.machines.values():
            for domains in machine.banks.values():
                yield from domains.values()

    def referenced_files(self) -> list[str]:
        """Relative paths of all files that some part of the manifest uses."""
        paths = {self.golden.file}
        for extractor in self.extractors.values():
            paths.update(feature.file for feature in extractor.features if feature.file)
            paths.add(extractor.encoder.file)
        paths.update(m.spectra_file for m in self.machines.values() if m.spectra_file)
        return sorted(paths.union(*(bank.paths for bank in self.banks())))

    def derived_files(self) -> set[str]:
        """Relative paths of the search indexes of old, which nobody reads."""
        return {bank.index.file for bank in self.banks() if bank.index}
