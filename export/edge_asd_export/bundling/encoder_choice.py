"""The graphs of a bundle: written, quantized, measured, and float32 or int8 chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.view import VIEWS
from edge_asd.bundle.bundle import open_extractors
from edge_asd.bundle.manifest import ExtractorSpec
from edge_asd.scoring.extractor import Extractor, fit_length
from edge_asd_export.bundling.embedded_clips import score_normal_clips
from edge_asd_export.bundling.export_job import ExportJob
from edge_asd_export.bundling.graph_check import GraphReport, compare_encoders
from edge_asd_export.bundling.onnx_graphs import write_extractor
from edge_asd_export.bundling.quantize import TARGETS, Features, quantize_encoder
from edge_asd_export.bundling.trained_networks import TrainedNetwork
from edge_asd_export.calibration.scoring import Scoring, clips_by_domain
from edge_asd_export.data.clips import Clip

__all__ = ["ExportedGraphs", "export_network", "spread_over"]

T = TypeVar("T")
Read = Callable[[Clip], NDArray[np.float32]]

N_CALIBRATION_CLIPS = 64  # each through every view
N_CHECK_CLIPS = 128  # other clips, where there are enough
N_SEGMENTS = 4  # of each window, where the encoder sees segments


@dataclass(frozen=True, slots=True)
class ExportedGraphs:
    """Manifest entry of one extractor, and how its encoder was chosen."""

    spec: ExtractorSpec
    report: GraphReport | None  # None: nothing was quantized


def export_network(
    job: ExportJob, name: str, network: TrainedNetwork, bundle_dir: Path, read: Read
) -> ExportedGraphs:
    """Write a network's graphs into a bundle folder; keep int8 only when it is worth it.

    Parameters
    ----------
    name : of the network in the run and in the manifest
    read : gives the audio (2, n_samples) of a training clip
    """
    options, say, extractor = job.options, job.progress.say, name.partition("/")[0]
    say(f"{name}: writing float32 graphs")
    variant = job.run.record.config.of(name).variant
    trained = network.exported(options)
    spec = write_extractor(trained, name, bundle_dir, network=variant or extractor)
    if options.quantize == "none":
        return ExportedGraphs(spec, None)
    branches = job.system.branches_of(extractor)
    scorings = {branch.view: job.scorings[branch.name] for branch in branches}
    frontends = open_extractors(bundle_dir, {name: spec})[name]
    spread = spread_over(job.clips_of(name), N_CALIBRATION_CLIPS + N_CHECK_CLIPS)
    calibration = spread_over(spread, N_CALIBRATION_CLIPS)
    held_out = [clip for clip in spread if clip not in calibration]
    say(f"{name}: calibrating int8 on {len(calibration)} clips for {options.target}")
    fp32 = bundle_dir / spec.encoder.file
    int8 = fp32.with_suffix(".int8.onnx")
    windows = _windows(frontends, calibration, scorings, read)
    quantize_encoder(fp32, int8, windows, TARGETS[options.target])
    say(f"{name}: comparing int8 with float32")
    check = held_out if len(held_out) >= len(calibration) else spread
    report = compare_encoders(
        name, fp32, int8, list(_windows(frontends, check, scorings, read)),
        partial(_normal_scores, job, scorings, network, check, spec.members),
        options.target, None if options.quantize == "int8-always" else options.tolerance,
    )  # fmt: skip
    if report.precision == "fp32":
        int8.unlink()
        return ExportedGraphs(spec, report)
    fp32.unlink()
    file = int8.relative_to(bundle_dir).as_posix()
    encoder = spec.encoder.model_copy(update={"file": file, "precision": "int8"})
    return ExportedGraphs(spec.model_copy(update={"encoder": encoder}), report)


def spread_over(items: Sequence[T], n: int) -> list[T]:
    """At most `n` items at even distances: large machines and domains give more of them."""
    if len(items) <= n:
        return list(items)
    return [items[i * len(items) // n] for i in range(n)]


def _windows(
    extractor: Extractor, clips: Iterable[Clip], views: Iterable[str], read: Read
) -> Iterator[Features]:
    """Encoder inputs of every clip and view: all segments, or a few spread over the window."""
    for clip in clips:
        audio = read(clip)
        for view in views:
            window = fit_length(VIEWS[view].apply(audio)[None], extractor.spec.n_samples)
            features = extractor.features(window)
            n_segments = len(next(iter(features.values())))
            chosen = spread_over(range(n_segments), N_SEGMENTS)
            yield {name: value[chosen] for name, value in features.items()}


def _normal_scores(
    job: ExportJob,
    scorings: Mapping[str, Scoring],
    network: TrainedNetwork,
    clips: Sequence[Clip],
    members: int,
    embeddings: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Scores of every clip and view, by the others of its machine, or as its scoring says.

    Parameters
    ----------
    embeddings : (n_clips * n_views, n_segments, dim), those of a clip after each other
    """
    by_view = embeddings.reshape(len(clips), len(scorings), *embeddings.shape[1:])
    scores = np.full(by_view.shape[:2], np.nan)
    for machine in sorted({clip.machine for clip in clips}):
        own = np.array([i for i, clip in enumerate(clips) if clip.machine == machine])
        domains = clips_by_domain([clips[i] for i in own])
        index = {d: own[[clips[i].domain == d for i in own]] for d in domains}
        for column, (view, scoring) in enumerate(scorings.items()):
            if scoring.references == "clips" and len(own) < 2:
                continue
            rows = {domain: by_view[i, column] for domain, i in index.items()}
            centres = network.centres(machine, view)
            _, found = score_normal_clips(job, domains, rows, scoring, centres, members)
            for domain, values in found.items():
                scores[index[domain], column] = values
    return scores.ravel()
