"""How fast a bundle scores windows on this computer, and what computer it is."""

from __future__ import annotations

import math
import os
import platform
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_asd.bundle.bundle import Bundle, open_extractors
from edge_asd.scoring.extractor import Extractor
from edge_asd.scoring.stream import MAX_LOAD
from edge_asd.system_files import board, governor, processor, processor_flags, resident_bytes

if TYPE_CHECKING:
    from edge_asd.scoring.detector import Detector

__all__ = [
    "MIN_WINDOWS",
    "Environment",
    "MemoryStep",
    "Report",
    "StageTimes",
    "load_extractors",
    "measure",
    "noise_windows",
    "peak_rss_bytes",
    "read_environment",
    "stage_times",
]

MIN_WINDOWS = 10
_WARM_UP_WINDOWS = 3
_WHOLE_WINDOW = "window"

_HOP_STEP_S = 0.01

# The processor extensions that decide how fast int8 and float kernels are.
_TELLING_FLAGS = {
    *("avx", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8", "fma"),  # x86-64
    *("asimd", "asimddp", "asimdhp", "i8mm", "sve"),  # ARM
}


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Duration of one stage over all measured windows."""

    stage: str
    n: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class MemoryStep:
    """What a part of the program adds to its resident memory."""

    part: str
    loaded_bytes: int  # when it is loaded
    used_bytes: int  # when it is used for the first time


@dataclass(frozen=True, slots=True)
class Environment:
    """The computer and the libraries behind a measurement; None: not to be found out."""

    board: str | None
    cpu: str | None
    cpu_flags: tuple[str, ...]
    n_cpus: int
    governor: str | None
    architecture: str
    kernel: str
    python: str
    onnxruntime: str
    numpy: str


@dataclass(frozen=True, slots=True)
class Report:
    """One measurement of one machine's detector."""

    bundle: str
    machine: str
    threads: int
    window_s: float
    hop_s: float
    stages: tuple[StageTimes, ...]  # in order of the pipeline; the last is the whole window
    load_s: float
    memory: tuple[MemoryStep, ...]
    peak_rss_bytes: int
    bundle_bytes: int
    environment: Environment

    @property
    def real_time_factor(self) -> float:
        """Mean time of a window over the bundle's hop; below 1, the computer keeps up."""
        return self.stages[-1].mean_ms / 1e3 / self.hop_s

    @property
    def shortest_hop_s(self) -> float:
        """Shortest hop that leaves a fifth of its time free at the 95th percentile."""
        return math.ceil(self.stages[-1].p95_ms / 1e3 / MAX_LOAD / _HOP_STEP_S) * _HOP_STEP_S

    def to_json(self) -> dict[str, Any]:
        """Every field and figure as plain values."""
        figures = {
            "real_time_factor": self.real_time_factor,
            "shortest_hop_s": self.shortest_hop_s,
        }
        return asdict(self) | figures


def noise_windows(n_samples: int, n_windows: int = 8, seed: int = 0) -> list[NDArray[np.float32]]:
    """Different windows of quiet white noise, each (2, n_samples); timing needs no more."""
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 0.05, (2, n_samples)).astype(np.float32) for _ in range(n_windows)]


def measure(
    detector: Detector,
    windows: Sequence[NDArray[np.float32]],
    *,
    seconds: float,
    clock: Callable[[], float],
    on_progress: Callable[[float], object] = lambda fraction: None,
) -> dict[str, list[float]]:
    """Seconds per stage of every scored window, after a warm-up.

    Runs for `seconds` and for ten windows, whichever takes longer.

    Parameters
    ----------
    clock
        Monotonic, in seconds: ``time.perf_counter``.
    on_progress
        Told the fraction done, up to 1, after every window.
    """
    for window in windows[:_WARM_UP_WINDOWS]:
        detector.score(window)
    durations: dict[str, list[float]] = {}
    started = clock()
    n_done = 0
    while n_done < MIN_WINDOWS or clock() - started < seconds:
        timings: dict[str, float] = {}
        before = clock()
        detector.score(windows[n_done % len(windows)], timings)
        timings[_WHOLE_WINDOW] = clock() - before
        for stage, duration in timings.items():
            durations.setdefault(stage, []).append(duration)
        n_done += 1
        on_progress(min(1.0, n_done / MIN_WINDOWS, (clock() - started) / seconds))
    return durations


def load_extractors(
    bundle: Bundle, machine: str, *, threads: int
) -> tuple[dict[str, Extractor], tuple[MemoryStep, ...]]:
    """Load what a machine needs, one extractor after the other, and watch the memory.

    Each extractor encodes one window of silence, which is when ONNX Runtime takes the memory
    for activations.
    """
    import onnxruntime  # noqa: F401  # or else the first extractor seems to need its memory

    manifest = bundle.manifest
    before = resident_bytes()
    extractors: dict[str, Extractor] = {}
    steps = [MemoryStep("Python and libraries", before, 0)]
    for branch in manifest.branches:
        name = manifest.extractor_name(machine, branch.extractor)
        if name in extractors:
            continue
        spec = manifest.extractors[name]
        n_views = sum(b.extractor == branch.extractor for b in manifest.branches)
        extractors |= open_extractors(bundle.path, {name: spec}, threads)
        loaded = resident_bytes()
        extractors[name](np.zeros((n_views, *spec.audio_shape), np.float32))
        used = resident_bytes()
        steps.append(MemoryStep(name, loaded - before, used - loaded))
        before = used
    return extractors, tuple(steps)


def stage_times(durations: Mapping[str, Sequence[float]]) -> tuple[StageTimes, ...]:
    """Percentiles of what :func:`measure` returned, in milliseconds."""
    times = []
    for stage, seconds in durations.items():
        ms = np.array(seconds) * 1e3
        p50, p95 = np.percentile(ms, (50, 95))
        times.append(
            StageTimes(stage, ms.size, float(ms.mean()), float(p50), float(p95), float(ms.max()))
        )
    return tuple(times)


def peak_rss_bytes() -> int:
    """Most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts KiB


def read_environment(root: Path = Path("/")) -> Environment:
    """Record of this computer, read below `root` and from the libraries."""
    import onnxruntime

    return Environment(
        board=board(root) or None,
        cpu=processor(root).get("model name"),
        cpu_flags=tuple(sorted(_TELLING_FLAGS & (processor_flags(root) or set()))),
        n_cpus=len(os.sched_getaffinity(0)),
        governor=governor(root) or None,
        architecture=platform.machine(),
        kernel=platform.release(),
        python=sys.version.split()[0],
        onnxruntime=onnxruntime.__version__,
        numpy=np.__version__,
    )
