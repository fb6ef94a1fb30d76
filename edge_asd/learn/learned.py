"""What was learned of one machine on site: normal sound that no bundle knows.

A version is a folder that never changes::

    v0003/
        site.json           a SiteRecord: what was learned when, and the calibration
        site.json.sha256    digest of site.json, which holds those of the other files
        source.npz          sound that was enrolled, by domain
        target.npz
        taught-1.npz        sound of false alarms, in the order of its `taught`

:mod:`edge_asd.learn.store` keeps the versions. An embedding means something only to the
network that gave it, so a site is bound to the bundle that it was learned with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from edge_asd.bundle.arrays import Arrays, read_arrays
from edge_asd.bundle.calibration_spec import (
    FusionSpec,
    PromiseSpec,
    ThresholdSpec,
    require_levels,
)
from edge_asd.bundle.manifest import Domain, FileEntry
from edge_asd.bundle.record import MOST_SCORE, Positive, Record, parsed_json
from edge_asd.drift.normal_summary import NormalSummary
from edge_asd.errors import BundleError, StateError
from edge_asd.explain.normal_spectra import DomainSpectra
from edge_asd.explain.spectrogram import N_BANDS
from edge_asd.scoring.bank import ScoreNormalisation
from edge_asd.scoring.density import Floats
from edge_asd.signal.cancelling_gain import CancellingGain
from edge_asd.signal.reference import SignalReference
from edge_asd.state.record import first_problem
from edge_asd.state.trust import read_regular

__all__ = [
    "BundleStamp",
    "Enrolled",
    "Learned",
    "LearnedSound",
    "SiteRecord",
    "Taught",
    "read_site",
    "read_version",
    "write_version",
]

SITE_NAME = "site.json"
_MOST_BYTES = 2_000_000_000  # of a file
DIGEST_NAME = "site.json.sha256"

_UNIT_NORM = 1e-3  # far above the rounding of a norm in float32

_Seconds = Annotated[float, Field(ge=0, le=1e9)]


class BundleStamp(Record):
    """Which bundle something was learned with."""

    name: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]  # of its manifest


class Enrolled(Record):
    """Sound that was recorded to be the normal of one domain."""

    heard: str  # sound card, or files
    utc: str
    seconds: _Seconds  # of usable sound
    n_windows: Positive
    cancelling: CancellingGain | None = None  # where far is cancelled out of near


class Taught(Record):
    """A false alarm whose sound counts as normal now."""

    event: str  # alarm id
    utc: str
    n_windows: Positive


class SiteRecord(Record):
    """What was learned of one machine, but for the arrays."""

    format_version: Literal[1] = 1
    machine: str
    created_utc: str
    change: str  # since the version before, in words
    bundle: BundleStamp
    like: str  # machine of the bundle whose networks, branches and window this one uses
    # Domains that are not here are the bundle's, where it knows the machine.
    enrolled: dict[Domain, Enrolled] = Field(default_factory=dict)
    taught: tuple[Taught, ...] = ()
    fusion: FusionSpec
    threshold: ThresholdSpec
    promise: PromiseSpec | None = None  # None: nothing is promised
    signal: SignalReference | None = None
    normal: NormalSummary | None = None
    files: dict[str, FileEntry] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _events_differ(self) -> Self:
        events = [one.event for one in self.taught]
        if len(set(events)) < len(events):
            raise ValueError("an event was taught twice")
        return self

    @model_validator(mode="after")
    def _promise_has_levels(self) -> Self:
        require_levels(self.threshold, self.promise)
        return self

    @property
    def sounds(self) -> dict[str, int]:
        """Windows in each file of sound, by its name."""
        enrolled = {_sound_file(domain): one.n_windows for domain, one in self.enrolled.items()}
        taught = {_taught_file(i): one.n_windows for i, one in enumerate(self.taught)}
        return enrolled | taught


@dataclass(frozen=True, slots=True, eq=False)
class LearnedSound:
    """References of some windows, by branch.

    Attributes
    ----------
    rows : (n, members, dim) float32, of unit norm; members is 1 for a branch of one network
    normalisations : of the distance to each reference
    spectra : of each window, n of them
    levels_dbfs : (n, 2) float64, near and far
    held_out : (n,) float64, score that each window gets from references that were
        recorded at another time; empty for sound that was taught
    """

    rows: Mapping[str, NDArray[np.float32]]
    normalisations: Mapping[str, ScoreNormalisation]
    spectra: DomainSpectra
    levels_dbfs: Floats
    held_out: Mapping[str, Floats]
    takes: NDArray[np.int64] | None = None  # (n,), take or stretch of one; None: not kept

    def __len__(self) -> int:
        return len(self.spectra)

    def require_plausible(self, n: int) -> None:
        """Raise ValueError unless these are references of `n` windows, in their ranges."""
        spectra = (self.spectra.mean_db, self.spectra.spread_db)
        _require(all(one.shape == (n, 2, N_BANDS) for one in spectra), "spectra of other windows")
        _require(self.levels_dbfs.shape == (n, 2), "levels of other windows")
        _require(self.takes is None or self.takes.shape == (n,), "takes of other windows")
        _require(not any(np.isnan(one).any() for one in (*spectra, self.levels_dbfs)), "no levels")
        for branch, rows in self.rows.items():
            norms = np.linalg.norm(rows, axis=-1)
            _require(len(rows) == n, f"{len(rows)} references of {branch} for {n} windows")
            _require(bool((np.abs(norms - 1) <= _UNIT_NORM).all()), f"{branch} not of unit norm")
            own = self.normalisations[branch]
            shapes = own.scale.shape, own.offset.shape
            _require(shapes[0] == shapes[1] and shapes[0][-1] == n, f"{shapes} scales of {branch}")
            known = own.offset != np.inf  # of an ensemble not by all members
            _require(bool(known.any(axis=-1).all()), f"a network without references of {branch}")
            scale, offset = own.scale[known], own.offset[known]
            _require(bool((scale > 0).all() and (scale <= MOST_SCORE).all()), f"scales of {branch}")
            _require(bool((np.abs(offset) <= MOST_SCORE).all()), f"offsets of {branch}")
        for branch, scores in self.held_out.items():
            fits = scores.shape == (n,) and bool((np.abs(scores) <= MOST_SCORE).all())
            _require(fits, f"held-out scores of {branch}")


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A site with its arrays."""

    site: SiteRecord
    enrolled: Mapping[Domain, LearnedSound]
    taught: tuple[LearnedSound, ...]  # in the order of ``site.taught``

    @property
    def untaught(self) -> Learned:
        """The same without the sound of false alarms."""
        return replace(self, taught=())

    def with_site(self, changes: Mapping[str, object]) -> Learned:
        """Return the same with other values of some fields of the site."""
        return replace(self, site=self.site.model_copy(update=changes))


def write_version(folder: Path, learned: Learned) -> None:
    """Write a version into an empty folder."""
    sounds = {_sound_file(domain): sound for domain, sound in learned.enrolled.items()}
    sounds |= {_taught_file(i): sound for i, sound in enumerate(learned.taught)}
    for name, sound in sounds.items():
        np.savez(folder / name, allow_pickle=False, **_arrays(sound))
    files = {name: FileEntry.of(folder / name) for name in sounds}
    site = learned.site.model_copy(update={"files": files})
    (folder / SITE_NAME).write_text(site.model_dump_json(indent=1) + "\n", encoding="utf-8")
    digest = FileEntry.of(folder / SITE_NAME).sha256
    (folder / DIGEST_NAME).write_text(f"{digest}\n", encoding="ascii")


def read_version(folder: Path) -> Learned:
    """Read a version and compare all of it with its digests.

    Raises
    ------
    StateError
        When something is missing, or is not what was written; the message is the reason
        alone.
    """
    site = read_site(folder)
    sounds = {name: _read_sound(folder, site, name) for name in site.sounds}
    return Learned(
        site,
        {domain: sounds[_sound_file(domain)] for domain in site.enrolled},
        tuple(sounds[_taught_file(i)] for i in range(len(site.taught))),
    )


def read_site(folder: Path) -> SiteRecord:
    """Read the record of a version, without its arrays.

    Raises
    ------
    StateError
        As :func:`read_version` does.
    """
    digest = _read(folder / DIGEST_NAME).decode("ascii", "replace").strip()
    text = _read(folder / SITE_NAME, digest)
    try:
        parsed_json(text)
        return SiteRecord.model_validate_json(text)
    except (RecursionError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise StateError(f"{SITE_NAME} is not valid JSON ({error})") from error
        raise StateError(
            f"another version of edge-asd wrote it ({first_problem(error)})"
        ) from error


def _sound_file(domain: Domain) -> str:
    """Name of the file of an enrolled domain."""
    return f"{domain}.npz"


def _taught_file(index: int) -> str:
    """Name of the file of the `index`-th false alarm."""
    return f"taught-{index + 1}.npz"


def _read(path: Path, sha256: str | None = None) -> bytes:
    """Content of a file; its digest is compared when one is given."""
    try:
        content = read_regular(path, _MOST_BYTES)
    except OSError as error:
        raise StateError(f"{path.name}: {error.strerror}") from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise StateError(f"{path.name} is not what was written")
    return content


def _arrays(sound: LearnedSound) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "mean_db": sound.spectra.mean_db,
        "spread_db": sound.spectra.spread_db,
        "levels_dbfs": sound.levels_dbfs,
    }
    if sound.takes is not None:
        arrays["takes"] = sound.takes
    for branch, rows in sound.rows.items():
        arrays[f"rows/{branch}"] = rows.reshape(len(rows), -1)
        arrays[f"scale/{branch}"] = sound.normalisations[branch].scale
        arrays[f"offset/{branch}"] = sound.normalisations[branch].offset
    return arrays | {f"held_out/{branch}": scores for branch, scores in sound.held_out.items()}


def _read_sound(folder: Path, site: SiteRecord, name: str) -> LearnedSound:
    path = folder / name
    try:
        if FileEntry.of(path) != site.files.get(name):
            raise StateError(f"{name} is not what was written")
        sound = _sound(read_arrays(path, name))
        sound.require_plausible(site.sounds[name])
    except OSError as error:
        raise StateError(f"{name}: {error.strerror}") from error
    except (BundleError, LookupError, TypeError, ValueError) as error:
        raise StateError(f"{name} holds what nobody learned ({error})") from error
    return sound


def _require(fits: bool, what: str) -> None:
    if not fits:
        raise ValueError(what)


def _sound(arrays: Arrays) -> LearnedSound:
    def of(kind: str) -> dict[str, NDArray[Any]]:
        start = f"{kind}/"
        return {n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)}

    rows, scales, offsets = of("rows"), of("scale"), of("offset")
    members = {branch: scale.shape[0] if scale.ndim > 1 else 1 for branch, scale in scales.items()}
    return LearnedSound(
        {
            branch: of_branch.reshape(len(of_branch), members[branch], -1)
            for branch, of_branch in rows.items()
        },
        {branch: ScoreNormalisation(scales[branch], offsets[branch]) for branch in rows},
        DomainSpectra(arrays["mean_db"], arrays["spread_db"]),
        arrays["levels_dbfs"],
        of("held_out"),
        arrays.get("takes"),
    )
