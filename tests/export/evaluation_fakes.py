"""Stand-ins for the tests of evaluation: a manifest, a detector, recordings, a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge_asd.bundle.manifest import Manifest
from edge_asd.scoring.detector import WindowScore
from edge_asd_export.data.clips import Clip
from edge_asd_export.evaluation.challenge_csv import Truth
from edge_asd_export.evaluation.evaluate import FUSED, ScoredClips, evaluate_scores
from edge_asd_export.evaluation.report import EvaluationReport
from edge_asd_export.evaluation.score_clips import ScoredBundle
from edge_asd_export.evaluation.test_sets import MachineTestSet

WINDOW_SAMPLES = 1600
RATE_HZ = 16000
BRANCHES = ("fkie@near", "fkie@far")


class LoudnessDetector:
    """Scores a window by its mean magnitude: fused and near listen to near, far to far."""

    machine = "fan"
    sample_rate_hz = RATE_HZ
    window_samples = WINDOW_SAMPLES

    def score(self, audio: NDArray[np.float32]) -> WindowScore:
        near, far = (float(np.abs(channel).mean()) for channel in audio)
        return WindowScore(near, {"fkie@near": near, "fkie@far": far})


def manifest(
    machines: Sequence[str] = ("fan",),
    *,
    labels: str | None = None,
    scorer: Mapping[str, object] | None = None,
) -> Manifest:
    """A manifest of a bundle that has no files."""
    bank = {"source": {"file": "bank.npy", "n": 990, "dim": 256}}
    machine = {
        "window_samples": WINDOW_SAMPLES,
        "banks": dict.fromkeys(BRANCHES, bank),
        "fusion": {
            "terms": [{"of": branch, "weight": 0.5} for branch in BRANCHES],
            "method": "equal weights",
            "labels": labels,
        },
        "threshold": {
            "threshold": 1.5,
            "clear_threshold": 1.0,
            "false_alarm_rate": 0.05,
            "method": "empirical quantile",
            "n_scores": 1000,
        },
    }
    extractor = {
        "network": "fkie",
        "n_samples": WINDOW_SAMPLES,
        "n_channels": 1,
        "features": [{"name": "spectrum", "kind": "spectrum", "shape": [1, WINDOW_SAMPLES // 2]}],
        "encoder": {"file": "encoder.onnx", "precision": "int8", "opset": 17},
        "embedding_dim": 256,
    }
    scored_by = dict(scorer or {"kind": "dldn"})
    scorers: list[dict[str, object]] = [
        {"extractor": "fkie", "view": view, "scorer": scored_by} for view in ("near", "far")
    ]
    return Manifest.model_validate(
        {
            "name": "hall-3",
            "created_utc": "2026-11-01T08:00:00+00:00",
            "system": "system4",
            "target": "arm64",
            "tools": {"torch": "2.13.0"},
            "sample_rate_hz": RATE_HZ,
            "hop_s": 0.05,
            "extractors": {"fkie": extractor},
            "branches": scorers,
            "machines": dict.fromkeys(machines, machine),
            "golden": {"file": "golden.npz"},
            "files": {
                name: {"sha256": "0" * 64, "bytes": 1}
                for name in ("bank.npy", "encoder.onnx", "golden.npz")
            },
        }
    )


def write_clip(
    path: Path,
    loudness: float = 0.1,
    n_samples: int = WINDOW_SAMPLES,
    *,
    rising: bool = False,
) -> Path:
    """A recording of a square wave, at the far microphone half as loud; may rise to double."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.where(np.arange(n_samples) // 8 % 2, loudness, -loudness)
    if rising:
        wave = wave * np.linspace(0, 2, n_samples)
    soundfile.write(path, np.stack([wave, wave / 2], axis=1), RATE_HZ, subtype="FLOAT")
    return path


def write_machine(folder: Path, *, n: int = 3, n_samples: int = WINDOW_SAMPLES) -> None:
    """A machine whose anomalies are louder than its normal clips, in both domains."""
    write_clip(folder / "train" / "section_00_source_train_normal_0000.wav", n_samples=n_samples)
    for domain in ("source", "target"):
        for label, loudness in (("normal", 0.1), ("anomaly", 0.3)):
            for index in range(n):
                name = f"section_00_{domain}_test_{label}_{index:04d}.wav"
                write_clip(folder / "test" / name, loudness + index / 100, n_samples)


def make_report(
    machines: Sequence[str] = ("fan",),
    *,
    n: int = 12,
    anonymous: Sequence[str] = (),
    labels: str | None = None,
    scorer: Mapping[str, object] | None = None,
    levels: Mapping[float, float] | None = None,
) -> EvaluationReport:
    """A report of invented scores, `n` clips of each domain and label per machine."""
    rng = np.random.default_rng(7)
    test_sets, scored = [], []
    for number, machine in enumerate(machines):
        is_anomaly, is_target = np.repeat([False, True, False, True], n), np.arange(4 * n) >= 2 * n
        truth = tuple(Truth(bool(a), bool(t)) for a, t in zip(is_anomaly, is_target, strict=True))
        clips = tuple(_clip(machine, index) for index in range(4 * n))
        known = machine not in anonymous
        test_sets.append(MachineTestSet(machine, clips, truth if known else None))
        near, far = (
            rng.gamma(16, 1 / 16, 4 * n) + gain * is_anomaly * rng.uniform(0, 1, 4 * n)
            for gain in (0.6 + 0.3 * number, 0.3)
        )
        scored.append(
            ScoredClips(
                machine=machine,
                scores={FUSED: 0.8 * near + 0.2 * far + 0.1 * is_target}
                | dict(zip(BRANCHES, (near, far), strict=True)),
                is_anomaly=is_anomaly if known else None,
                is_target=is_target if known else None,
                threshold=1.5,
                levels=levels or {},
            )
        )
    bundle = ScoredBundle(
        "hall-3",
        Path("bundles/hall-3"),
        manifest(machines, labels=labels, scorer=scorer),
        tuple(scored),
    )
    return EvaluationReport(
        bundles=(bundle,),
        data=(Path("recordings"),),
        created_utc="2026-11-22T12:00:00+00:00",
        versions={"edge-asd": "0.1.0"},
        test_sets=tuple(test_sets),
        evaluation=evaluate_scores(scored, n_replicates=50),
    )


def _clip(machine: str, index: int) -> Clip:
    path = Path(machine) / "test" / f"section_00_{index:04d}.wav"
    return Clip(path, machine, "00", "test", None, None, index, "", WINDOW_SAMPLES)
