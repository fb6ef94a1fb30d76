"""What each bank view is worth for the extractors of some runs, without training them on it.

    python benchmarks/views.py --data DATA --runs RUN... --views near clean near+clean
    python benchmarks/views.py --data DATA --runs RUN... --fused ltas@near+fkie@clean

Each extractor of one channel is exported as float32, and training and test clips are embedded by
the device's extractor through every view. ``near+clean`` is the mean of both scores; with --fused
the mean is over branches of several extractors of a run. Printed are the harmonic mean of AUC
source, AUC target and pAUC of each machine, and the official score over all of them; with several
runs, also their mean and spread. Test labels are used for measuring only.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.decode import read_audio
from edge_asd.audio.view import VIEWS
from edge_asd.bundle.bundle import open_extractors
from edge_asd.bundle.manifest import Domain
from edge_asd.bundle.system import Branch, System, WeightedSum
from edge_asd_export.bundling.embedded_clips import embed_clips
from edge_asd_export.bundling.encoder_choice import export_network
from edge_asd_export.bundling.export_job import ExportJob, ExportOptions, ExportProgress
from edge_asd_export.bundling.trained_networks import load_networks
from edge_asd_export.calibration.scoring import (
    Floats,
    clip_scores,
    clips_by_domain,
    make_references,
    scorings_of,
)
from edge_asd_export.data.clips import Clip, MachineClips, scan
from edge_asd_export.evaluation.metrics import (
    MachineMetrics,
    harmonic_mean,
    machine_metrics,
    official_score,
)
from edge_asd_export.training.recipes import recipe_of
from edge_asd_export.training.run import Run

VIEW_SETS = ("near", "far", "clean", "near+far", "near+clean")

_Figures = dict[str, MachineMetrics]  # by machine


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="labelled data set")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="run folders")
    parser.add_argument("--views", nargs="*", default=list(VIEW_SETS), help="as near or near+clean")
    parser.add_argument("--extractors", nargs="+", help="of the runs; all of one channel if absent")
    parser.add_argument(
        "--fused", nargs="+", default=[], metavar="BRANCHES", help="as ltas@near+fkie@clean"
    )
    options = parser.parse_args()
    heard = [*options.views, *(branch.view for mix in options.fused for branch in _parts(mix))]
    unknown = sorted({view for views in heard for view in views.split("+")} - set(VIEWS))
    if unknown:
        parser.error(f"unknown view {unknown[0]!r}; known views: {', '.join(VIEWS)}")
    machines = scan([options.data], read_samples=False).machines
    print(f"| branches | run | {' | '.join(machines)} | official |")
    print(f"|---|---|{'---|' * len(machines)}---|")
    found: dict[str, list[float]] = defaultdict(list)
    for path in options.runs:
        run = Run.open(path)
        for mix, figures in _measured(run, _mixes(run, options), machines):
            score = official_score(figures.values())
            found[mix].append(score)
            own = " | ".join(f"{harmonic_mean(f.official):.3f}" for f in figures.values())
            print(f"| {mix} | {path.name} | {own} | {score:.3f} |", flush=True)
    for mix, scores in found.items():
        if scores[1:]:
            text = f"{statistics.mean(scores):.3f} ± {statistics.stdev(scores):.3f}"
            print(f"| {mix} | all {len(scores)} |{' |' * len(machines)} {text} |")


def _mixes(run: Run, options: argparse.Namespace) -> list[str]:
    """Branches to take the mean of: the views of every extractor, and what is fused besides."""
    fused = {branch.extractor for mix in options.fused for branch in _parts(mix)}
    _extractors(run, sorted(fused))
    return [
        "+".join(f"{extractor}@{view}" for view in views.split("+"))
        for extractor in (_extractors(run, options.extractors) if options.views else ())
        for views in options.views
    ] + list(options.fused)


def _parts(mix: str) -> list[Branch]:
    return [Branch.parse(name) for name in mix.split("+")]


def _extractors(run: Run, chosen: Sequence[str] | None) -> list[str]:
    """Extractors of a run that take any view of one channel and are compared with clips."""
    possible = [
        name
        for name, task in run.record.tasks.items()
        if task.n_channels == 1 and "clips" in recipe_of(name.partition("/")[0]).references
    ]
    wanted = possible if chosen is None else chosen
    if absent := sorted(set(wanted) - set(possible)):
        raise SystemExit(f"{run.path} has {', '.join(possible) or 'none'}, not {absent[0]}")
    return list(wanted)


def _measured(
    run: Run, mixes: Sequence[str], machines: Mapping[str, MachineClips]
) -> Iterator[tuple[str, _Figures]]:
    """Figures of every machine, by branches."""
    wanted = dict.fromkeys(branch for mix in mixes for branch in _parts(mix))
    scores: dict[str, dict[str, Floats]] = {name: {} for name in machines}
    for extractor in dict.fromkeys(branch.extractor for branch in wanted):
        views = [branch.view for branch in wanted if branch.extractor == extractor]
        for name, own in _scores(run, extractor, views, machines).items():
            scores[name].update(own)
    for mix in mixes:
        yield (
            mix,
            {
                name: machine_metrics(
                    np.mean([scores[name][branch] for branch in mix.split("+")], axis=0),
                    [clip.label == "anomaly" for clip in machine.test],
                    [clip.domain == "target" for clip in machine.test],
                )
                for name, machine in machines.items()
            },
        )


def _scores(
    run: Run, extractor: str, views: Sequence[str], machines: Mapping[str, MachineClips]
) -> dict[str, dict[str, Floats]]:
    """Scores of the test clips by machine, then branch."""
    system = System("views", "", WeightedSum(tuple(f"{extractor}@{view}" for view in views)))
    clips = {name: machine.train for name, machine in machines.items()}
    folds = run.folds(clip for own in clips.values() for clip in own)
    progress = ExportProgress(lambda text: print(text, file=sys.stderr), lambda done, total: None)
    job = ExportJob(run, system, scorings_of(system, {}), clips, ExportOptions(quantize="none"),
                    progress, folds=folds)  # fmt: skip
    network = load_networks(job)[extractor]
    with tempfile.TemporaryDirectory() as folder:
        exported = export_network(
            job, extractor, network, Path(folder), lambda clip: read_audio(clip.path)[0]
        )
        extractors = open_extractors(Path(folder), {extractor: exported.spec})
        scores = {}
        for name, machine in machines.items():
            print(f"{run.path}: {extractor}: {name}", file=sys.stderr)
            known = embed_clips(machine.train, system.branches, extractors)
            heard = embed_clips(machine.test, system.branches, extractors)
            scores[name] = {
                branch: clip_scores(
                    heard[branch],
                    make_references(
                        _by_domain(machine.train, known[branch]),
                        scoring,
                        {},
                        folds=job.folds_of(clips_by_domain(machine.train)),
                        members=exported.spec.members,
                    ),
                    scoring,
                )
                for branch, scoring in job.scorings.items()
            }
    return scores


def _by_domain(
    clips: Sequence[Clip], rows: NDArray[np.float32]
) -> dict[Domain, NDArray[np.float32]]:
    """Rows of each domain, in the order of the clips."""
    number = {clip: i for i, clip in enumerate(clips)}
    return {
        domain: rows[[number[clip] for clip in own]]
        for domain, own in clips_by_domain(clips).items()
    }


if __name__ == "__main__":
    main()
