"""One spelling of a machine's name, whatever locale and file system it came through."""

from __future__ import annotations

import os
import unicodedata
from contextlib import suppress

__all__ = ["machine_name"]


def machine_name(text: str) -> str:
    """Return a name from the command line or of a folder, composed (NFC).

    Their bytes are UTF-8 where they can be, even if the locale says otherwise (C, POSIX, Latin-1);
    macOS writes letters and their accents apart (NFD).
    """
    with suppress(UnicodeError):
        text = os.fsencode(text).decode("utf-8")
    return unicodedata.normalize("NFC", text)
