"""Facts from the files of the kernel and of the system, below a root that tests replace."""

from __future__ import annotations

import resource
from pathlib import Path

__all__ = [
    "available_bytes",
    "board",
    "first_line",
    "governor",
    "processor",
    "processor_flags",
    "read_text",
    "resident_bytes",
]

_MAX_CHARS = 1 << 20


def read_text(path: Path) -> str:
    """Return the beginning of a file, at most 1 Mi characters; "" when it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_CHARS)
    except OSError:
        return ""


def first_line(path: Path) -> str:
    """Return its first line, without the zero byte that ends those of the device tree."""
    return next(iter(read_text(path).strip("\0\n ").splitlines()), "")


def board(root: Path) -> str:
    """Return the name of a board with a device tree; "" on a PC."""
    return first_line(root / "proc/device-tree/model")


def governor(root: Path) -> str:
    """Return how the first core chooses its frequency; "" when that is unknown."""
    return first_line(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def processor(root: Path) -> dict[str, str]:
    """Return the fields that ``/proc/cpuinfo`` has of the first core."""
    return _fields(root / "proc/cpuinfo")


def processor_flags(root: Path) -> set[str] | None:
    """Return the processor's instruction set extensions; None when they are unknown."""
    fields = processor(root)
    flags = fields.get("flags", fields.get("Features"))
    return None if flags is None else set(flags.split())


def available_bytes(root: Path) -> int | None:
    """Return the memory that programs can still have; None when that is unknown."""
    kib = _fields(root / "proc/meminfo").get("MemAvailable", "").removesuffix("kB").strip()
    return int(kib) * 1024 if kib.isdecimal() else None


def resident_bytes() -> int:
    """Return the memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


def _fields(path: Path) -> dict[str, str]:
    """Lines ``name : value``, the first of each name."""
    fields: dict[str, str] = {}
    for line in read_text(path).splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    return fields
