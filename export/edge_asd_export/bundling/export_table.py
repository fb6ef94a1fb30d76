"""What an export made, as tables on stdout."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from edge_asd.bundle.manifest import FusionSpec
from edge_asd_export.bundling.bundle_writer import WrittenBundle

__all__ = ["print_export"]


def print_export(written: WrittenBundle) -> None:
    """Print graphs, machines and the place of a bundle."""
    console = Console()
    console.print(_graphs(written))
    for name, report in written.reports.items():
        if report and report.refused_because:
            console.print(f"{name}: kept fp32, because {report.refused_because}")
    console.print(_machines(written))
    example = next(iter(written.manifest.machines.values()))
    rate = example.threshold.false_alarm_rate
    shared = {_weights(machine.fusion) for machine in written.manifest.machines.values()}
    if len(shared) == 1:
        console.print(f"weights: {shared.pop()}")
    console.print(f"chosen by: {'; '.join(dict.fromkeys(_methods(example.fusion)))}")
    console.print(f"thresholds: {rate:.2%} of normal windows above, {example.threshold.method}")
    total = sum(entry.bytes for entry in written.manifest.files.values())
    console.print(f"bundle {written.path} ({total / 1e6:.1f} MB)")


def _graphs(written: WrittenBundle) -> Table:
    table = Table(title=f"encoders for {written.manifest.target}, int8 against fp32")
    for column in ("encoder", "ships", "MB", "size", "float left", "cosine", "scores", "speed"):
        table.add_column(column, justify="left" if column in {"encoder", "ships"} else "right")
    for name, extractor in written.manifest.extractors.items():
        report = written.reports[name]
        if report is None:
            table.add_row(name, extractor.encoder.precision, *["-"] * 6)
            continue
        table.add_row(
            name,
            report.precision,
            f"{report.bytes / 1e6:.1f}",
            f"x{report.size_ratio:.2f}",
            f"{report.float_share:.0%}",
            f"{report.cosine_mean:.4f}",
            f"{report.score_correlation:.4f}",
            "other CPU" if report.speed_ratio is None else f"x{report.speed_ratio:.2f}",
        )
    return table


def _machines(written: WrittenBundle) -> Table:
    machines = written.manifest.machines
    weights = {name: _weights(machine.fusion) for name, machine in machines.items()}
    differ = len(set(weights.values())) > 1
    table = Table(title="machines")
    for column in ("machine", "window", "references", "threshold", "clears at"):
        table.add_column(column)
    if differ:
        table.add_column("weights")
    rate_hz = written.manifest.sample_rate_hz
    for name, machine in machines.items():
        first_branch = next(iter(machine.banks.values()), {})
        table.add_row(
            name,
            f"{machine.window_samples / rate_hz:g} s",
            " + ".join(f"{bank.n} {domain}" for domain, bank in first_branch.items()) or "none",
            f"{machine.threshold.threshold:.3f}",
            f"{machine.threshold.clear_threshold:.3f}",
            *([weights[name]] if differ else []),
        )
    return table


def _weights(fusion: FusionSpec) -> str:
    return ", ".join(
        f"{term.weight:.2f} {term.of if isinstance(term.of, str) else f'({_weights(term.of)})'}"
        for term in fusion.terms
    )


def _methods(fusion: FusionSpec) -> Iterator[str]:
    """How the weights of a sum and of those nested in it were chosen; outer ones first."""
    yield fusion.method
    for term in fusion.terms:
        if isinstance(term.of, FusionSpec):
            yield from _methods(term.of)
