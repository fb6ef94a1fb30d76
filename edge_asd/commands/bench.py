"""``edge-asd bench``: can this computer keep up with this bundle?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_asd.commands import options
from edge_asd.errors import OutputError, UsageError

if TYPE_CHECKING:
    from edge_asd.scoring.bench import Report

__all__ = ["bench"]


def bench(
    bundle: options.Bundle = options.LATEST_BUNDLE,
    machine: options.Machine = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="How long to score; ten windows at least.")
    ] = 10.0,
    threads: options.Threads = 1,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Also write everything measured to this file.")
    ] = None,
) -> None:
    """Time a bundle on this computer, stage by stage.

    Scores windows of noise one after the other, as fast as it goes, and reports how long the
    views (near, far, clean), each front-end and encoder, the scorer and the fusion take, how much
    memory each extractor needs, and the shortest hop that this computer can keep up with. On a
    small board, run it once cold and once after ten minutes of load: hot processors are slower.

    Examples

        edge-asd bench

        edge-asd bench --bundle bundles/pumps --machine pump --threads 2 --json bench.json
    """
    import time

    from rich.console import Console
    from rich.progress import Progress

    from edge_asd.bundle.proof import open_proven
    from edge_asd.scoring import bench as core

    if json_path is not None and not json_path.parent.is_dir():
        raise UsageError(f"cannot write {json_path}: there is no folder {json_path.parent}")
    started = time.perf_counter()
    opened = open_proven(bundle)
    name = opened.resolve_machine(machine)
    extractors, memory = core.load_extractors(opened, name, threads=threads)
    detector = opened.detector(name, extractors=extractors)
    load_s = time.perf_counter() - started

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"scoring windows of {detector.machine}", total=1.0)
        durations = core.measure(
            detector,
            core.noise_windows(detector.window_samples),
            seconds=seconds,
            clock=time.perf_counter,
            on_progress=lambda fraction: progress.update(task, completed=fraction),
        )
    report = core.Report(
        bundle=opened.manifest.name,
        machine=detector.machine,
        threads=threads,
        window_s=detector.window_samples / detector.sample_rate_hz,
        hop_s=detector.hop_s,
        stages=core.stage_times(durations),
        load_s=load_s,
        memory=memory,
        peak_rss_bytes=core.peak_rss_bytes(),
        bundle_bytes=sum(entry.bytes for entry in opened.manifest.files.values()),
        environment=core.read_environment(),
    )
    _print(report)
    if json_path is not None:
        try:
            json_path.write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write {json_path}: {error.strerror}") from error


def _print(report: Report) -> None:
    from edge_asd.commands import tables

    console = tables.plain_console()
    times = ("p50 ms", "p95 ms", "max ms")
    title = f"{report.bundle}, machine {report.machine}"
    stages = tables.table("stage", *times, right=times, title=title)
    for stage in report.stages:
        values_ms = (stage.p50_ms, stage.p95_ms, stage.max_ms)
        stages.add_row(stage.stage, *(f"{value_ms:.2f}" for value_ms in values_ms))
    sizes = ("loaded MiB", "first use MiB")
    memory = tables.table("memory", *sizes, right=sizes)
    for step in report.memory:
        memory.add_row(step.part, _mebibytes(step.loaded_bytes), _mebibytes(step.used_bytes))
    computer = report.environment
    keeps_up = "it keeps up" if report.real_time_factor < 1 else "it cannot keep up"
    facts = {
        "windows": f"{report.stages[-1].n} of {report.window_s:g} s",
        "real-time factor": f"{report.real_time_factor:.4f} at the bundle's hop of "
        f"{report.hop_s:g} s: {keeps_up}",
        "shortest hop": f"{report.shortest_hop_s:.2f} s",
        "load time": f"{report.load_s:.2f} s",
        "peak memory": f"{_mebibytes(report.peak_rss_bytes)} MiB",
        "bundle": f"{report.bundle_bytes / 2**20:.1f} MiB",
        "computer": computer.board or computer.cpu or computer.architecture,
        "processors": f"{computer.n_cpus} ({', '.join(computer.cpu_flags)})",
        "governor": computer.governor or "unknown",
        "onnxruntime": f"{computer.onnxruntime}, threads: {report.threads}",
    }
    console.print(stages, memory, tables.grid(facts.items()), sep="\n")


def _mebibytes(n_bytes: float) -> str:
    return f"{n_bytes / 2**20:.0f}"
