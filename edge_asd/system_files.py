"""Facts from the files of the kernel and of the system, below a root that tests replace."""

from __future__ import annotations

import resource
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "HOT_C",
    "Zone",
    "available_bytes",
    "board",
    "boot_id",
    "firmware_bits",
    "first_line",
    "governor",
    "hottest",
    "processor",
    "processor_flags",
    "read_text",
    "resident_bytes",
    "throttling",
    "zones",
]

HOT_C = 80.0  # where a zone names no limit; a Raspberry Pi slows down there

_MAX_CHARS = 1 << 20
_FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"  # of a Raspberry Pi
# Bits of `vcgencmd get_throttled`; the same, 16 higher: since it was switched on.
_BITS = {0: "under-voltage", 1: "capped frequency", 2: "throttling", 3: "soft heat limit"}
_SINCE_BOOT = 16


@dataclass(frozen=True, slots=True)
class Zone:
    """A place with a thermometer."""

    name: str
    temperature_c: float
    limit_c: float = HOT_C  # from here on the system slows down


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


def boot_id(root: Path = Path("/")) -> str:
    """Return what the kernel calls the present run of the system; "" where it does not say."""
    return first_line(root / "proc/sys/kernel/random/boot_id")


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


def zones(root: Path) -> list[Zone]:
    """Return every thermometer of the system."""
    found = []
    for folder in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        temperature_c = _celsius(folder / "temp")
        if temperature_c is None:
            continue
        limits = [
            limit_c
            for kind in folder.glob("trip_point_*_type")
            if first_line(kind) in {"passive", "hot"}
            and (limit_c := _celsius(kind.with_name(kind.name.replace("_type", "_temp"))))
        ]
        name = first_line(folder / "type") or folder.name
        found.append(Zone(name, temperature_c, min(limits, default=HOT_C)))
    return found


def hottest(found: Iterable[Zone]) -> Zone | None:
    """Return the zone that is nearest to its limit."""
    return max(found, key=lambda zone: zone.temperature_c - zone.limit_c, default=None)


def firmware_bits(root: Path) -> str:
    """Return what a Raspberry Pi's firmware says; "" on other boards."""
    return first_line(root / _FIRMWARE)


def throttling(bits: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Read ``throttled=0x50005`` or ``50005``: what slows it down now, and since it is on.

    None: it is not such a number.
    """
    try:
        value = int(bits.rpartition("=")[2], 16)
    except ValueError:
        return None
    now = tuple(name for bit, name in _BITS.items() if value >> bit & 1)
    since = tuple(name for bit, name in _BITS.items() if value >> bit + _SINCE_BOOT & 1)
    return now, since


def _fields(path: Path) -> dict[str, str]:
    """Lines ``name : value``, the first of each name."""
    fields: dict[str, str] = {}
    for line in read_text(path).splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    return fields


def _celsius(path: Path) -> float | None:
    try:
        return int(first_line(path)) / 1e3
    except ValueError:
        return None
