"""A bundle that is new to this device is opened in a child process first, with limits.

What a graph does when ONNX Runtime loads or runs it cannot be read from its file: it may crash,
hang, or take all memory. The child opens everything and runs each graph once. When it ended well,
the digest of the manifest is remembered with the version of ONNX Runtime, and the bundle is opened
without a child from then on. ``edge-asd check`` is such a child, too.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.check import Finding, check_bundle
from edge_asd.bundle.golden import read_golden
from edge_asd.bundle.manifest import MANIFEST_NAME, FileEntry, Manifest
from edge_asd.capture.abandonable_call import AbandonableCall
from edge_asd.child_process import run_task
from edge_asd.errors import BundleError, StateError
from edge_asd.state.atomic import write_atomically
from edge_asd.state.places import usual_root
from edge_asd.state.trust import acting_as_owner, read_regular

__all__ = ["check_in_child", "open_proven"]

_PROVEN = "proven"  # file in the state folder of the user
_KEPT = 50  # lines of it
_KEPT_WITHIN_S = 2.0
_MAX_BYTES = 100_000
_BASE_S, _S_PER_MIB, _S_PER_MACHINE = 20.0, 2.0, 5.0  # a hundred times what a server takes
_MOST_S = 240.0  # below TimeoutStartSec= of the unit
_BASE_BYTES, _TIMES_BUNDLE = 2**31, 8  # of memory: libraries, and a graph in every form
_MOST_MEMORY = 0.6  # of the computer's; the unit's MemoryMax= is above it
_LEAST_BYTES = 384 * 2**20  # on any: libraries alone take half of it


def open_proven(path: Path, *, threads: int = 1, root: Path | None = None) -> Bundle:
    """Open a bundle as :meth:`Bundle.open` does, in a child process before if it is new here.

    Parameters
    ----------
    root : folder of all states, where it is remembered; None: that of the user

    Raises
    ------
    BundleError
        When something is wrong with it, or the child died or did not end.
    """
    bundle = Bundle.open(path)
    place = root or usual_root(os.environ)
    if _proof(path) not in _proven(place):
        for _ in _child(_run_once, bundle, threads):
            pass
        _remember(path, place)
    return bundle


def check_in_child(path: Path, *, threads: int = 1) -> Iterator[Finding]:
    """What :func:`edge_asd.bundle.check.check_bundle` verifies, found by a child process.

    Raises
    ------
    BundleError
        At the first thing that is wrong, or when the child died or did not end.
    """
    for line in _child(_check, Bundle.open(path), threads):
        yield Finding(line["what"], line["detail"])
    _remember(path, usual_root(os.environ))


def _child(
    task: Callable[[str, int], dict[str, Any]], bundle: Bundle, threads: int
) -> Iterator[dict[str, Any]]:
    """What a task prints of a bundle, as a child process with limits."""
    n_bytes = sum(entry.bytes for entry in bundle.manifest.files.values())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    wanted_s = (
        _BASE_S + _S_PER_MIB * n_bytes / 2**20 + _S_PER_MACHINE * len(bundle.manifest.machines)
    )
    ending = run_task(
        task,
        timeout_s=min(wanted_s, _MOST_S),
        memory_bytes=max(
            _LEAST_BYTES, min(_BASE_BYTES + _TIMES_BUNDLE * n_bytes, int(_MOST_MEMORY * memory))
        ),
        bundle=str(bundle.path),
        threads=threads,
    )
    for line in ending.lines:
        if error := line.get("error"):
            raise BundleError(error)
        if line:
            yield line
    if ending.trouble:
        raise BundleError(
            f"{bundle.path} cannot be used: a child process that opened it {ending.trouble}; "
            "export it again, and take no bundles from strangers"
        )


def _run_once(bundle: str, threads: int) -> dict[str, Any]:
    """Task of a child: open all that there is, and run each graph on one window of noise."""
    opened = Bundle.open(Path(bundle))
    extractors = opened.extractors(threads=threads)
    covering = _covering(opened.manifest)
    for machine in opened.manifest.machines:
        opened.spectra(machine)
        with suppress(BundleError):  # whether they agree is not the question here
            read_golden(opened.path, opened.manifest, machine)
        detector = opened.detector(machine, extractors=extractors)
        if machine in covering:
            noise = np.random.default_rng(0).standard_normal((2, detector.window_samples))
            detector.score((0.1 * noise).astype(np.float32))
    return {}


def _check(bundle: str, threads: int) -> dict[str, Any]:
    """Task of a child: print each finding as a line of JSON."""
    for finding in check_bundle(Path(bundle), threads=threads):
        print(json.dumps({"what": finding.what, "detail": finding.detail}), flush=True)
    return {}


def _covering(manifest: Manifest) -> list[str]:
    """Machines that have every extractor between them: mostly the first, which shares all."""
    covering, seen = [], set[str]()
    for machine in manifest.machines:
        own = {manifest.extractor_name(machine, one.extractor) for one in manifest.branches}
        if not own <= seen:
            covering.append(machine)
            seen |= own
    return covering


def _proof(path: Path) -> str:
    return f"{FileEntry.of(path / MANIFEST_NAME).sha256} onnxruntime {version('onnxruntime')}"


def _proven(place: Path) -> list[str]:
    """Lines of what was proven here, the newest last."""
    try:
        with acting_as_owner(place / "machine"):
            content = read_regular(place / _PROVEN, _MAX_BYTES)
    except (OSError, StateError):
        return []
    return content.decode("ascii", "replace").splitlines()


def _remember(path: Path, place: Path) -> None:
    """Keep that a bundle was proven; where nothing can be kept, it will be proven again."""
    lines = list(dict.fromkeys([*_proven(place), _proof(path)]))[-_KEPT:]
    content = "".join(f"{line}\n" for line in lines)
    with acting_as_owner(place / "machine"):
        # A disk that hangs keeps no monitor from starting.
        AbandonableCall(partial(_keep, place, content)).has_returned(_KEPT_WITHIN_S)


def _keep(folder: Path, content: str) -> None:
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / _PROVEN, content)
