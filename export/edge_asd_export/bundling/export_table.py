"""What an export made, as tables on stdout."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from edge_asd.alarm.promise import sentence
from edge_asd.bundle.manifest import FusionSpec, ThresholdSpec
from edge_asd_export.bundling.bundle_writer import WrittenBundle
from edge_asd_export.table import Row, Table, as_rich

__all__ = ["print_export"]


def print_export(written: WrittenBundle) -> None:
    """Print graphs, machines and the place of a bundle."""
    console = Console()
    console.print(as_rich(_graphs(written)))
    for name, report in written.reports.items():
        if report and report.refused_because:
            console.print(f"{name}: kept fp32, because {report.refused_because}")
    console.print(as_rich(_machines(written)))
    example = next(iter(written.manifest.machines.values()))
    shared = {_weights(machine.fusion) for machine in written.manifest.machines.values()}
    if len(shared) == 1:
        console.print(f"weights: {shared.pop()}")
    console.print(f"chosen by: {'; '.join(dict.fromkeys(_methods(example.fusion)))}")
    console.print(f"thresholds: {_how_found(example.threshold)}")
    for name, machine in written.manifest.machines.items():
        if machine.promise:
            said = sentence(machine.threshold, machine.promise)
            console.print(f"{name}: {said}", soft_wrap=True)
        if len({level for _, level in machine.threshold.levels}) == 1:
            console.print(
                f"warning: {name}: its clips score the same, and any other sound raises an alarm: "
                "is a channel silent, or are they copies? Listen to them, and record others",
                soft_wrap=True,
            )
    total = sum(entry.bytes for entry in written.manifest.files.values())
    console.print(f"bundle {written.path} ({total / 1e6:.1f} MB)")


def _graphs(written: WrittenBundle) -> Table:
    rows = []
    for name, extractor in written.manifest.extractors.items():
        report = written.reports[name]
        figures = dict.fromkeys(("MB", "size", "float left", "cosine", "scores", "speed"), "-")
        if report is not None:
            speed = "other CPU" if report.speed_ratio is None else f"x{report.speed_ratio:.2f}"
            figures = {
                "MB": f"{report.bytes / 1e6:.1f}",
                "size": f"x{report.size_ratio:.2f}",
                "float left": f"{report.float_share:.0%}",
                "cosine": f"{report.cosine_mean:.4f}",
                "scores": f"{report.score_correlation:.4f}",
                "speed": speed,
            }
        names = {"encoder": name, "precision": extractor.encoder.precision}
        rows.append(Row(names | figures))
    title = f"encoders for {written.manifest.target}, int8 against fp32"
    return Table("encoders", title, (rows,), ("encoder", "precision"))


def _machines(written: WrittenBundle) -> Table:
    machines = written.manifest.machines
    differ = len({_weights(machine.fusion) for machine in machines.values()}) > 1
    rows = []
    for name, machine in machines.items():
        banks = next(iter(machine.banks.values()), {})
        cells = {
            "machine": name,
            "window": f"{machine.window_samples / written.manifest.sample_rate_hz:g} s",
            "references": " + ".join(f"{bank.n} {of}" for of, bank in banks.items()) or "none",
            "threshold": f"{machine.threshold.threshold:.3f}",
            "clears at": f"{machine.threshold.clear_threshold:.3f}",
            "normal above": f"{machine.threshold.false_alarm_rate:.2%}",
        }
        rows.append(Row(cells | ({"weights": _weights(machine.fusion)} if differ else {})))
    return Table("machines", "machines", (rows,), ("machine", "references", "weights"))


def _how_found(threshold: ThresholdSpec) -> str:
    """How a threshold came about, in words; the manifest has the statistics."""
    if threshold.heard:
        return "from training clips that the networks know, and so probably too low"
    return "from training clips, each scored as if it were new"


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
