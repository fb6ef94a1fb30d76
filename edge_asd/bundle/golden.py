"""Golden windows: sound inside a bundle with the outputs that it must give anywhere.

The workstation records them with the runtime's own detector, on the shipped graphs; a
device replays them, so that a wrong kernel, driver or library shows before it listens.
One compressed npz holds, for every machine with n windows,

===================================  ==============================  =======
``audio/<machine>``                  (n, 2, window_samples)          float32
``embedding/<machine>/<branch>``     (n, n_segments, embedding_dim)  float32
``score/<machine>/<branch>``         (n,) score of one branch        float64
``score/<machine>``                  (n,) fused score                float64
``bank/<machine>/<branch>/<domain>`` (n,) mean distance to all of it float64
``level/<machine>``                  thresholds, then all levels     float64
===================================  ==============================  =======

and once, for all, ``content`` (32,) uint8: the digest of all else in the bundle, as
:func:`~edge_asd.bundle.manifest_file.content_digest` makes it. Machines have windows of different
length, hence one set of arrays for each.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.agreement import FLOAT32, Agreement
from edge_asd.bundle.arrays import Arrays, read_arrays
from edge_asd.bundle.manifest import MANIFEST_NAME, Manifest
from edge_asd.bundle.manifest_file import content_digest
from edge_asd.bundle.record import parsed_json
from edge_asd.errors import BundleError

if TYPE_CHECKING:
    from edge_asd.scoring.detector import Detector

__all__ = ["compare", "content", "read_golden", "record", "require_banks"]

_CONTENT = "content"
_AT_A_REFERENCE = 1e-3  # score of a branch; unseen sound is at some tenths of the threshold
# Relative, or absolute below one: what the golden embeddings themselves give.
_SAME = {"score": FLOAT32.max_score_difference, "bank": 1e-5, "level": 0.0}


def read_golden(bundle_dir: Path, manifest: Manifest, machine: str | None = None) -> Arrays:
    """Read the golden windows of a bundle, or of one of its machines alone.

    Raises
    ------
    BundleError
        When they cannot be read, or were recorded for another content of the bundle.
    """
    own = f"{machine}/"

    def wanted(name: str) -> bool:
        return machine is None or f"{name.partition('/')[2]}/".startswith(own) or name == _CONTENT

    arrays = read_arrays(bundle_dir / manifest.golden.file, "golden windows", wanted)
    _require_content(bundle_dir, manifest, arrays)
    return arrays


def record(
    detector: Detector,
    windows: Sequence[NDArray[np.float32]],
    *,
    like: str | None = None,
    most_s: float = math.inf,
    now_s: Callable[[], float] = time.monotonic,
) -> dict[str, NDArray[Any]]:
    """Golden arrays of one machine, as `detector` computes them now.

    Parameters
    ----------
    detector
        Of the machine that the windows belong to.
    windows : at least one, each (2, window_samples) float32
    like : name of the machine in the arrays; None: the detector's
    most_s : after which no window is begun; the first is always computed
    now_s : a clock
    """
    machine, begun_s = like or detector.machine, now_s()
    embeddings: list[dict[str, NDArray[np.float32]]] = []
    for n_done, window in enumerate(windows):
        if n_done and (now_s() - begun_s) * (n_done + 1) / n_done > most_s:
            break
        embeddings.append(detector.embeddings(window))
    arrays: dict[str, NDArray[Any]] = {f"audio/{machine}": np.stack(windows[: len(embeddings)])}
    for branch in embeddings[0]:
        arrays[f"embedding/{machine}/{branch}"] = np.stack([rows[branch] for rows in embeddings])
    return arrays | _judged(detector, embeddings, machine)


def _judged(
    detector: Detector, embeddings: Sequence[Mapping[str, NDArray[np.float32]]], machine: str
) -> dict[str, NDArray[Any]]:
    """What banks, fusion and levels make of embeddings."""
    scores = [detector.score_embeddings(rows) for rows in embeddings]
    means = [detector.mean_distances(rows) for rows in embeddings]
    levels = detector.spec.threshold
    arrays = {
        f"score/{machine}": np.array([score.score for score in scores]),
        f"level/{machine}": np.array(
            [levels.threshold, levels.clear_threshold, *(level for _, level in levels.levels)]
        ),
    }
    for branch in scores[0].branches:
        arrays[f"score/{machine}/{branch}"] = np.array([score.branches[branch] for score in scores])
    for branch, domain in means[0]:
        arrays[f"bank/{machine}/{branch}/{domain}"] = np.array(
            [mean[branch, domain] for mean in means]
        )
    return arrays


def compare(
    detector: Detector,
    golden: Arrays,
    *,
    like: str | None = None,
    most_s: float = math.inf,
    now_s: Callable[[], float] = time.monotonic,
) -> Agreement:
    """Replay the golden windows of the detector's machine.

    Parameters
    ----------
    like : machine of the bundle whose networks the detector has, with references of its own:
        the embeddings alone are compared; None: its own machine
    most_s, now_s : see :func:`record`

    Raises
    ------
    BundleError
        When the arrays lack an output of this detector.
    """
    machine = like or detector.machine
    windows = _output(golden, f"audio/{machine}")
    if windows.dtype != np.float32 or windows.ndim != 3 or not len(windows):
        raise BundleError(
            f"golden audio of {machine} is {windows.dtype} {windows.shape}, expected float32 "
            "(n, 2, n_samples) with n of at least 1: export the bundle again"
        )
    found = record(detector, list(windows), like=like, most_s=most_s, now_s=now_s)
    n_windows = len(found[f"audio/{machine}"])
    cosines = [1.0]
    differences = [0.0]
    at_a_reference = False
    for name, values in found.items():
        if name.startswith(("bank/", "level/")) or (like and name.startswith("score/")):
            continue
        whole = _output(golden, name)
        expected = whole[:n_windows] if whole.shape[:1] == windows.shape[:1] else whole
        if expected.shape != values.shape or expected.dtype != values.dtype:
            raise BundleError(
                f"golden array {name!r} is {expected.dtype} {expected.shape}, this bundle's "
                f"graphs give {values.dtype} {values.shape}: export the bundle again"
            )
        if name.startswith("embedding/"):
            cosines.extend(_cosines(values, expected).ravel())
        elif name.startswith("score/"):
            size = np.abs(expected)
            differences.extend(np.abs(values - expected) / np.maximum(size, 1.0))
            at_a_reference |= name.count("/") > 1 and bool(np.min(size) < _AT_A_REFERENCE)
    return Agreement(
        machine,
        n_windows,
        min_cosine=float(np.min(cosines)),
        max_score_difference=float(np.max(differences)),
        at_a_reference=at_a_reference,
    )


def content(manifest: Manifest) -> dict[str, NDArray[Any]]:
    """Return the array that binds golden windows to the rest of a bundle."""
    raw = manifest.model_dump(mode="json")
    return {_CONTENT: np.frombuffer(content_digest(raw), np.uint8)}


def _require_content(bundle_dir: Path, manifest: Manifest, golden: Arrays) -> None:
    """Check that golden windows were recorded for what the bundle holds now.

    Those of old formats do not tell.
    """
    if not manifest.covered:
        return
    raw = parsed_json((bundle_dir / MANIFEST_NAME).read_bytes())
    if _output(golden, _CONTENT).tobytes() != content_digest(raw):
        raise BundleError(
            f"{bundle_dir}: its golden windows were recorded for another content, so that "
            "something was changed since: copy or export the bundle again"
        )


def require_banks(detector: Detector, golden: Arrays) -> None:
    """Check that banks, fusion and levels make of the golden embeddings what was recorded.

    The graphs have no part in it, so that hardly anything is allowed. Golden windows of old
    formats do not tell.

    Parameters
    ----------
    golden : arrays that :func:`compare` has accepted

    Raises
    ------
    BundleError
        When a score, the mean distance to a bank, or a level is another.
    """
    if _CONTENT not in golden:
        return
    start = f"embedding/{detector.machine}/"
    rows = {n.removeprefix(start): a for n, a in golden.items() if n.startswith(start)}
    n_windows = len(_output(golden, f"audio/{detector.machine}"))
    embeddings = [{name: own[i] for name, own in rows.items()} for i in range(n_windows)]
    for name, found in _judged(detector, embeddings, detector.machine).items():
        expected = _output(golden, name)
        allowed = _SAME[name.partition("/")[0]]
        alike = (expected.shape, expected.dtype) == (found.shape, found.dtype)
        limit = allowed * np.maximum(np.abs(expected), 1.0) if alike else 0.0
        if not (alike and np.all(np.abs(found - expected) <= limit)):
            raise BundleError(
                f"golden array {name!r} is {np.round(expected, 6)}, this bundle's banks and "
                f"levels give {np.round(found, 6)}: copy or export the bundle again"
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
