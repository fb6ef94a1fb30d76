"""How well a system does on machines that it was not made for, on labelled recordings.

    python benchmarks/new_machine.py --data DATA
    python benchmarks/new_machine.py --data DATA --ways alone --beside OTHERS --seeds 0
    python benchmarks/new_machine.py --data DATA --out DIR

Trained, exported and scored by the product's own functions, in three ways: one run for all machines
*together*, each machine *alone*, and each machine *unheard*: the networks are trained on the
others, and its training clips only make its banks. With --beside other machines are classes in
every training. Thresholds hold out whole takes, as those of every export do. The trivial baseline
is the distance to the nearest training clip, of mean and standard deviation of 64 log-mel bands of
near, each relative to its spread over the training clips. Nothing is chosen by a test label.

Runs and bundles stay in --out, and a call that was stopped goes on with them.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edge_asd.audio.decode import read_audio
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import MANIFEST_NAME
from edge_asd.recordings.takes_file import TAKES_FILE, write_takes
from edge_asd.scoring.mel import mel_filter_bank
from edge_asd_export.bundling.bundle_writer import write_bundle
from edge_asd_export.bundling.export_job import ExportOptions, ExportProgress
from edge_asd_export.data.clips import Clip, MachineClips, scan
from edge_asd_export.data.takes import takes_line, takes_of
from edge_asd_export.evaluation.evaluate import FUSED, ScoredClips, evaluate_scores
from edge_asd_export.evaluation.metrics import (
    DecisionMetrics,
    MachineMetrics,
    machine_metrics,
    official_score,
)
from edge_asd_export.evaluation.score_clips import score_bundle
from edge_asd_export.evaluation.test_sets import plan_test_sets
from edge_asd_export.nn.front_ends import N_FFT, MagnitudeSpectrogram
from edge_asd_export.training.config import TrainConfig
from edge_asd_export.training.distributed import ALONE
from edge_asd_export.training.run import RECORD_NAME, Run
from edge_asd_export.training.train_run import new_run, resumed_run, train_all

WAYS = ("together", "alone", "unheard")
N_MELS = 64
PROGRESS = ExportProgress(lambda text: None, lambda done, total: None)


@dataclass(frozen=True, slots=True)
class Options:
    """What is trained and exported, and where it is kept."""

    data: list[Path]
    beside: list[Path]
    system: str
    export: ExportOptions
    takes: Mapping[Clip, str]  # of the training clips
    out: Path


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="labelled data sets")
    parser.add_argument("--beside", type=Path, nargs="+", default=[], help="other machines")
    parser.add_argument("--system", default="system5")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quantize", choices=("int8", "none"), default="int8")
    parser.add_argument("--out", type=Path, help="folder of the runs and bundles, to go on with")
    given = parser.parse_args()
    machines = scan(given.data, read_samples=False).machines
    takes = takes_of(machines, say=_tell)
    _tell(takes_line(machines, takes))
    exported = ExportOptions(quantize=given.quantize)
    print(f"| trained | score | {' | '.join(machines)} | official |")
    print(f"|---|---|{'---|' * len(machines)}---|")
    print(_row("-", "trivial baseline", [{name: _trivial(m) for name, m in machines.items()}]))
    stated: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        out = given.out or Path(temporary)
        options = Options(given.data, given.beside, given.system, exported, takes, out)
        for way in given.ways:
            scored = [_scored(way, options, machines, seed) for seed in given.seeds]
            for kind in scored[0][next(iter(machines))].scores:
                name = given.system if kind == FUSED else kind
                print(_row(way, name, [_metrics(one, kind) for one in scored]), flush=True)
            stated += _stated(way, scored)
    print(f"\n| trained | stated | of clips | {' | '.join(machines)} | mean |")
    print(f"|---|---|---|{'---|' * len(machines)}---|")
    print("\n".join(stated))


def _scored(
    way: str, options: Options, machines: Mapping[str, MachineClips], seed: int
) -> dict[str, ScoredClips]:
    """The test clips of every machine, by networks that were trained in one of the ways."""
    names = list(machines)
    groups = {
        "together": [(names, names)],
        "alone": [([name], [name]) for name in names],
        "unheard": [([other for other in names if other != name], [name]) for name in names],
    }
    scored: dict[str, ScoredClips] = {}
    for trained, tested in groups[way]:
        _tell(f"{way}, seed {seed}: {', '.join(tested)}")
        folder = options.out / f"{way}-{'-'.join(tested)}-{seed}"
        run = _trained(folder, options, {name: machines[name] for name in trained}, seed)
        scored |= _tested(run, options, {name: machines[name] for name in tested})
    return {name: scored[name] for name in names}


def _trained(
    folder: Path, options: Options, machines: Mapping[str, MachineClips], seed: int
) -> Run:
    """The run in the folder, trained to its end; it is begun where there is none."""
    with redirect_stdout(sys.stderr):
        if (folder / RECORD_NAME).exists():
            plan = resumed_run(folder)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            named = {f"{c.machine}/{c.path.name}": take for c, take in options.takes.items()}
            write_takes(folder / TAKES_FILE, named)
            data = sorted({clip.path.parent.parent for m in machines.values() for clip in m.clips})
            config = TrainConfig(systems=(options.system,), seed=seed)
            plan = new_run(folder, config, data, folder / TAKES_FILE, options.beside)
        train_all(plan, torch.device("cpu"), ALONE)
    return plan.run


def _tested(
    run: Run, options: Options, machines: Mapping[str, MachineClips]
) -> dict[str, ScoredClips]:
    """Scores of the test clips by a bundle of these machines, whether or not it heard them."""
    windows = {name: machine.window_samples for name, machine in machines.items()}
    known = Run(run.path, run.record.model_copy(update={"machines": windows}))
    clips = {name: machine.train for name, machine in machines.items()}
    path = run.path / "bundles" / options.export.quantize
    if not (path / MANIFEST_NAME).exists():
        write_bundle(known, clips, path, options.export, PROGRESS, takes=options.takes)
    bundle = Bundle.open(path)
    inventory = scan(options.data, read_samples=False)
    test_sets, _ = plan_test_sets(inventory, {"bundle": bundle.manifest})
    scored = score_bundle("bundle", bundle, test_sets)
    return {one.machine: one for one in scored.machines}


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _metrics(scored: Mapping[str, ScoredClips], kind: str) -> dict[str, MachineMetrics]:
    return {
        name: machine_metrics(one.scores[kind], one.is_anomaly, one.is_target)
        for name, one in scored.items()
        if one.is_anomaly is not None and one.is_target is not None
    }


def _row(trained: str, score: str, seeds: Sequence[Mapping[str, MachineMetrics]]) -> str:
    """Means over seeds, with the standard deviation where there are several."""
    cells = [_cell([seed[name].hmean for seed in seeds]) for name in seeds[0]]
    official = _cell([official_score(seed.values()) for seed in seeds])
    return f"| {trained} | {score} | {' | '.join(cells)} | {official} |"


def _cell(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.3f}" if len(set(values)) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


def _stated(way: str, seeds: Sequence[Mapping[str, ScoredClips]]) -> Iterator[str]:
    """False alarms and hits above each stated level: of each machine, and their means."""
    found = [evaluate_scores(seed.values(), n_replicates=2).machines for seed in seeds]
    for rate in found[0][0].stated:
        for name in ("false alarms", "hits"):
            shares = np.mean([[_share(m.stated[rate], name) for m in one] for one in found], axis=0)
            cells = " | ".join(f"{share:.1%}" for share in (*shares, shares.mean()))
            yield f"| {way} | {rate:.0%} | {name} | {cells} |"


def _share(decisions: DecisionMetrics, name: str) -> float:
    return decisions.false_alarm_rate if name == "false alarms" else decisions.recall


def _trivial(machine: MachineClips) -> MachineMetrics:
    known, heard = (_log_mel(clips) for clips in (machine.train, machine.test))
    difference = (heard[:, None] - known[None]) / (known.std(axis=0) + 1e-6)
    scores = np.sqrt((difference**2).sum(axis=2)).min(axis=1)
    return machine_metrics(
        scores,
        [clip.label == "anomaly" for clip in machine.test],
        [clip.domain == "target" for clip in machine.test],
    )


def _log_mel(clips: Sequence[Clip]) -> NDArray[np.float32]:
    """Mean and standard deviation over time of near's log-mel bands, (n_clips, 2 * N_MELS)."""
    spectrogram = MagnitudeSpectrogram()
    filters = mel_filter_bank(N_MELS, N_FFT, 16_000, 0.0, 8_000.0, scale="slaney", normalise="area")
    rows = []
    for clip in clips:
        near = torch.from_numpy(read_audio(clip.path)[0][None, :1])
        power = spectrogram(near)[0, 0].square().numpy()  # (n_bins, n_frames)
        level = np.log(filters @ power + 1e-10)
        rows.append(np.concatenate([level.mean(axis=1), level.std(axis=1)]))
    return np.stack(rows)


if __name__ == "__main__":
    main()
