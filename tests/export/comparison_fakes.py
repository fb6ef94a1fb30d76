"""Stand-ins for the tests of comparisons: manifests and scores of every system."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from device.bundle_files import edit_manifest
from device.mini_bundle import write_mini_bundle
from numpy.typing import NDArray

from edge_asd.audio.view import VIEWS
from edge_asd.bundle.manifest import FusionSpec, Manifest
from edge_asd.bundle.system import SYSTEMS
from edge_asd_export.calibration.fit_fusion import ClipScores, LabelFree, fit_fusions
from edge_asd_export.evaluation.compare import compare
from edge_asd_export.evaluation.evaluate import ScoredClips
from edge_asd_export.evaluation.published import Beside
from edge_asd_export.evaluation.report import ComparisonReport
from edge_asd_export.evaluation.score_clips import ScoredBundle

N = 10  # clips of each domain and label
RULES = {"channels": LabelFree("mostly-first"), "models": LabelFree("inverse-variance")}


def normal_scores(system: str, machines: Sequence[str]) -> dict[str, ClipScores]:
    """Normal scores of every branch, each branch with its own seed."""
    return {
        machine: ClipScores(
            {
                name: np.random.default_rng([number, len(name), ord(name[0])]).gamma(9, 1 / 9, 40)
                for name in SYSTEMS[system].fusion.branches()
            }
        )
        for number, machine in enumerate(machines)
    }


def fitted(system: str, machines: Sequence[str], **rules: Any) -> dict[str, FusionSpec]:
    """The fusions that a bundle of the system would have."""
    return fit_fusions(SYSTEMS[system].fusion, normal_scores(system, machines), {**RULES, **rules})


def manifest(
    system: str = "system3",
    machines: Sequence[str] = ("fan", "pump"),
    *,
    networks: Mapping[str, str] | None = None,
    precisions: Mapping[str, str] | None = None,
    fusions: Mapping[str, FusionSpec] | None = None,
) -> Manifest:
    """A manifest of a bundle without files; an extractor is its own network, in int8."""
    branches = SYSTEMS[system].branches
    known = fusions or fitted(system, machines)
    bank = {"source": {"file": "bank.npy", "n": 9, "dim": 8}}
    extractors = {
        branch.extractor: {
            "network": (networks or {}).get(branch.extractor, branch.extractor),
            "n_samples": 1600,
            "n_channels": VIEWS[branch.view].n_channels,
            "features": [
                {
                    "name": "spectrum",
                    "kind": "spectrum",
                    "shape": [VIEWS[branch.view].n_channels, 800],
                }
            ],
            "encoder": {
                "file": "encoder.onnx",
                "precision": (precisions or {}).get(branch.extractor, "int8"),
                "opset": 17,
            },
            "embedding_dim": 8,
        }
        for branch in branches
    }
    threshold = {
        "threshold": 1.5,
        "clear_threshold": 1.0,
        "false_alarm_rate": 0.05,
        "method": "quantile",
        "n_scores": 40,
    }
    return Manifest.model_validate(
        {
            "name": "hall",
            "created_utc": "2026-11-01T08:00:00Z",
            "system": system,
            "target": "arm64",
            "tools": {"torch": "2.13.0"},
            "sample_rate_hz": 16000,
            "hop_s": 0.05,
            "extractors": extractors,
            "branches": [
                {"extractor": branch.extractor, "view": branch.view, "scorer": {"kind": "dldn"}}
                for branch in branches
            ],
            "machines": {
                machine: {
                    "window_samples": 1600,
                    "banks": {branch.name: bank for branch in branches},
                    "fusion": known[machine],
                    "threshold": threshold,
                }
                for machine in machines
            },
            "golden": {"file": "golden.npz"},
            "files": {
                name: {"sha256": "0" * 64, "bytes": 1}
                for name in ("bank.npy", "encoder.onnx", "golden.npz")
            },
        }
    )


def labels() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which clips are anomalies, and which are of the target domain."""
    return np.repeat([False, True, False, True], N), np.arange(4 * N) >= 2 * N


def branch_scores(name: str, seed: int) -> NDArray[np.float64]:
    """Scores of one branch; near microphones and later extractors hear faults better."""
    is_anomaly, _ = labels()
    rng = np.random.default_rng([seed, *name.encode()])
    gain = 0.3 if name.endswith("far") else 0.7
    return np.asarray(rng.gamma(16, 1 / 16, 4 * N) + gain * is_anomaly * rng.random(4 * N))


def scored_bundle(
    name: str = "hall", system: str = "system3", *, seed: int = 0, **settings: Any
) -> ScoredBundle:
    """A bundle of :func:`manifest` with invented scores."""
    made = manifest(system, **settings)
    is_anomaly, is_target = labels()
    return ScoredBundle(
        name,
        Path("bundles") / name,
        made,
        tuple(
            ScoredClips(
                machine,
                {
                    branch.name: branch_scores(branch.name, 100 * seed + number)
                    for branch in made.branches
                },
                is_anomaly,
                is_target,
            )
            for number, machine in enumerate(made.machines)
        ),
    )


def comparison_report(
    *bundles: ScoredBundle, beside: Beside | None = None, repeated: bool = False
) -> ComparisonReport:
    """A report of the bundles, or of one of system3."""
    scored = bundles or (scored_bundle(),)
    return ComparisonReport(
        comparison=compare(scored, n_replicates=10),
        bundles=scored,
        data=(Path("recordings"),),
        created_utc="2026-11-22T12:00:00+00:00",
        versions={"edge-asd": "0.1.0"},
        beside=beside or Beside(),
        repeated=repeated,
        warnings=("machine 'saw' is left out: the data has no test clips of it",),
    )


def write_mini_system1(folder: Path) -> Path:
    """A bundle that opens and scores: both models are the mini bundle's network."""
    mini = write_mini_bundle(folder)
    content = json.loads((mini / "manifest.json").read_text())
    content["system"] = "system1"
    content["extractors"]["beats"] = content["extractors"]["fkie"] | {"network": "beats-mini"}
    fkie = content["branches"]
    content["branches"] = [{**one, "extractor": "beats"} for one in fkie] + fkie
    for machine in content["machines"].values():
        for view in ("near", "far"):
            machine["banks"][f"beats@{view}"] = machine["banks"][f"fkie@{view}"]
        mixes = [
            {
                "terms": [
                    {"of": f"{model}@near", "weight": 0.8},
                    {"of": f"{model}@far", "weight": 0.2},
                ],
                "method": "stated",
            }
            for model in ("beats", "fkie")
        ]
        machine["fusion"] = {
            "terms": [{"of": mix, "weight": 0.5} for mix in mixes],
            "method": "stated",
        }
    edit_manifest(mini, lambda manifest: manifest.update(content), golden_too=False)
    return mini


def copied(bundle: Path, to: Path, **changes: object) -> Path:
    """A copy of a bundle with other values at the top of its manifest."""
    shutil.copytree(bundle, to)
    edit_manifest(to, lambda manifest: manifest.update(changes), golden_too=False)
    return to
