"""A bundle with every branch of ``system3``, on noise: BEATs and FKIE twice, the ResNet once.

The networks are as small as those of :mod:`device.parts_bundle`; what they are fed with is
as it is in a real bundle: a front-end each, for FKIE a spectrum too, for the ResNet both
microphones in five segments.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from device import parts_bundle as parts
from device.bundle_files import seal
from device.mini_bundle import save_graph
from onnx import helper

from edge_asd.bundle import golden
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import (
    BankSpec,
    BranchSpec,
    Domain,
    ExtractorSpec,
    FeatureSpec,
    FusionSpec,
    MachineSpec,
    Manifest,
    TermSpec,
)
from edge_asd.bundle.system import SYSTEMS, WeightedSum
from edge_asd.scoring.kinds import DldnSpec
from edge_asd.scoring.scorer import normalise_rows

MACHINE = "fan"
SYSTEM = SYSTEMS["system3"]
DIM = 4
N_BINS = parts.WINDOW_SAMPLES // 2
DOMAINS: tuple[Domain, ...] = ("source", "target")
# Of the normal scores of system 1 and of system 2, which system 3 standardises.
NORMAL = ((0.7, 0.2), (0.5, 0.1))


def write_system3_bundle(folder: Path) -> Path:
    """Write the bundle; its one machine is ``fan``."""
    folder.mkdir(parents=True)
    for name, n_channels in (("beats", 1), ("fkie", 1), ("resnet", 2)):
        parts.save_bands(folder / f"{name}.bands.onnx", n_channels)
    parts.save_encoder(folder / "beats.onnx", parts.mixing(DIM), parts.N_FRAMES)
    parts.save_encoder(folder / "resnet.onnx", parts.mixing(DIM), parts.SEGMENTS.n_frames)
    _save_fkie(folder / "fkie.onnx")
    rng = np.random.default_rng(9)
    for branch in SYSTEM.branches:
        for domain in DOMAINS:
            rows = normalise_rows(rng.standard_normal((20, DIM)))
            np.save(folder / f"{branch.name}.{domain}.npy", rows)
    (folder / "golden.npz").write_bytes(b"")
    manifest = _write_manifest(folder)
    windows = [parts.window(1), parts.window(2)]
    seal(folder, manifest, golden.record(Bundle.open(folder).detector(), windows))
    return folder


def _save_fkie(path: Path) -> None:
    lines = np.random.default_rng(7).standard_normal((N_BINS, DIM)).astype(np.float32)
    save_graph(
        path,
        [
            helper.make_node("Relu", ["bands"], ["loudness"]),
            helper.make_node("ReduceMean", ["loudness"], ["mean"], axes=[2], keepdims=0),
            helper.make_node("MatMul", ["mean", "weights"], ["of_bands"]),
            helper.make_node("MatMul", ["spectrum", "lines"], ["of_channels"]),
            helper.make_node("ReduceMean", ["of_channels"], ["of_lines"], axes=[1], keepdims=0),
            helper.make_node("Add", ["of_bands", "of_lines"], ["embedding"]),
        ],
        {"weights": parts.mixing(DIM), "lines": lines},
        bands=(parts.N_BANDS, parts.N_FRAMES),
        spectrum=(1, N_BINS),
        output=(DIM,),
    )


def _extractors() -> dict[str, ExtractorSpec]:
    fkie = parts.extractor_spec("fkie", "fkie.onnx", 1, DIM)
    spectrum = FeatureSpec(name="spectrum", kind="spectrum", shape=(1, N_BINS))
    return {
        "beats": parts.extractor_spec("beats", "beats.onnx", 1, DIM),
        "fkie": fkie.model_copy(update={"features": (*fkie.features, spectrum)}),
        "resnet": parts.extractor_spec("resnet", "resnet.onnx", 2, DIM, parts.SEGMENTS),
    }


def _fusion(weighted: WeightedSum) -> FusionSpec:
    normal = NORMAL if weighted.standardise else ((0.0, 1.0),) * len(weighted.parts)
    return FusionSpec(
        terms=tuple(
            TermSpec(
                of=_fusion(part) if isinstance(part, WeightedSum) else part,
                weight=0.5,
                mean=mean,
                std=std,
            )
            for part, (mean, std) in zip(weighted.parts, normal, strict=True)
        ),
        method="equal",
    )


def _write_manifest(folder: Path) -> Manifest:
    banks: dict[str, dict[Domain, BankSpec]] = {
        branch.name: {
            domain: BankSpec(file=f"{branch.name}.{domain}.npy", n=20, dim=DIM)
            for domain in DOMAINS
        }
        for branch in SYSTEM.branches
    }
    return parts.write_parts_manifest(
        folder,
        system=SYSTEM.name,
        extractors=_extractors(),
        branches=tuple(
            BranchSpec(
                extractor=branch.extractor,
                view=branch.view,
                scorer=parts.CENTRES_SCORER if branch.extractor == "resnet" else DldnSpec(),
            )
            for branch in SYSTEM.branches
        ),
        machines={
            MACHINE: MachineSpec(
                window_samples=parts.WINDOW_SAMPLES,
                banks=banks,
                fusion=_fusion(SYSTEM.fusion),
                threshold=parts.THRESHOLD,
            )
        },
    )
