"""How inputs, scorers, precisions and channel weights compare on labelled recordings.

    python benchmarks/real_recordings.py --data DATA --runs runs/linear-0 runs/linear-1 ...

For every run the encoders are exported as float32 and as int8, training and test clips are
embedded by the device's extractor, and every scorer and channel-weight rule is applied to
the same embeddings. Test labels are used for measuring only, but all rows are shown: who
picks the best row has used them.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import mannwhitneyu

from edge_asd.audio.decode import read_audio
from edge_asd.bundle.bundle import open_extractors
from edge_asd.bundle.manifest import Domain
from edge_asd.bundle.system import system_named
from edge_asd.scoring.held_out import MOST_GROUPS, Groups
from edge_asd_export.bundling.embedded_clips import Embeddings, embed_clips
from edge_asd_export.bundling.encoder_choice import export_network
from edge_asd_export.bundling.export_job import (
    ExportJob,
    ExportOptions,
    ExportProgress,
    Quantize,
)
from edge_asd_export.bundling.graph_check import Tolerance
from edge_asd_export.bundling.trained_networks import load_networks
from edge_asd_export.calibration.channel_weights import (
    WEIGHT_RULES,
    channel_weights,
    covariance,
    variance,
)
from edge_asd_export.calibration.scoring import (
    SCORINGS,
    Floats,
    Scoring,
    clip_scores,
    clips_by_domain,
    make_references,
    normal_scores,
    scorings_of,
)
from edge_asd_export.data.clips import Clip, MachineClips, scan
from edge_asd_export.evaluation.metrics import (
    MachineMetrics,
    harmonic_mean,
    machine_metrics,
    official_score,
)
from edge_asd_export.training.run import Run

SYSTEM = system_named("system4")
EXTRACTOR = "fkie"
HARDEST = 0.1  # share of the other machines' clips that look most normal
SCORERS = {name: row for name, row in SCORINGS.items() if row.references == "clips"}
PRECISIONS: Mapping[str, Quantize] = {"fp32": "none", "int8": "int8"}
# What is measured here must not be hidden by a refusal to ship it.
ANYTHING = Tolerance(cosine_mean=-1, score_correlation=-2, size_ratio=2, speed_ratio=0)


@dataclass(frozen=True, slots=True)
class Row:
    """The official score of one choice of everything."""

    run: str
    input: str
    seed: int
    precision: str
    scorer: str
    channels: str  # near, far, or the channel-weight rule
    official: float
    machines: dict[str, tuple[float, float, float]]  # AUC source, AUC target, pAUC


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="labelled data set")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="system4 run folders")
    parser.add_argument(
        "--json", type=Path, help="write every row here; runs that are in it are not measured again"
    )
    options = parser.parse_args()
    machines = scan([options.data], read_samples=False).machines
    rows = _known(options.json, [path.name for path in options.runs])
    for path in options.runs:
        if any(row.run == path.name for row in rows):
            continue
        run = Run.open(path)
        for precision, quantize in PRECISIONS.items():
            print(f"{path.name}: {precision}", file=sys.stderr)
            train, test = _embed(run, machines, quantize)
            rows += _rows(run, path.name, precision, machines, train, test)
        if options.json:
            options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    console = Console(width=120)
    _print_baseline(console, options.data / "baseline.csv")
    for table in (_by_scorer(rows), _by_precision(rows), _by_weights(rows), _by_machine(rows)):
        console.print(table)


def _known(file: Path | None, runs: list[str]) -> list[Row]:
    """Rows that an earlier measurement of these runs wrote."""
    if file is None or not file.is_file():
        return []
    return [row for row in (Row(**fields) for fields in json.loads(file.read_text()))
            if row.run in runs]  # fmt: skip


def _embed(
    run: Run, machines: Mapping[str, MachineClips], quantize: Quantize
) -> tuple[dict[str, Embeddings], dict[str, Embeddings]]:
    """Embeddings of training and of test clips by machine, then branch."""
    job = ExportJob(
        run,
        SYSTEM,
        scorings_of(SYSTEM, {}),
        {name: machine.train for name, machine in machines.items()},
        ExportOptions(quantize=quantize, tolerance=ANYTHING),
        ExportProgress(lambda text: None, lambda done, total: None),
    )
    network = load_networks(job)[EXTRACTOR]
    with tempfile.TemporaryDirectory() as folder:
        exported = export_network(
            job, EXTRACTOR, network, Path(folder), lambda clip: read_audio(clip.path)[0]
        )
        if exported.report:
            print(f"  {asdict(exported.report)}", file=sys.stderr)
        extractors = open_extractors(Path(folder), {EXTRACTOR: exported.spec})

        def embed(split: str) -> dict[str, Embeddings]:
            return {
                name: embed_clips(getattr(machine, split), SYSTEM.branches, extractors)
                for name, machine in machines.items()
            }

        return embed("train"), embed("test")


def _rows(
    run: Run,
    name: str,
    precision: str,
    machines: Mapping[str, MachineClips],
    train: Mapping[str, Embeddings],
    test: Mapping[str, Embeddings],
) -> Iterator[Row]:
    config = run.record.config
    for scorer, scoring in SCORERS.items():
        for channels, metrics in _measure(machines, train, test, scoring):
            yield Row(
                name,
                config.fkie.input,
                config.seed,
                precision,
                scorer,
                channels,
                official_score(metrics.values()),
                {machine: own.official for machine, own in metrics.items()},
            )


def _measure(
    machines: Mapping[str, MachineClips],
    train: Mapping[str, Embeddings],
    test: Mapping[str, Embeddings],
    scoring: Scoring,
) -> Iterator[tuple[str, dict[str, MachineMetrics]]]:
    branches = list(next(iter(train.values())))
    known = {
        m: {b: _by_domain(machine.train, train[m][b]) for b in branches}
        for m, machine in machines.items()
    }
    banks = {m: {b: make_references(known[m][b], scoring, {}) for b in branches} for m in machines}

    def score(machine: str, branch: str, embeddings: NDArray[np.float32]) -> Floats:
        return clip_scores(embeddings, banks[machine][branch], scoring)

    scores = {m: {b: score(m, b, test[m][b]) for b in branches} for m in machines}
    normal = {
        m: {
            b: _pooled(normal_scores(known[m][b], banks[m][b], scoring, _takes(known[m][b])))
            for b in branches
        }
        for m in machines
    }
    proxy = {
        m: {
            b: np.concatenate([score(m, b, train[other][b]) for other in machines if other != m])
            for b in branches
        }
        for m in machines
    }

    def metrics(weights: Mapping[str, Mapping[str, float]]) -> dict[str, MachineMetrics]:
        return {
            m: machine_metrics(
                sum(weights[m][b] * scores[m][b] for b in branches),
                [clip.label == "anomaly" for clip in machine.test],
                [clip.domain == "target" for clip in machine.test],
            )
            for m, machine in machines.items()
        }

    for branch in branches:
        alone = {b: float(b == branch) for b in branches}
        yield branch.partition("@")[2], metrics(dict.fromkeys(machines, alone))
    for rule in WEIGHT_RULES:
        yield rule, metrics({m: channel_weights(rule, normal[m]) for m in machines})
    for rule in RULES_ACROSS_MACHINES:
        weights = {m: weights_across_machines(rule, normal[m], proxy[m]) for m in machines}
        yield rule, metrics(weights)


def _by_domain(
    clips: Sequence[Clip], rows: NDArray[np.float32]
) -> dict[Domain, NDArray[np.float32]]:
    """Rows of each domain, in the order of the clips."""
    return {
        domain: rows[[clips.index(clip) for clip in own]]
        for domain, own in clips_by_domain(clips).items()
    }


def _takes(embeddings: Mapping[Domain, NDArray[np.float32]]) -> Groups:
    """Every clip as a take of its own."""
    return {domain: np.arange(len(rows)) % MOST_GROUPS for domain, rows in embeddings.items()}


def _pooled(scores: Mapping[Domain, Floats]) -> Floats:
    return np.concatenate([scores[domain] for domain in sorted(scores)])


def _print_baseline(console: Console, path: Path) -> None:
    """Official scores of the trivial baselines that come with the data set, if any do."""
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    for kind in ("near", "far", "mean"):
        columns = [f"{kind}_{figure}" for figure in ("auc_source", "auc_target", "pauc")]
        values = [float(line[column]) for line in lines for column in columns]
        console.print(f"trivial baseline, {kind}: {harmonic_mean(values):.3f}")


def _table(title: str, rows: list[Row], keys: tuple[str, ...], columns: list[str]) -> Table:
    """Mean and spread over seeds of the official score, one line per combination of `keys`."""
    cells: dict[tuple[str, ...], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        cells[tuple(str(getattr(row, key)) for key in keys)][row.channels].append(row.official)
    table = Table(*keys, *columns, title=title)
    for names, by_channel in cells.items():
        table.add_row(*names, *(_cell(by_channel[column]) for column in columns))
    return table


def _cell(values: list[float]) -> str:
    if len(values) < 2:
        return f"{values[0]:.3f}" if values else "-"
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


def _by_scorer(rows: list[Row]) -> Table:
    fp32 = [row for row in rows if row.precision == "fp32"]
    columns = ["near", "far", "equal", "mostly-first"]
    return _table("official score by input and scorer, fp32", fp32, ("input", "scorer"), columns)


def _by_precision(rows: list[Row]) -> Table:
    default = [row for row in rows if row.scorer == "dldn-mean"]
    keys = ("input", "seed", "precision")
    return _table("by precision, dldn-mean", default, keys, ["near", "far", "mostly-first"])


def _by_weights(rows: list[Row]) -> Table:
    keys = ("input", "scorer")
    fp32 = [row for row in rows if row.precision == "fp32" and row.scorer == "dldn-mean"]
    rules = [*WEIGHT_RULES, *RULES_ACROSS_MACHINES]
    return _table("by channel weights, fp32, dldn-mean", fp32, keys, rules)


def _by_machine(rows: list[Row]) -> Table:
    table = Table("input", "machine", "AUC source", "AUC target", "pAUC",
                  title="near channel by machine, fp32, dldn-mean")  # fmt: skip
    chosen = [
        r for r in rows if (r.precision, r.scorer, r.channels) == ("fp32", "dldn-mean", "near")
    ]
    for fkie_input in dict.fromkeys(row.input for row in chosen):
        own = [row for row in chosen if row.input == fkie_input]
        for machine in own[0].machines:
            columns = zip(*(row.machines[machine] for row in own), strict=True)
            table.add_row(fkie_input, machine, *(_cell(list(values)) for values in columns))
    return table


def weights_across_machines(
    rule: str, normal: Mapping[str, Floats], other: Mapping[str, Floats]
) -> dict[str, float]:
    """Weight of each part from its scores of own and of other machines' normal clips.

    These rules fail (docs/results.md) and are no settings of an export; they are here so that
    the table can be made again.
    """
    own, others = (np.stack([scores[part] for part in normal]) for scores in (normal, other))
    weights = np.maximum(RULES_ACROSS_MACHINES[rule](own, others), 0.0)
    if not np.isfinite(weights.sum()) or weights.sum() <= 0:
        weights = np.ones(len(own))
    return dict(zip(normal, (weights / weights.sum()).tolist(), strict=True))


def _separability(normal: Floats, other: Floats) -> Floats:
    return np.square(np.maximum(2.0 * _auc(normal, other) - 1.0, 0.0))


def _hard_separability(normal: Floats, other: Floats) -> Floats:
    n_hard = max(1, round(HARDEST * other.shape[1]))
    return _separability(normal, np.sort(other, axis=1)[:, :n_hard])


def _d_prime(normal: Floats, other: Floats) -> Floats:
    return np.square(np.maximum(_distance_between(normal, other), 0.0))


def _fisher(normal: Floats, other: Floats) -> Floats:
    shift = other.mean(axis=1) - normal.mean(axis=1)
    return np.asarray(np.linalg.solve(covariance(normal) + covariance(other), shift))


def _best(normal: Floats, other: Floats) -> Floats:
    separation = _distance_between(normal, other)
    return np.asarray(np.eye(len(normal))[separation.argmax()] * (separation.max() > 0))


def _distance_between(normal: Floats, other: Floats) -> Floats:
    """Distance of the means in units of the pooled standard deviation; (n_parts,)."""
    pooled = np.sqrt((variance(normal) + variance(other)) / 2.0)
    return np.asarray((other.mean(axis=1) - normal.mean(axis=1)) / pooled)


def _auc(normal: Floats, other: Floats) -> Floats:
    n_pairs = normal.shape[1] * other.shape[1]
    return np.array(
        [
            mannwhitneyu(high, low, method="asymptotic").statistic / n_pairs
            for high, low in zip(other, normal, strict=True)
        ]
    )


RULES_ACROSS_MACHINES: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "separability": _separability,
    "hard-separability": _hard_separability,
    "d-prime": _d_prime,
    "fisher": _fisher,
    "best": _best,
}


if __name__ == "__main__":
    main()
