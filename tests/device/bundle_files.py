"""Bundles that tests write and change, with digests that are right again afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.arrays import Arrays, read_arrays, write_arrays
from edge_asd.bundle.manifest import MANIFEST_NAME, FileEntry, Manifest
from edge_asd.bundle.manifest_file import DIGEST_NAME, content_digest, digest_line, write_manifest

__all__ = ["PROMISE", "edit_manifest", "file_entries", "replace_manifest", "reseal", "seal"]

Change = Callable[[dict[str, Any]], object]
PROMISE: dict[str, Any] = {
    "wanted_per_month": 1.0,
    "false_alarms_per_month": 1.0,
    "confirm_n": 3,
    "confirm_m": 4,
    "hop_s": 0.5,
    "delay_s": 3.0,
    "trust": "extrapolated",
    "lasting_share": 0.5,
    "lasting_s": 600.0,
}


def file_entries(folder: Path) -> dict[str, FileEntry]:
    """What a manifest says of the files that lie in `folder`."""
    return {
        path.relative_to(folder).as_posix(): FileEntry.of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (MANIFEST_NAME, DIGEST_NAME)
    }


def seal(folder: Path, manifest: Manifest, windows: Arrays) -> None:
    """Write golden windows that belong to a manifest, then the manifest."""
    path = folder / manifest.golden.file
    raw = manifest.model_dump(mode="json")
    write_arrays(path, {**windows, **_bound_to(raw)})
    files = {**manifest.files, manifest.golden.file: FileEntry.of(path)}
    write_manifest(folder, manifest.model_copy(update={"files": files}))


def replace_manifest(folder: Path, manifest: Manifest) -> None:
    """Write another manifest of the same files."""
    seal(folder, manifest, read_arrays(folder / manifest.golden.file, "golden windows"))


def edit_manifest(folder: Path, change: Change, *, golden_too: bool = True) -> None:
    """Change the JSON of a manifest; its digest is right again.

    Parameters
    ----------
    golden_too : whether golden windows belong to what was changed; otherwise they tell
    """
    raw = json.loads((folder / MANIFEST_NAME).read_bytes())
    change(raw)
    path = folder / "golden.npz"
    if golden_too:
        write_arrays(path, {**read_arrays(path, "golden windows"), **_bound_to(raw)})
        raw["files"][path.name] = FileEntry.of(path).model_dump()
    text = json.dumps(raw).encode()
    (folder / MANIFEST_NAME).write_bytes(text)
    (folder / DIGEST_NAME).write_bytes(digest_line(text))


def _bound_to(raw: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """What golden windows hold of a manifest, as JSON has it."""
    arrays: dict[str, NDArray[Any]] = {"content": np.frombuffer(content_digest(raw), np.uint8)}
    for machine, spec in raw["machines"].items():
        own = spec["threshold"]
        levels = [level for _, level in own.get("levels", [])]
        arrays[f"level/{machine}"] = np.array([own["threshold"], own["clear_threshold"], *levels])
    return arrays


def reseal(folder: Path) -> None:
    """Make the digests in the manifest fit the files again, and that of the manifest."""
    entries = {name: entry.model_dump() for name, entry in file_entries(folder).items()}
    edit_manifest(folder, lambda raw: raw.update(files=entries), golden_too=False)
