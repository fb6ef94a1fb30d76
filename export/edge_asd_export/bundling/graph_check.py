"""Quality of a quantized encoder, measured against the float32 one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from edge_asd.bundle.agreement import processor_family
from edge_asd.scoring.graph import open_session
from edge_asd.scoring.scorer import normalise_rows
from edge_asd_export.bundling.quantize import Features, float_weight_bytes, n_quantized_weights

if TYPE_CHECKING:
    import onnxruntime as ort

__all__ = ["GraphReport", "Tolerance", "compare_encoders", "host_runs"]

N_TIMED = 100  # interleaved runs of each encoder
_CERTAIN = 2.33  # standard deviations on one side of a median: 99 %

# Anomaly scores (n,) of the check windows, none by its own take, from their embeddings
# (n, n_segments, dim), of an ensemble (n, members, dim); NaN for one that cannot be scored
NormalScores = Callable[[NDArray[np.float32]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What an int8 encoder must reach to replace the float32 one."""

    cosine_mean: float = 0.99  # of embeddings of training windows
    score_correlation: float = 0.95  # Spearman's, of normal scores
    size_ratio: float = 0.6  # int8 bytes to fp32 bytes: more means little was quantized
    speed_ratio: float = 1.0  # fp32 time to int8 time; refused when it is certainly less


@dataclass(frozen=True, slots=True)
class GraphReport:
    """One row of the export table."""

    graph: str
    precision: str  # of the chosen file
    n_quantized_weights: int
    bytes: int
    float_share: float  # of the bytes, what stays float32: first layers, gains, scales
    size_ratio: float
    cosine_mean: float
    cosine_min: float
    score_correlation: float
    speed_ratio: float | None  # fp32 to int8 processor time; None: this host is not the target
    most_speed_ratio: float | None  # that the measurement leaves possible
    n_windows: int
    refused_because: str | None


def compare_encoders(
    name: str,
    fp32: Path,
    int8: Path,
    windows: Sequence[Features],
    score: NormalScores,
    target: str,
    tolerance: Tolerance | None,
) -> GraphReport:
    """Measure an int8 encoder against its float32 original on training windows.

    Parameters
    ----------
    windows : encoder inputs of one window each, (n_segments, ...)
    score : how the embeddings are judged
    tolerance : None: int8 wins wherever a weight was quantized
    """
    sessions = {"fp32": open_session(fp32), "int8": open_session(int8)}
    embeddings = {
        precision: _embeddings(session, windows) for precision, session in sessions.items()
    }
    unit = {precision: normalise_rows(rows) for precision, rows in embeddings.items()}
    cosine = (unit["fp32"] * unit["int8"]).sum(axis=-1)
    scores = np.stack([score(rows) for rows in embeddings.values()])
    scores = scores[:, np.isfinite(scores).all(axis=0)]
    correlation = float(spearmanr(*scores).statistic) if scores.shape[1] > 1 else math.nan
    speed, most_speed = _speed_ratio(sessions, windows) if host_runs(target) else (None, None)
    report = GraphReport(
        graph=name,
        precision="int8",
        n_quantized_weights=n_quantized_weights(int8),
        bytes=int8.stat().st_size,
        float_share=float_weight_bytes(int8) / int8.stat().st_size,
        size_ratio=int8.stat().st_size / fp32.stat().st_size,
        cosine_mean=float(cosine.mean()),
        cosine_min=float(cosine.min()),
        score_correlation=correlation,
        speed_ratio=speed,
        most_speed_ratio=most_speed,
        n_windows=len(windows),
        refused_because=None,
    )
    reason = _why_refused(report, tolerance)
    if reason is None:
        return report
    return replace(report, precision="fp32", refused_because=reason)


def host_runs(target: str) -> bool:
    """Whether this computer belongs to the processor family `target`."""
    return processor_family() == target


def _embeddings(session: ort.InferenceSession, windows: Sequence[Features]) -> NDArray[np.float32]:
    """Embeddings (n_windows, n_segments, dim), of an ensemble (n_windows, members, dim)."""
    rows = np.stack([session.run(None, dict(features))[0] for features in windows])
    return rows.reshape(len(windows), -1, rows.shape[-1])


def _why_refused(report: GraphReport, tolerance: Tolerance | None) -> str | None:
    if report.n_quantized_weights == 0:
        return "no weight was quantized"
    if tolerance is None:
        return None
    if report.size_ratio > tolerance.size_ratio:
        return f"size ratio {report.size_ratio:.2f} is above {tolerance.size_ratio:g}"
    if not report.cosine_mean >= tolerance.cosine_mean:
        return f"mean cosine {report.cosine_mean:.4f} is below {tolerance.cosine_mean:g}"
    if not report.score_correlation >= tolerance.score_correlation:
        return (
            f"score correlation {report.score_correlation:.4f} "
            f"is below {tolerance.score_correlation:g}"
        )
    most = report.most_speed_ratio
    if most is not None and most < tolerance.speed_ratio:
        return f"speed ratio {report.speed_ratio:.2f} is below {tolerance.speed_ratio:g}"
    return None


def _speed_ratio(
    sessions: dict[str, ort.InferenceSession], windows: Sequence[Features]
) -> tuple[float, float]:
    """Ratio of processor times, and how large it may be in truth, whatever else is computed here.

    Both encoders run after each other, many times, in this thread: the median of the ratios of
    such pairs, and the upper end of its 99 % interval, from order statistics.
    """
    inputs = [{name: value[:1] for name, value in window.items()} for window in windows]
    ratios = []
    for i in range(N_TIMED + 2):
        seconds = {}
        for name, session in sessions.items():
            start = time.thread_time()
            session.run(None, inputs[i % len(inputs)])
            seconds[name] = time.thread_time() - start
        ratios.append(seconds["fp32"] / max(seconds["int8"], 1e-9))
    ranked = sorted(ratios[2:])  # the first runs allocate
    rank = min(math.ceil(len(ranked) / 2 + _CERTAIN * math.sqrt(len(ranked)) / 2), len(ranked) - 1)
    return float(np.median(ranked)), ranked[rank]
