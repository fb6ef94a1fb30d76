"""Write a bundle: graphs, banks, calibration, golden windows, manifest. Whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_asd.alarm.promise import out_of_reach
from edge_asd.bundle.bundle import Bundle, open_extractors
from edge_asd.bundle.manifest import (
    MANIFEST_NAME,
    BranchSpec,
    FileEntry,
    GoldenSpec,
    MachineSpec,
    Manifest,
)
from edge_asd.bundle.manifest_file import write_manifest
from edge_asd.bundle.system import system_named
from edge_asd.explain.normal_spectra import write_spectra
from edge_asd.scoring.bank_files import write_banks
from edge_asd.scoring.deciding_take import DecidingTake
from edge_asd.scoring.extractor import Extractor
from edge_asd.scoring.kinds import ReferenceSpec
from edge_asd_export.atomic_folder import atomic_folder
from edge_asd_export.bundling.calibrators import Calibrator, open_calibrators
from edge_asd_export.bundling.embedded_clips import (
    ClipReader,
    EmbeddedClips,
    embed_machine,
    score_labelled_clips,
)
from edge_asd_export.bundling.encoder_choice import ExportedGraphs, export_network
from edge_asd_export.bundling.export_job import Clips, ExportJob, ExportOptions, ExportProgress
from edge_asd_export.bundling.golden_windows import (
    GOLDEN_FILE,
    golden_clips,
    write_golden,
)
from edge_asd_export.bundling.graph_check import GraphReport
from edge_asd_export.bundling.trained_networks import load_networks
from edge_asd_export.calibration.calibration import (
    AlarmGoal,
    Calibration,
    LabelledClips,
    calibrate,
    require_labels,
)
from edge_asd_export.calibration.scoring import clips_by_domain, scorings_of
from edge_asd_export.data.clips import Clip
from edge_asd_export.training.run import Run

__all__ = ["WrittenBundle", "write_bundle"]


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
    progress: ExportProgress,
    labelled: LabelledClips | None = None,
    takes: Mapping[Clip, str] | None = None,
) -> WrittenBundle:
    """Turn a finished run into a bundle at `out`, replacing a bundle that is there.

    Banks, calibration and golden windows come from the device's own extractor on the
    exported graphs. Each clip is decoded once. Machine by machine, so that the audio of one is
    gone before that of the next is read where each has a network of its own.

    Parameters
    ----------
    clips : training clips of every machine
    labelled : development clips whose labels choose the fusion weights; None: no labels do
    takes : of the training clips; None: those that the run knows. A clip that is absent is one
        of its own

    Raises
    ------
    DataError
        When the run is unfinished, a clip cannot be used, labels of a machine are missing,
        or the disk is full; then nothing is left behind.
    """
    system = system_named(options.system or run.record.config.systems[0])
    scorings = scorings_of(system, options.scorers)
    known = [clip for own in clips.values() for clip in own]
    takes = run.takes(known) if takes is None else takes
    job = ExportJob(run, system, scorings, clips, options, progress, takes, run.folds(known))
    if labelled:
        require_labels(labelled, clips)
    with atomic_folder(out, MANIFEST_NAME) as staging, TemporaryDirectory() as graphs_folder:
        networks = load_networks(job)
        pairs = golden_clips(clips)
        read = ClipReader([clip for own in pairs.values() for pair in own for clip in pair])
        graphs: dict[str, ExportedGraphs] = {}
        extractors: dict[str, Extractor] = {}
        calibrators: dict[str, dict[int, Calibrator]] = {}
        embedded: dict[str, EmbeddedClips] = {}
        on_clip = progress.clip_counter(clips)
        for machine in clips:
            for name in job.networks(machine).values():
                if name not in graphs:
                    graphs[name] = export_network(job, name, networks[name], staging, read)
                    extractors |= open_extractors(staging, {name: graphs[name].spec})
                    calibrators[name] = open_calibrators(job, name, Path(graphs_folder))
            progress.say(f"{machine}: embedding training clips")
            embedded[machine] = embed_machine(
                job, machine, networks, extractors, calibrators, read, on_clip
            )
        labelled_scores = (
            score_labelled_clips(job, labelled.clips, extractors, embedded) if labelled else {}
        )
        progress.say("calibrating")
        left_out = all(scoring.references == "clips" for scoring in job.scorings.values())
        calibration = calibrate(
            system,
            {machine: own.normal for machine, own in embedded.items()},
            weight_rules=options.weight_rules,
            false_alarm_rate=options.false_alarm_rate,
            goal=AlarmGoal(
                {
                    machine: n / run.record.sample_rate_hz
                    for machine, n in run.record.machines.items()
                },
                _hop_s(job),
                options.false_alarms_per_month,
            ),
            kind="held-out" if left_out else "the network's own training clips'",
            unheard={machine: own.unheard for machine, own in embedded.items()},
            takes={machine: own.takes for machine, own in embedded.items()},
            labelled=labelled,
            labelled_scores=labelled_scores,
        )
        for machine, numbers in calibration.items():
            if numbers.deciding:
                progress.say(f"warning: {machine}: {_deciding(clips[machine], numbers.deciding)}")
        progress.say("writing banks and normal spectra")
        machines = {
            machine: _write_machine(job, machine, own, calibration[machine], staging)
            for machine, own in embedded.items()
        }
        (staging / GOLDEN_FILE).touch()  # listed now, recorded with the manifest's own detector
        manifest = _manifest(job, graphs, machines, out.name, staging)
        progress.say("recording golden windows")
        bundle = Bundle(staging, manifest)
        write_golden(bundle, pairs, extractors, read)
        for machine in machines:
            detector = bundle.detector(machine, extractors=extractors)
            if said := out_of_reach(detector.spec.threshold.threshold, detector.strange_score()):
                progress.say(f"warning: {machine}: {said}")
        manifest = manifest.model_copy(update={"files": _file_entries(staging)})
        write_manifest(staging, manifest)
    return WrittenBundle(out, manifest, {name: own.report for name, own in graphs.items()})


def _deciding(clips: Sequence[Clip], found: DecidingTake) -> str:
    """Name the training clips of a take that decides a threshold, and say what they do."""
    scored = [clip for own in clips_by_domain(clips).values() for clip in own]
    first, *others = (scored[i] for i in found.windows.tolist())
    more = f" (and {len(others)} clips of its take)" if others else ""
    return f"{first.path}{more} {found.text}"


def _write_machine(
    job: ExportJob, machine: str, own: EmbeddedClips, numbers: Calibration, staging: Path
) -> MachineSpec:
    """Write banks and normal spectra of a machine; branches without references have no bank."""
    banks = {
        branch: write_banks(staging, f"banks/{machine}/{branch}", references, spec)
        for branch, references in own.references.items()
        if isinstance(spec := job.scorings[branch].spec, ReferenceSpec)
    }
    spectra_file = f"spectra/{machine}.npz"
    write_spectra(staging / spectra_file, own.spectra)
    return MachineSpec(
        window_samples=job.run.record.machines[machine],
        banks=banks,
        extractors={
            name: network for name, network in job.networks(machine).items() if network != name
        },
        fusion=numbers.fusion,
        threshold=numbers.threshold,
        promise=numbers.promise,
        spectra_file=spectra_file,
    )


def _manifest(
    job: ExportJob,
    graphs: Mapping[str, ExportedGraphs],
    machines: dict[str, MachineSpec],
    name: str,
    staging: Path,
) -> Manifest:
    record, system, options = job.run.record, job.system, job.options
    specs = {name: own.spec for name, own in graphs.items()}
    return Manifest(
        name=name,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        system=system.name,
        target=options.target,
        tools={
            name: version(name) for name in ("edge-asd", "onnx", "onnxruntime", "torch", "numpy")
        },
        sample_rate_hz=record.sample_rate_hz,
        hop_s=_hop_s(job),
        extractors=specs,
        branches=tuple(
            BranchSpec(
                extractor=branch.extractor, view=branch.view, scorer=job.scorings[branch.name].spec
            )
            for branch in system.branches
        ),
        machines=machines,
        golden=GoldenSpec(file=GOLDEN_FILE),
        files=_file_entries(staging),
        export_report={name: asdict(own.report) for name, own in graphs.items() if own.report},
    )


def _hop_s(job: ExportJob) -> float:
    """The default hop of the device."""
    record = job.run.record
    return job.options.hop_s or min(record.machines.values()) / record.sample_rate_hz / 4


def _file_entries(folder: Path) -> dict[str, FileEntry]:
    return {
        path.relative_to(folder).as_posix(): FileEntry.of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
