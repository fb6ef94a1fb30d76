"""Certificates as OpenSSL makes them, for both sides of a connection."""

from __future__ import annotations

import subprocess
from pathlib import Path

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
KEY_USAGE = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")  # Python 3.13 asks for it


def make_authority(folder: Path, name: str, *options: str) -> None:
    openssl(folder, "req", "-x509", *NEW_KEY, "-days", "2", "-subj", f"/CN={name}", *options,
            "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip


def make_certificate(
    folder: Path, name: str, address: str, *validity: str, authority: str = "ca"
) -> None:
    """Make ``<name>.pem`` and ``<name>.key``, signed by an authority."""
    (folder / "names").write_text(
        f"subjectAltName={address}\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"  # Python 3.13, too
    )
    openssl(folder, "req", *NEW_KEY, "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
    openssl(folder, "x509", "-req", "-in", f"{name}.csr",
            "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial",
            *(validity or ("-days", "2")), "-extfile", "names",
            "-out", f"{name}.pem")  # fmt: skip


def openssl(folder: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)
