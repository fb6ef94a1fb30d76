"""What the hop between the ResNet's windows costs, and what it changes.

    python benchmarks/window_hop.py --data DATA --run RUN [--hops 1 4 8 16] [--clips 200]

Test clips are embedded once at the smallest hop; larger hops take every second, fourth, ...
of the same windows. Agreement is that of the clips' scores with those of the smallest hop.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.stats import spearmanr

from edge_asd.bundle.bundle import open_extractors
from edge_asd.bundle.system import Branch
from edge_asd.scoring.extractor import Extractor
from edge_asd_export.bundling.embedded_clips import embed_clips
from edge_asd_export.bundling.encoder_choice import spread_over
from edge_asd_export.bundling.onnx_graphs import write_extractor
from edge_asd_export.calibration.scoring import SCORINGS, centre_banks, clip_scores
from edge_asd_export.data.clips import Clip, scan
from edge_asd_export.evaluation.metrics import machine_metrics, official_score
from edge_asd_export.training.run import Run
from edge_asd_export.training.train import load_learner

BRANCH = Branch("resnet", "stereo")
SCORING = SCORINGS["centres"]
N_TIMED = 5  # windows at each hop; the fastest counts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="labelled data set")
    parser.add_argument("--run", type=Path, required=True, help="run with a trained ResNet")
    parser.add_argument("--hops", type=int, nargs="+", default=[1, 4, 8, 16], help="in frames")
    parser.add_argument("--clips", type=int, default=10**6, help="at most so many test clips")
    parser.add_argument("--threads", type=int, default=1, help="of ONNX Runtime")
    options = parser.parse_args()
    run = Run.open(options.run)
    machines = scan([options.data], read_samples=False).machines
    chosen = {
        name: spread_over(machine.test, options.clips // len(machines))
        for name, machine in machines.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        hops = sorted(options.hops)
        extractors = _export(run, Path(folder), hops, options.threads)
        scores = _scores(run, chosen, extractors[hops[0]], [hop // hops[0] for hop in hops])
        timed = {hop: _seconds(extractors[hop]) for hop in hops}
    _print(hops, scores, timed, chosen, run)


def _export(run: Run, folder: Path, hops: list[int], threads: int) -> dict[int, Extractor]:
    """The float32 extractor at each hop; they share their graphs."""
    trained = load_learner(run, BRANCH.extractor).inference_extractor()
    spec = write_extractor(trained, BRANCH.extractor, folder, network="resnet")
    if spec.segments is None:
        raise SystemExit("this extractor sees its window whole: there is no hop to choose")
    cut = spec.segments
    specs = {
        str(hop): spec.model_copy(update={"segments": cut.model_copy(update={"hop_frames": hop})})
        for hop in hops
    }
    return {int(hop): e for hop, e in open_extractors(folder, specs, threads).items()}


def _scores(
    run: Run, chosen: dict[str, list[Clip]], extractor: Extractor, steps: list[int]
) -> list[dict[str, NDArray[np.float64]]]:
    """Scores of the clips of each machine, for every `steps`-th window."""
    learner, classes = load_learner(run, BRANCH.extractor), run.record.tasks["resnet"].classes
    centres = learner.centres()
    scores: list[dict[str, NDArray[np.float64]]] = [{} for _ in steps]
    for machine, clips in chosen.items():
        rows = [
            embed_clips([clip], [BRANCH], {BRANCH.extractor: extractor})[BRANCH.name]
            for clip in track(clips, machine, console=Console(stderr=True))
        ]
        banks = centre_banks(
            None if centres is None else centres.detach().numpy(), classes, machine, BRANCH.view
        )
        for step, into in zip(steps, scores, strict=True):
            into[machine] = clip_scores(np.concatenate(rows)[:, ::step], banks, SCORING)
    return scores


def _seconds(extractor: Extractor) -> tuple[float, int]:
    """Least time of one clip, front-end and encoder, and how many windows it has."""
    spec = extractor.spec
    rng = np.random.default_rng(0)
    audio = rng.normal(0, 0.05, (1, spec.n_channels, spec.n_samples)).astype(np.float32)
    times = []
    for _ in range(N_TIMED):
        start = time.perf_counter()
        embeddings = extractor(audio)
        times.append(time.perf_counter() - start)
    return min(times), embeddings.shape[1]


def _official(scores: dict[str, NDArray[np.float64]], chosen: dict[str, list[Clip]]) -> float:
    return official_score(
        machine_metrics(
            scores[name],
            np.array([clip.label == "anomaly" for clip in clips]),
            np.array([clip.domain == "target" for clip in clips]),
        )
        for name, clips in chosen.items()
    )


def _print(
    hops: list[int],
    scores: list[dict[str, NDArray[np.float64]]],
    timed: dict[int, tuple[float, int]],
    chosen: dict[str, list[Clip]],
    run: Run,
) -> None:
    n_clips = sum(map(len, chosen.values()))
    table = Table(title=f"{run.path.name}, width {run.record.config.resnet.width}, {n_clips} clips")
    for heading in ("hop", "windows", "s per clip", "rank agreement, worst machine", "official"):
        table.add_column(heading, justify="right")
    for hop, own in zip(hops, scores, strict=True):
        agreement = min(float(spearmanr(own[name], scores[0][name]).statistic) for name in chosen)
        table.add_row(
            str(hop), str(timed[hop][1]), f"{timed[hop][0]:.3f}", f"{agreement:.4f}",
            f"{_official(own, chosen):.4f}",
        )  # fmt: skip
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
