"""Text of TOML files as editors write it, with or without a byte-order mark."""

from __future__ import annotations

import codecs

__all__ = ["toml_text"]

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def toml_text(content: bytes) -> str:
    """Return the text of a file.

    Raises
    ------
    ValueError
        When it is not UTF-8: in a few words what it is, and what to do.
    """
    if content.startswith(_UTF_16) or b"\0" in content[:4]:
        raise ValueError("is UTF-16 text, as Notepad's 'Unicode' is: save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte {content[error.start]:#x} in line {line}"
        raise ValueError(f"is not UTF-8 text ({found}): save it as UTF-8") from error
