"""Write a bundle: graphs, banks, calibration, golden windows, manifest. Whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from edge_asd.audio.decode import read_audio
from edge_asd.bundle import golden
from edge_asd.bundle.bundle import Bundle, file_entry, open_extractors
from edge_asd.bundle.manifest import (
    MANIFEST_NAME,
    BankSpec,
    BranchSpec,
    Domain,
    FileEntry,
    GoldenSpec,
    MachineSpec,
    Manifest,
)
from edge_asd.bundle.system import system_named
from edge_asd.scoring.bank import write_banks
from edge_asd.scoring.extractor import Extractor, fit_length
from edge_asd_export.bundling.atomic_folder import atomic_folder
from edge_asd_export.bundling.embedded_clips import embed_labelled, gather_evidence
from edge_asd_export.bundling.export_job import Clips, DevLabels, ExportJob, ExportOptions, Narrator
from edge_asd_export.bundling.graph_check import GraphReport
from edge_asd_export.bundling.networks import load_networks, ship_networks
from edge_asd_export.bundling.reference_spectra import write_reference_spectra
from edge_asd_export.bundling.ship import ShippedGraphs
from edge_asd_export.calibration.calibration import Calibration, Evidences, calibrate
from edge_asd_export.calibration.scoring import scorings_of
from edge_asd_export.training.recipes import recipe_named
from edge_asd_export.training.run import Run
from edge_asd_export.training.tasks import network_name

__all__ = ["WrittenBundle", "write_bundle"]

GOLDEN_FILE = "golden.npz"


@dataclass(frozen=True, slots=True)
class WrittenBundle:
    """Where the bundle is and what was measured on the way."""

    path: Path
    manifest: Manifest
    reports: dict[str, GraphReport | None]  # by extractor


def write_bundle(
    run: Run,
    clips: Clips,
    out: Path,
    options: ExportOptions,
    narrator: Narrator,
    dev_labels: DevLabels | None = None,
) -> WrittenBundle:
    """Turn a finished run into a bundle at `out`, replacing a bundle that is there.

    Banks, calibration and golden windows come from the device's own extractor on the
    graphs that ship.

    Parameters
    ----------
    clips : training clips of every machine

    Raises
    ------
    DataError
        When the run is unfinished, a clip cannot be used, or the disk is full; then
        nothing is left behind.
    """
    system = system_named(options.system or run.record.config.systems[0])
    job = ExportJob(run, system, scorings_of(system, options.scorers), clips, options, narrator)
    with atomic_folder(out, MANIFEST_NAME) as staging:
        networks = load_networks(job)
        graphs = ship_networks(job, networks, staging)
        extractors = open_extractors(
            staging, {name: shipped.spec for name, shipped in graphs.items()}
        )
        known = gather_evidence(job, networks, extractors)
        labelled = embed_labelled(job, dev_labels, extractors) if dev_labels else None
        narrator.say("writing banks")
        bank_specs = _write_banks(staging, known)
        narrator.say("measuring normal spectra")
        spectra = write_reference_spectra(staging, clips, known, run.record.sample_rate_hz)
        narrator.say("calibrating")
        calibration = calibrate(
            system,
            known,
            weight_rules=options.weight_rules,
            false_alarm_rate=options.false_alarm_rate,
            labelled=labelled,
        )
        (staging / GOLDEN_FILE).touch()  # listed now, recorded with the manifest's own detector
        manifest = _manifest(job, graphs, bank_specs, spectra, calibration, out.name, staging)
        narrator.say("recording golden windows")
        _write_golden(Bundle(staging, manifest), clips, extractors)
        manifest = manifest.model_copy(update={"files": _file_entries(staging)})
        (staging / MANIFEST_NAME).write_text(
            manifest.model_dump_json(indent=1) + "\n", encoding="utf-8"
        )
    return WrittenBundle(out, manifest, {name: g.report for name, g in graphs.items()})


def _write_banks(staging: Path, known: Evidences) -> dict[str, dict[str, dict[Domain, BankSpec]]]:
    """Banks by machine, branch and domain; branches without references have none."""
    return {
        machine: {
            branch: write_banks(
                staging, f"banks/{machine}/{branch}", banks, known.scorings[branch].spec
            )
            for branch, banks in own.items()
            if banks
        }
        for machine, own in known.banks.items()
    }


def _manifest(
    job: ExportJob,
    graphs: Mapping[str, ShippedGraphs],
    bank_specs: Mapping[str, dict[str, dict[Domain, BankSpec]]],
    spectra: Mapping[str, str],
    calibration: Mapping[str, Calibration],
    name: str,
    staging: Path,
) -> Manifest:
    record, system, options = job.run.record, job.system, job.options
    windows = record.machines
    return Manifest(
        name=name,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        system=system.name,
        target=options.target,  # type: ignore[arg-type]  # checked by the record itself
        tools={
            name: version(name) for name in ("edge-asd", "onnx", "onnxruntime", "torch", "numpy")
        },
        sample_rate_hz=record.sample_rate_hz,
        hop_s=options.hop_s or min(windows.values()) / record.sample_rate_hz / 4,
        extractors={name: shipped.spec for name, shipped in graphs.items()},
        branches=tuple(
            BranchSpec(
                extractor=branch.extractor, view=branch.view, scorer=job.scorings[branch.name].spec
            )
            for branch in system.branches
        ),
        machines={
            machine: MachineSpec(
                window_samples=windows[machine],
                banks=bank_specs[machine],
                extractors={
                    name: network_name(name, machine)
                    for name in system.extractors
                    if recipe_named(name).per_machine
                },
                fusion=numbers.fusion,
                threshold=numbers.threshold,
                spectra_file=spectra[machine],
            )
            for machine, numbers in calibration.items()
        },
        golden=GoldenSpec(file=GOLDEN_FILE, min_cosine=0.999, max_score_difference=0.02),
        files=_file_entries(staging),
        export_report={
            name: shipped.report.to_dict() for name, shipped in graphs.items() if shipped.report
        },
    )


def _write_golden(bundle: Bundle, clips: Clips, extractors: dict[str, Extractor]) -> None:
    """One training clip of each machine and domain, with what the graphs make of it."""
    arrays = {}
    for machine, own in clips.items():
        one_of_each = {clip.domain: clip for clip in own}.values()
        detector = bundle.detector(machine, search="exact", extractors=extractors)
        windows = [
            fit_length(read_audio(clip.path)[0], detector.window_samples) for clip in one_of_each
        ]
        arrays.update(golden.record(detector, windows))
    golden.write(bundle.path / GOLDEN_FILE, arrays)


def _file_entries(folder: Path) -> dict[str, FileEntry]:
    return {
        path.relative_to(folder).as_posix(): file_entry(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
