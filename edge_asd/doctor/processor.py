"""Processor, heat, memory."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from edge_asd import system_files
from edge_asd.doctor.installation import Installation
from edge_asd.doctor.verdict import Verdict, not_checked, ok, problem, warning
from edge_asd.errors import EdgeAsdError
from edge_asd.service import systemd
from edge_asd.system_files import Zone, firmware_bits, hottest, throttling, zones

__all__ = [
    "cores",
    "governor",
    "heat",
    "int8",
    "memory",
    "memory_left",
    "temperatures",
    "threads",
    "throttled",
]

# From the fastest kind of int8 kernels to the slowest, as ONNX Runtime has them.
_INT8_FLAGS = {
    "x86_64": ("amx_int8", "avx512_vnni", "avx_vnni", "avx2"),
    "aarch64": ("i8mm", "asimddp"),
}
_SLOW_ANYWAY = {"avx2"}  # int8 in three instructions instead of one
_NEAR_LIMIT_C = 5.0
_MIN_FREE_MIB, _LOW_FREE_MIB = 150, 400  # the process alone takes 70 MiB, a ResNet 200


def cores(installation: Installation) -> Iterator[Verdict]:
    """What the processor can do, and how much of it the profile takes."""
    yield int8(system_files.processor_flags(installation.root), platform.machine())
    yield threads(installation.profile.detector.threads, len(os.sched_getaffinity(0)))
    yield governor(system_files.governor(installation.root))


def temperatures(installation: Installation) -> Iterator[Verdict]:
    """Heat and power."""
    yield heat(zones(installation.root))
    bits = firmware_bits(installation.root)
    if not bits and installation.root == Path("/") and shutil.which("vcgencmd"):
        with suppress(EdgeAsdError):  # no access to the firmware
            bits = systemd.run("vcgencmd", "get_throttled").strip()
    if bits:
        yield throttled(bits)


def memory_left(installation: Installation) -> Iterator[Verdict]:
    """Room for the process."""
    yield memory(system_files.available_bytes(installation.root))


def int8(flags: set[str] | None, architecture: str) -> Verdict:
    """Judge the instructions behind int8 bundles."""
    known = _INT8_FLAGS.get(architecture)
    if flags is None or known is None:
        return not_checked("int8", f"instructions of this {architecture} processor are unknown")
    found = [flag for flag in known if flag in flags]
    if not found or found[0] in _SLOW_ANYWAY:
        has = f"{found[0]} only" if found else f"none of {', '.join(known)}"
        return warning("int8", has, "compare an int8 with a float32 bundle: edge-asd bench")
    return ok("int8", f"fast: {', '.join(found)}")


def threads(wanted: int, n_cores: int) -> Verdict:
    """Judge `detector.threads` of the profile."""
    found = f"{wanted} of {n_cores} cores for scoring"
    if wanted > n_cores:
        return problem("threads", found, f"set detector.threads to {max(1, n_cores - 1)} at most")
    if wanted == n_cores > 1:
        advice = f"leave one to capture: set detector.threads to {n_cores - 1}"
        return warning("threads", found, advice)
    return ok("threads", found)


def governor(name: str) -> Verdict:
    """Judge how the processor chooses its frequency."""
    if not name:
        return not_checked("frequency", "the system does not tell its governor")
    if name == "powersave" and platform.machine() != "x86_64":  # Intel's own is another one
        advice = "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        return warning("frequency", "governor powersave: always the lowest", advice)
    return ok("frequency", f"governor {name}")


def heat(found: list[Zone]) -> Verdict:
    """Judge the zone that is nearest to its limit."""
    zone = hottest(found)
    if zone is None:
        return not_checked("heat", "no thermometer")
    text = f"{zone.name} {zone.temperature_c:.0f} °C, slows down at {zone.limit_c:.0f} °C"
    if zone.temperature_c >= zone.limit_c:
        return problem("heat", text, "cool it: a heat sink, a fan, a place out of the sun")
    if zone.temperature_c >= zone.limit_c - _NEAR_LIMIT_C:
        return warning("heat", text, "it will slow down under load: cool it")
    return ok("heat", text)


def throttled(bits: str) -> Verdict:
    """Judge what a Raspberry Pi's firmware says."""
    read = throttling(bits)
    if read is None:
        return not_checked("power", f"the firmware says {bits[:40]!r}")
    now, since_boot = read
    advice = "use the supply that belongs to the board, a short cable, and a heat sink"
    if now:
        return problem("power", f"{', '.join(now)} now", advice)
    if since_boot:
        return warning("power", f"{', '.join(since_boot)} since it was switched on", advice)
    return ok("power", "no under-voltage, no throttling")


def memory(free_bytes: int | None) -> Verdict:
    """Judge what is left of it."""
    if free_bytes is None:
        return not_checked("memory", "the system does not tell")
    free_mib = free_bytes >> 20
    found = f"{free_mib} MiB available"
    if free_mib < _MIN_FREE_MIB:
        return problem("memory", found, "end other programs, or take a bundle with one extractor")
    if free_mib < _LOW_FREE_MIB:
        return warning("memory", found, "enough for a small bundle; 'edge-asd bench' tells")
    return ok("memory", found)
