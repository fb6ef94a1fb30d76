"""The figures of a comparison, unrounded: as CSV rows and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path

from edge_asd_export.evaluation.compare import FIGURES, Average, Difference, SystemRow
from edge_asd_export.evaluation.report.content import ComparisonReport, bundles_json
from edge_asd_export.table import CsvRow, write_csv

__all__ = ["comparison_json", "write_comparison_csv"]


def write_comparison_csv(report: ComparisonReport, folder: Path) -> None:
    """Write one file per table; shares are fractions, published figures in percent."""
    write_csv(folder / "table2.csv", list(_official_records(report)))
    write_csv(folder / "table3.csv", list(_machine_records(report)))
    write_csv(folder / "ablations.csv", list(_ablation_records(report)))
    write_csv(folder / "differences.csv", list(_difference_records(report)))


def comparison_json(report: ComparisonReport) -> dict[str, object]:
    """Everything of the report that is a figure or a fact, ready for ``json.dumps``."""
    return {
        "created_utc": report.created_utc,
        "data": [str(folder) for folder in report.data],
        "versions": report.versions,
        "machines": {
            machine.machine: {"n_clips": machine.n_clips, "composition": dict(machine.composition)}
            for machine in report.comparison.machines
        },
        "bundles": {
            bundle.name: bundles_json(report.bundles)[bundle.name]
            | {
                "fusion": {
                    machine: spec.fusion.model_dump(mode="json")
                    for machine, spec in bundle.manifest.machines.items()
                },
            }
            for bundle in report.bundles
        },
        "systems": list(_official_records(report)),
        "systems_by_machine": list(_machine_records(report)),
        "ablations": list(_ablation_records(report)),
        "differences": list(_difference_records(report)),
        "published": {
            "shown": bool(report.beside.systems),
            "note": report.beside.note,
            "systems": [
                system.model_dump() | {"recomputed": system.recomputed}
                for system in report.beside.systems
            ],
        },
        "notes": list(report.notes),
    }


def _official_records(report: ComparisonReport) -> Iterator[CsvRow]:
    for row in report.rows:
        lag = None if isinstance(row, Average) else Difference.of(row, report.comparison.best)
        yield {
            **_identity(row),
            "n_bundles": row.n_bundles,
            "official": row.official.score,
            "official_std": row.official.std,
            "std_over": _std_over(row),
            "minus_best": lag.value if lag else None,
            "minus_best_std": lag.std if lag else None,
            **_published_totals(report, row.kind.system),
        }


def _machine_records(report: ComparisonReport) -> Iterator[CsvRow]:
    for machine in (machine.machine for machine in report.comparison.machines):
        for row in report.rows:
            spreads = row.machine(machine)
            yield {
                "machine": machine,
                **_identity(row),
                **{name: spread.score for name, spread in spreads.items()},
                **{f"{name}_std": spread.std for name, spread in spreads.items()},
                "std_over": _std_over(row),
                **_published_row(report, row.kind.system, machine),
            }


def _ablation_records(report: ComparisonReport) -> Iterator[CsvRow]:
    """The official score on a row whose machine is ``all``, then each machine's."""
    for row in report.comparison.ablations:
        identity: CsvRow = {
            "bundle": row.bundle,
            "system": row.ablation.system,
            "models": row.ablation.models,
            "microphones": row.ablation.microphones,
        }
        for machine, figures in {"all": None, **row.figures}.items():
            yield identity | {
                "machine": machine,
                **{
                    name: getattr(figures.metrics, name) if figures else None
                    for name in FIGURES[:-1]
                },
                "score": figures.metrics.hmean if figures else row.official.score,
                "score_std": figures.hmean_std if figures else row.official.std,
            }


def _difference_records(report: ComparisonReport) -> Iterator[CsvRow]:
    for row, other in combinations(report.comparison.rows, 2):
        difference = Difference.of(row, other)
        yield {
            **{f"first_{key}": value for key, value in _identity(row).items()},
            **{f"second_{key}": value for key, value in _identity(other).items()},
            "first_minus_second": difference.value,
            "std": difference.std,
        }


def _identity(row: SystemRow | Average) -> CsvRow:
    return {
        "system": row.kind.system,
        "networks": ", ".join(row.kind.networks),
        "precision": row.kind.precision,
        "bundle": row.bundle,
    }


def _std_over(row: SystemRow | Average) -> str:
    """What a standard deviation is over."""
    return "bundles" if isinstance(row, Average) else "clips, bootstrap"


def _published_totals(report: ComparisonReport, system: str) -> CsvRow:
    """Totals of every publication; the note goes with each row, so that none travels alone."""
    if not report.beside.systems:
        return {}
    stated, recomputed = report.published_totals(system)
    return {
        "published_stated_percent": _joined(stated),
        "published_from_its_rows_percent": _joined(recomputed),
        "published_note": report.beside.note,
    }


def _published_row(report: ComparisonReport, system: str, machine: str) -> CsvRow:
    if not report.beside.systems:
        return {}
    rows = [one.machines[machine] for one in report.beside.named(system) if machine in one.machines]
    values: tuple[float | None, ...] = rows[0] if rows else (None,) * 3
    return {
        **{
            f"published_{name}_percent": value
            for name, value in zip(FIGURES[:-1], values, strict=True)
        },
        "published_note": report.beside.note,
    }


def _joined(values: Iterable[float]) -> str | None:
    return " ".join(f"{value:.2f}" for value in values) or None
