"""The graphs that ship: exported, quantized, measured, and chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from edge_asd.audio import read_audio
from edge_asd.extractor import Extractor, fit_length
from edge_asd.graph import open_session
from edge_asd.manifest import ExtractorSpec, ScorerSpec
from edge_asd.system import VIEWS
from edge_asd_export.clips import Clip
from edge_asd_export.extractors import TrainableExtractor
from edge_asd_export.graph_check import GraphReport, Group, Tolerance, compare_encoders
from edge_asd_export.quantize import TARGETS, Features, quantize_encoder
from edge_asd_export.to_onnx import export_extractor

__all__ = [
    "N_CALIBRATION_CLIPS",
    "N_CHECK_CLIPS",
    "Quantize",
    "ShippedGraphs",
    "runtime_extractor",
    "ship_extractor",
]

Quantize = Literal["int8", "none"]
Step = Callable[[str], None]
T = TypeVar("T")

N_CALIBRATION_CLIPS = 64  # each through every view
N_CHECK_CLIPS = 128  # other clips, where there are enough


@dataclass(frozen=True, slots=True)
class ShippedGraphs:
    """Manifest entry of one extractor, and how its encoder was chosen."""

    spec: ExtractorSpec
    report: GraphReport | None  # None: nothing was quantized


def ship_extractor(
    extractor: TrainableExtractor,
    name: str,
    bundle_dir: Path,
    *,
    clips: Sequence[Clip],
    views: Sequence[str],
    scorer: ScorerSpec,
    quantize: Quantize,
    target: str,
    tolerance: Tolerance,
    say: Step,
) -> ShippedGraphs:
    """Write an extractor's graphs into a bundle folder; keep int8 only when it is worth it.

    Parameters
    ----------
    clips : training clips, to calibrate with and to compare on
    say : told what is being done
    """
    say(f"{name}: writing float32 graphs")
    exported = export_extractor(extractor, name, bundle_dir)
    if quantize == "none":
        return ShippedGraphs(exported.spec, None)
    frontends = runtime_extractor(exported.spec, bundle_dir)
    spread = spread_over(clips, N_CALIBRATION_CLIPS + N_CHECK_CLIPS)
    calibration = spread_over(spread, N_CALIBRATION_CLIPS)
    held_out = [clip for clip in spread if clip not in set(calibration)]
    say(f"{name}: calibrating int8 on {len(calibration)} clips for {target}")
    int8 = exported.encoder.with_suffix(".int8.onnx")
    windows = [features for _, features in _windows(frontends, calibration, views)]
    quantize_encoder(exported.encoder, int8, windows, TARGETS[target])
    say(f"{name}: comparing int8 with float32")
    check = held_out if len(held_out) >= len(calibration) else spread
    report = compare_encoders(
        name, exported.encoder, int8, list(_windows(frontends, check, views)), scorer, target,
        tolerance,
    )  # fmt: skip
    shipped, dropped = int8, exported.encoder
    if report.precision == "fp32":
        shipped, dropped = dropped, shipped
    dropped.unlink()
    encoder = exported.spec.encoder.model_copy(
        update={
            "file": shipped.relative_to(bundle_dir).as_posix(),
            "precision": report.precision,
        }
    )
    return ShippedGraphs(exported.spec.model_copy(update={"encoder": encoder}), report)


def spread_over(items: Sequence[T], n: int) -> list[T]:
    """At most `n` items at even distances: large machines and domains give more of them."""
    if len(items) <= n:
        return list(items)
    return [items[i * len(items) // n] for i in range(n)]


def runtime_extractor(spec: ExtractorSpec, bundle_dir: Path) -> Extractor:
    """Load the device's extractor on graphs of a bundle folder that has no manifest yet."""
    frontends = {f.name: open_session(bundle_dir / f.file) for f in spec.features if f.file}
    return Extractor(spec, frontends, open_session(bundle_dir / spec.encoder.file))


def _windows(
    extractor: Extractor, clips: Iterable[Clip], views: Sequence[str]
) -> Iterable[tuple[Group, Features]]:
    for clip in clips:
        audio, _ = read_audio(clip.path)
        for view in views:
            window = fit_length(audio[list(VIEWS[view])][None], extractor.spec.n_samples)
            group: Group = (clip.machine, view, clip.domain or "source")
            yield group, extractor.features(window)
