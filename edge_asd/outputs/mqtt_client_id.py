"""The name by which a broker tells this monitor from all others, unless the profile gives one.

Two clients with one name throw each other out for ever, so it differs between devices, between
copies of one memory card, and between monitors of machines that have the same name.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from pathlib import Path
from typing import Literal

from edge_asd.state.record import StateRecord
from edge_asd.system_files import first_line

__all__ = ["default_client_id"]

_log = logging.getLogger(__name__)

# Of the installation, and of the board, which a copied memory card does not have.
_FILES = ("etc/machine-id", "sys/firmware/devicetree/base/serial-number")


class ClientToken(StateRecord):
    """Content of ``client_id.json``: chance, made once."""

    version: Literal[1] = 1
    token: str


def default_client_id(slug: str, folder: Path | None, root: Path = Path("/")) -> str:
    """Return the same name at every start.

    Parameters
    ----------
    slug : name of the machine, in letters, digits, ``_`` and ``-``
    folder : keeps what chance gave; None: nothing does, and the system's files must do
    root : of the system's files
    """
    parts = [first_line(root / name) for name in _FILES]
    if folder is not None or not any(parts):
        parts.append(_token(folder))
    # Hashed, as systemd asks for: the identity of the machine itself is nobody's business.
    digest = hashlib.sha256("\n".join(["edge-asd", slug, *parts]).encode()).hexdigest()
    return f"edge-asd-{slug}-{digest[:8]}"


def _token(folder: Path | None) -> str:
    if folder is None:
        return secrets.token_hex(16)
    file = folder / "client_id.json"
    if known := ClientToken.load_or_set_aside(file):
        return known.token
    token = secrets.token_hex(16)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ClientToken(token=token).save(file)
    except OSError as error:
        _log.warning("cannot keep the MQTT client id in %s: %s", file, error.strerror)
    return token
