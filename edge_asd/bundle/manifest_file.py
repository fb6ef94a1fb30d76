"""The manifest as a file: written, read again, and covered by a digest.

``manifest.sha256`` beside it holds the SHA-256 of its bytes, as ``sha256sum`` writes and checks
it. Through the digests in the manifest it covers every file of the bundle.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge_asd.bundle.limits import MANIFEST_BYTES, MANIFEST_VALUES
from edge_asd.bundle.manifest import MANIFEST_NAME, READABLE_VERSIONS, Manifest
from edge_asd.bundle.record import parsed_json
from edge_asd.errors import BundleError
from edge_asd.state.record import first_problem

__all__ = ["DIGEST_NAME", "content_digest", "digest_line", "read_manifest", "write_manifest"]

DIGEST_NAME = "manifest.sha256"


def write_manifest(bundle_dir: Path, manifest: Manifest) -> None:
    """Write ``manifest.json`` and its digest."""
    text = f"{manifest.model_dump_json(indent=1)}\n".encode()
    (bundle_dir / MANIFEST_NAME).write_bytes(text)
    (bundle_dir / DIGEST_NAME).write_bytes(digest_line(text))


def digest_line(text: bytes) -> bytes:
    """Return what ``manifest.sha256`` says of a manifest."""
    return f"{hashlib.sha256(text).hexdigest()}  {MANIFEST_NAME}\n".encode()


def read_manifest(bundle_dir: Path) -> Manifest:
    """Read and validate ``manifest.json`` of a bundle.

    Raises
    ------
    BundleError
        When the folder or the manifest is missing, differs from its digest, is not JSON, has
        another format version, or breaks the contract.
    """
    path = bundle_dir / MANIFEST_NAME
    if not bundle_dir.is_dir():
        raise BundleError(
            f"no bundle at {bundle_dir}; expected a folder with {MANIFEST_NAME}: "
            "make one with 'edge-asd export' or copy it here"
        )
    text = _read(path, MANIFEST_BYTES)
    if text is None:
        raise BundleError(f"{bundle_dir} is not a bundle: it has no {MANIFEST_NAME}")
    line, expected = _read(bundle_dir / DIGEST_NAME, 1024), digest_line(text)
    if line is not None and line != expected:
        raise BundleError(
            f"{path} is not what {DIGEST_NAME} says: found {_short(expected)}, expected "
            f"{_short(line)}; copy the bundle again"
        )
    if sum(map(text.count, (b",", b":", b"[", b"{"))) > MANIFEST_VALUES:
        raise BundleError(f"{path} has more than {MANIFEST_VALUES} values: no edge-asd wrote it")
    try:
        raw = parsed_json(text)
    except (ValueError, RecursionError) as error:  # not text, not JSON, absurd numbers or depth
        raise BundleError(f"{path} is not valid JSON ({error}); copy the bundle again") from error
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version not in READABLE_VERSIONS:
        *others, newest = map(str, READABLE_VERSIONS)
        raise BundleError(
            f"{path} has format version {version!r:.60}, this program reads {', '.join(others)} "
            f"and {newest}: export the bundle again, or install the edge-asd that wrote it"
        )
    try:
        manifest = Manifest.model_validate(raw)
    except ValidationError as error:
        raise BundleError(f"{path} breaks the bundle contract: {first_problem(error)}") from error
    if manifest.covered and line is None:
        raise BundleError(f"{bundle_dir / DIGEST_NAME} is missing; copy the bundle again")
    return manifest


def content_digest(raw: dict[str, Any]) -> bytes:
    """Return the digest of all that a manifest says, but for the digest of its golden windows.

    Golden windows hold it, so that they are those of these banks, levels and weights alone.

    Parameters
    ----------
    raw : the manifest as JSON has it
    """
    files = {name: one for name, one in raw["files"].items() if name != raw["golden"]["file"]}
    text = json.dumps(raw | {"files": files}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def _read(path: Path, most_bytes: int) -> bytes | None:
    """Content of a file of bounded size; None where there is none."""
    if not os.path.lexists(path):
        return None
    try:
        if not path.is_file():  # a pipe would be waited for
            raise OSError("it is no file")
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error}); copy the bundle again") from error
    if len(content) > most_bytes:
        raise BundleError(f"{path} has more than {most_bytes} bytes; copy the bundle again")
    return content


def _short(line: bytes) -> str:
    return f"{ascii(line[:12].decode('ascii', 'replace'))[1:-1]}..."
