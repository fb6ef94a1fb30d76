"""The figures of a comparison, unrounded: as CSV rows and as JSON."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

from edge_asd_export.evaluation.compare import Average, Difference, SystemRow
from edge_asd_export.evaluation.report.comparison.content import ComparisonReport

__all__ = ["as_json", "write_csv_files"]

Cell = str | int | float | bool | None
Row = dict[str, Cell]

_OVER_CLIPS, _OVER_BUNDLES = "clips, bootstrap", "bundles"  # what a standard deviation is over
_FIGURES = ("auc_source", "auc_target", "pauc", "hmean")


def write_csv_files(report: ComparisonReport, folder: Path) -> None:
    """Write one file per table; shares are fractions, published figures in percent."""
    for name, rows in (
        ("table2.csv", _official_rows(report)),
        ("table3.csv", _machine_rows(report)),
        ("ablations.csv", _ablation_rows(report)),
        ("differences.csv", _difference_rows(report)),
    ):
        _write(folder / name, list(rows))


def as_json(report: ComparisonReport) -> dict[str, object]:
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
            bundle.name: {
                "path": str(bundle.path),
                **bundle.manifest.model_dump(
                    mode="json", include={"name", "system", "target", "created_utc", "tools"}
                ),
                "fusion": {
                    machine: spec.fusion.model_dump(mode="json")
                    for machine, spec in bundle.manifest.machines.items()
                },
            }
            for bundle in report.bundles
        },
        "systems": list(_official_rows(report)),
        "systems_by_machine": list(_machine_rows(report)),
        "ablations": list(_ablation_rows(report)),
        "differences": list(_difference_rows(report)),
        "published": {
            "shown": bool(report.beside.systems),
            "note": report.beside.note,
            "systems": [
                {
                    **asdict(system),
                    "machines": {name: list(row) for name, row in system.machines.items()},
                    "recomputed": system.recomputed,
                }
                for system in report.beside.systems
            ],
        },
        "notes": list(report.notes),
    }


def _official_rows(report: ComparisonReport) -> Iterator[Row]:
    best = report.comparison.best
    for row in report.comparison.rows:
        lag = Difference.of(row, best)
        yield {
            **_identity(row),
            "n_bundles": 1,
            "official": row.official.score,
            "official_std": row.official.std,
            "std_over": _OVER_CLIPS,
            "minus_best": lag.value,
            "minus_best_std": lag.std,
            **_published_totals(report, row.system),
        }
    for average in report.averages:
        yield {
            **_identity_of_mean(average),
            "n_bundles": len(average.rows),
            "official": average.official.mean,
            "official_std": average.official.std,
            "std_over": _OVER_BUNDLES,
            "minus_best": None,
            "minus_best_std": None,
            **_published_totals(report, average.rows[0].system),
        }


def _machine_rows(report: ComparisonReport) -> Iterator[Row]:
    for machine in (machine.machine for machine in report.comparison.machines):
        for row in report.comparison.rows:
            figures = row.figures[machine]
            yield {
                "machine": machine,
                **_identity(row),
                **{name: getattr(figures.metrics, name) for name in _FIGURES},
                **{f"{name}_std": None for name in _FIGURES[:-1]},
                "hmean_std": figures.hmean_std,
                "std_over": _OVER_CLIPS,
                **_published_row(report, row.system, machine),
            }
        for average in report.averages:
            spreads = average.machine(machine)
            yield {
                "machine": machine,
                **_identity_of_mean(average),
                **{name: spreads[name].mean for name in _FIGURES},
                **{f"{name}_std": spreads[name].std for name in _FIGURES},
                "std_over": _OVER_BUNDLES,
                **_published_row(report, average.rows[0].system, machine),
            }


def _ablation_rows(report: ComparisonReport) -> Iterator[Row]:
    """The official score on a row whose machine is ``all``, then each machine's."""
    for row in report.comparison.ablations:
        identity: Row = {
            "bundle": row.bundle,
            "system": row.ablation.system,
            "models": row.ablation.models,
            "microphones": row.ablation.microphones,
        }
        yield identity | {
            "machine": "all",
            **dict.fromkeys(_FIGURES[:-1]),
            "score": row.official.score,
            "score_std": row.official.std,
        }
        for machine, figures in row.figures.items():
            yield identity | {
                "machine": machine,
                **{name: getattr(figures.metrics, name) for name in _FIGURES[:-1]},
                "score": figures.metrics.hmean,
                "score_std": figures.hmean_std,
            }


def _difference_rows(report: ComparisonReport) -> Iterator[Row]:
    for row, other in combinations(report.comparison.rows, 2):
        difference = Difference.of(row, other)
        yield {
            **{f"first_{key}": value for key, value in _identity(row).items()},
            **{f"second_{key}": value for key, value in _identity(other).items()},
            "first_minus_second": difference.value,
            "std": difference.std,
        }


def _identity(row: SystemRow) -> Row:
    return {
        "system": row.system,
        "networks": ", ".join(row.networks),
        "precision": row.precision,
        "bundle": row.bundle,
    }


def _identity_of_mean(average: Average) -> Row:
    bundles = ", ".join(row.bundle for row in average.rows)
    return _identity(average.rows[0]) | {"bundle": f"mean of {bundles}"}


def _published_totals(report: ComparisonReport, system: str) -> Row:
    """Totals of every publication; the note goes with each row, so that none travels alone."""
    if not report.beside.systems:
        return {}
    names = [machine.machine for machine in report.comparison.machines]
    published = report.beside.named(system)
    stated = [one.official for one in published] if report.beside.all_machines else []
    recomputed = [one.recomputed_over(names) for one in published]
    return {
        "published_stated_percent": _joined(stated),
        "published_from_its_rows_percent": _joined(recomputed),
        "published_note": report.beside.note,
    }


def _published_row(report: ComparisonReport, system: str, machine: str) -> Row:
    if not report.beside.systems:
        return {}
    rows = [one.machines[machine] for one in report.beside.named(system) if machine in one.machines]
    values: tuple[float | None, ...] = rows[0] if rows else (None, None, None)
    return {
        **{
            f"published_{name}_percent": value
            for name, value in zip(_FIGURES[:-1], values, strict=True)
        },
        "published_note": report.beside.note,
    }


def _joined(values: list[float] | list[float | None]) -> str | None:
    return " ".join(f"{value:.2f}" for value in values if value is not None) or None


def _write(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        if rows:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
