"""What the first bytes of a recording say that it is."""

from __future__ import annotations

__all__ = ["MAGIC_BYTES", "format_of", "is_iff", "tag_bytes"]

MAGIC_BYTES = 12

_FORMATS = {
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"caff": "CAF",
    b"riff": "Wave64",
    b".snd": "AU",
    **{b"ID3" + version: "MP3" for version in (b"\2", b"\3", b"\4")},
    **{b"\xff" + layer: "MPEG audio" for layer in (b"\xf2", b"\xf3", b"\xfb")},
    b"\x1aE\xdf\xa3": "Matroska",
    b"wvpk": "WavPack",
    b"MAC ": "Monkey's Audio",
}
_FORMS = {  # by the kind of IFF, and what is in it
    **{(iff, b"WAVE"): "WAV" for iff in (b"RIFF", b"RIFX", b"RF64", b"BW64")},
    (b"FORM", b"AIFF"): "AIFF",
    (b"FORM", b"AIFC"): "AIFF-C",
}


def format_of(magic: bytes) -> str | None:
    """Return the format that `MAGIC_BYTES` bytes begin; None when they begin none that is known."""
    form = _FORMS.get((magic[:4], magic[8:12]))
    if form is not None or magic[4:8] == b"ftyp":
        return form or "MPEG-4"
    return next((name for start, name in _FORMATS.items() if magic.startswith(start)), None)


def is_iff(magic: bytes) -> bool:
    """Whether four bytes begin a format of which only twelve tell which."""
    return any(magic.startswith(start) for start, _ in _FORMS)


def tag_bytes(magic: bytes) -> int:
    """Return how long an ID3 tag is that begins with these bytes; 0 when none does."""
    if not magic.startswith(b"ID3"):
        return 0
    size = 0
    for byte in magic[6:10]:  # seven bits of each
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if magic[5:6] and magic[5] & 0x10 else 0)
