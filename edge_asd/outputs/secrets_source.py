"""Passwords, tokens and secret addresses: from a file or the environment, and nowhere else.

A secret never stands in a profile or on a command line, where other users of the computer,
logs and support archives would show it. No message here contains one.
"""

from __future__ import annotations

import logging
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_asd.errors import ProfileError

__all__ = ["Secret"]

_log = logging.getLogger(__name__)

_MAX_CHARACTERS = 4096


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is; at most one of both is named."""

    key: str  # in the profile, without ``_file`` or ``_env``: ``sinks.mqtt.password``
    file: str  # value of ``<key>_file``
    variable: str  # value of ``<key>_env``

    def read(self, environment: Mapping[str, str]) -> str:
        """Return the first line of the file, or the variable; "" where neither is named.

        Raises
        ------
        ProfileError
            When both are named, when what is named is missing or empty, or when it is not
            plain ASCII.
        """
        key = self.key
        if self.file and self.variable:
            raise ProfileError(f"{key}_file and {key}_env are both set; leave one of them empty")
        if self.file:
            line = _first_line(f"{key}_file", Path(self.file))
            return _plain(f"{key}_file {self.file!r}", line)
        if self.variable:
            if self.variable not in environment:
                raise ProfileError(
                    f"{key}_env: the environment variable {self.variable!r} is not set"
                )
            return _plain(f"{key}_env {self.variable!r}", environment[self.variable])
        return ""


def _first_line(key: str, path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            mode = path.stat().st_mode
            line = file.readline(_MAX_CHARACTERS)
    except UnicodeDecodeError:
        raise ProfileError(f"{key}: the first line of {path} is not plain ASCII") from None
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProfileError(f"{key}: cannot read {path}: {reason}") from error
    if mode & stat.S_IROTH:
        _log.warning("%s: every user can read %s; run: chmod o-rwx %s", key, path, path)
    return line


def _plain(where: str, text: str) -> str:
    secret = text.strip()
    if not secret:
        raise ProfileError(f"{where} is empty; expected the secret in its first line")
    if not (secret.isascii() and secret.isprintable()):
        raise ProfileError(f"{where} is not plain ASCII on one line")
    return secret
