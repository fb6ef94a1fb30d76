"""Golden windows: recordings inside a bundle with the outputs they must give anywhere.

The workstation records them with the runtime's own detector, on the shipped graphs; a
device replays them, so that a wrong kernel, driver or library shows before it listens.
One compressed npz holds, for every machine with n windows,

===================================  ==============================  =======
``audio/<machine>``                  (n, 2, window_samples)          float32
``embedding/<machine>/<branch>``     (n, n_segments, embedding_dim)  float32
``score/<machine>/<branch>``         (n,) score of one branch        float64
``score/<machine>``                  (n,) fused score                float64
===================================  ==============================  =======

Machines have windows of different length, hence one set of arrays for each.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from edge_asd.bundle.manifest import GoldenSpec
from edge_asd.errors import BundleError

if TYPE_CHECKING:
    from edge_asd.scoring.detector import Detector

__all__ = ["Agreement", "compare", "read", "record", "require", "write"]

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How closely this computer repeats the golden outputs of one machine."""

    machine: str
    n_windows: int
    min_cosine: float  # of the embeddings, over windows and branches
    max_score_difference: float  # relative; absolute for scores below one


def record(detector: Detector, windows: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
    """Golden arrays of one machine, as `detector` computes them now.

    Parameters
    ----------
    detector
        Of the machine that the windows belong to.
    windows : at least one, each (2, window_samples) float32
    """
    machine = detector.machine
    embeddings = [detector.embeddings(window) for window in windows]
    scores = [detector.judge(rows) for rows in embeddings]
    arrays: dict[str, NDArray[Any]] = {
        f"audio/{machine}": np.stack(windows),
        f"score/{machine}": np.array([score.score for score in scores]),
    }
    for branch in scores[0].branches:
        arrays[f"score/{machine}/{branch}"] = np.array([score.branches[branch] for score in scores])
        arrays[f"embedding/{machine}/{branch}"] = np.stack([rows[branch] for rows in embeddings])
    return arrays


def write(path: Path, arrays: Arrays) -> None:
    """Write the arrays of all machines; the same arrays give the same bytes."""
    np.savez_compressed(path, allow_pickle=False, **arrays)


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Read what :func:`write` wrote.

    Raises
    ------
    BundleError
        When the file is missing, damaged, or holds objects instead of numbers.
    """
    try:
        with path.open("rb") as file, NpzFile(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (
        *(OSError, ValueError, EOFError, BadZipFile, zlib.error),
        NotImplementedError,  # what zipfile makes of a damaged compression method
    ) as error:
        raise BundleError(
            f"golden windows {path} cannot be read ({error}); copy the bundle again"
        ) from error


def compare(detector: Detector, golden: Arrays) -> Agreement:
    """Replay the golden windows of the detector's machine.

    Raises
    ------
    BundleError
        When the arrays lack an output of this detector.
    """
    machine = detector.machine
    windows = _output(golden, f"audio/{machine}")
    if windows.dtype != np.float32 or windows.ndim != 3 or not len(windows):
        raise BundleError(
            f"golden audio of {machine} is {windows.dtype} {windows.shape}, expected float32 "
            "(n, 2, n_samples) with n of at least 1: export the bundle again"
        )
    found = record(detector, list(windows))
    cosines = [1.0]
    differences = [0.0]
    for name, values in found.items():
        expected = _output(golden, name)
        if expected.shape != values.shape or expected.dtype != values.dtype:
            raise BundleError(
                f"golden array {name!r} is {expected.dtype} {expected.shape}, this bundle's "
                f"graphs give {values.dtype} {values.shape}: export the bundle again"
            )
        if name.startswith("embedding/"):
            cosines.extend(_cosines(values, expected).ravel())
        elif name.startswith("score/"):
            differences.extend(np.abs(values - expected) / np.maximum(np.abs(expected), 1.0))
    return Agreement(machine, len(windows), float(np.min(cosines)), float(np.max(differences)))


def require(agreement: Agreement, spec: GoldenSpec) -> None:
    """Refuse an agreement that is looser than the bundle allows.

    Raises
    ------
    BundleError
        Also when an output is not a number.
    """
    if not agreement.min_cosine >= spec.min_cosine:
        raise BundleError(
            f"golden embeddings of {agreement.machine} differ on this computer: cosine "
            f"{agreement.min_cosine:.6f}, expected at least {spec.min_cosine}; "
            "install another onnxruntime or export for this processor"
        )
    if not agreement.max_score_difference <= spec.max_score_difference:
        raise BundleError(
            f"golden scores of {agreement.machine} differ on this computer by "
            f"{agreement.max_score_difference:.2e}, expected at most "
            f"{spec.max_score_difference:.2e}; export the bundle for this processor"
        )


def _output(golden: Arrays, name: str) -> NDArray[Any]:
    try:
        return golden[name]
    except KeyError:
        raise BundleError(
            f"the golden windows have no array {name!r}; export the bundle again"
        ) from None


def _cosines(found: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.float64]:
    """Cosine of each row with its golden row; NaN, which never passes, for a row of zeros."""
    a = found.astype(np.float64)
    b = expected.astype(np.float64)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines: NDArray[np.float64] = np.sum(a * b, axis=-1) / norms
    return cosines
