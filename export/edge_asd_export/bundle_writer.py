"""Write a bundle: graphs, banks, calibration, golden windows, manifest. Whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from edge_asd import golden
from edge_asd.audio import read_audio
from edge_asd.bank import write_banks
from edge_asd.bundle import Bundle, file_entry, open_extractors
from edge_asd.extractor import Extractor, fit_length
from edge_asd.manifest import (
    MANIFEST_NAME,
    BankSpec,
    BranchSpec,
    Domain,
    FileEntry,
    GoldenSpec,
    MachineSpec,
    Manifest,
)
from edge_asd.system import System, system_named
from edge_asd_export.atomic_folder import atomic_folder
from edge_asd_export.calibration import (
    ByDomain,
    Calibration,
    Evidences,
    LabelledClips,
    calibrate,
)
from edge_asd_export.clips import Clip
from edge_asd_export.graph_check import GraphReport, Tolerance
from edge_asd_export.networks import TrainedNetwork, load_networks
from edge_asd_export.recipes import recipe_named
from edge_asd_export.references import embed_clips, make_banks, split_domains
from edge_asd_export.run import Run
from edge_asd_export.scoring import Scoring, scorings_of
from edge_asd_export.ship import CheckData, Quantize, ShippedGraphs, ship_extractor
from edge_asd_export.tasks import network_name

__all__ = [
    "DEFAULT_WEIGHT_RULES",
    "DevLabels",
    "ExportOptions",
    "Narrator",
    "WrittenBundle",
    "write_bundle",
]

# The near microphone stands at the machine; of models nothing is known beforehand.
DEFAULT_WEIGHT_RULES: Mapping[str, str] = {"channels": "mostly-first", "models": "equal"}
GOLDEN_FILE = "golden.npz"
Clips = Mapping[str, tuple[Clip, ...]]  # by machine


@dataclass(frozen=True, slots=True)
class DevLabels:
    """Labelled development clips that may choose the fusion weights."""

    clips: Clips
    source: str  # in words, for the bundle


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What an export can be told."""

    system: str | None = None  # None: the first that the run was trained for
    quantize: Quantize = "int8"
    target: str = "x86-64"
    scorers: Mapping[str, str] = field(default_factory=dict)  # see scoring.scorings_of
    window_hop_frames: int | None = None  # of extractors that see segments; None: as trained
    false_alarm_rate: float = 0.01  # per window
    hop_s: float | None = None  # None: a quarter of the shortest window
    weight_rules: Mapping[str, str] = field(default_factory=lambda: DEFAULT_WEIGHT_RULES)
    tolerance: Tolerance = field(default_factory=Tolerance)


@dataclass(frozen=True, slots=True)
class WrittenBundle:
    """Where the bundle is and what was measured on the way."""

    path: Path
    manifest: Manifest
    reports: dict[str, GraphReport | None]  # by extractor


@dataclass(frozen=True, slots=True)
class Narrator:
    """Whom to tell what is going on."""

    say: Callable[[str], None]
    on_clip: Callable[[int, int], None]  # clips embedded, clips in all


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
    scorings = scorings_of(system, options.scorers)
    with atomic_folder(out, MANIFEST_NAME) as staging:
        networks = load_networks(run, system, tuple(clips))
        graphs = _ship(run, system, networks, clips, scorings, staging, options, narrator)
        extractors = open_extractors(
            staging, {name: shipped.spec for name, shipped in graphs.items()}
        )
        narrator.say("embedding training clips")
        embeddings = _embed(system, clips, extractors, narrator)
        labelled = _label(system, dev_labels, extractors, narrator) if dev_labels else None
        narrator.say("writing banks")
        known = Evidences(
            embeddings,
            {
                machine: {
                    branch.name: make_banks(
                        embeddings[machine][branch.name],
                        scorings[branch.name],
                        networks[network_name(branch.extractor, machine)].centres(
                            machine, branch.view
                        ),
                    )
                    for branch in system.branches
                }
                for machine in clips
            },
            scorings,
            {b.name: recipe_named(b.extractor).per_machine for b in system.branches},
        )
        bank_specs = _write_banks(staging, known)
        narrator.say("calibrating")
        calibration = calibrate(
            system,
            known,
            weight_rules=options.weight_rules,
            false_alarm_rate=options.false_alarm_rate,
            labelled=labelled,
        )
        (staging / GOLDEN_FILE).touch()  # listed now, recorded with the manifest's own detector
        manifest = _manifest(
            run, system, graphs, bank_specs, calibration, scorings, options, out, staging
        )
        narrator.say("recording golden windows")
        _write_golden(Bundle(staging, manifest), clips, extractors)
        manifest = manifest.model_copy(update={"files": _file_entries(staging)})
        (staging / MANIFEST_NAME).write_text(
            manifest.model_dump_json(indent=1) + "\n", encoding="utf-8"
        )
    return WrittenBundle(out, manifest, {name: g.report for name, g in graphs.items()})


def _ship(
    run: Run,
    system: System,
    networks: Mapping[str, TrainedNetwork],
    clips: Clips,
    scorings: Mapping[str, Scoring],
    staging: Path,
    options: ExportOptions,
    narrator: Narrator,
) -> dict[str, ShippedGraphs]:
    graphs = {}
    for name, network in networks.items():
        extractor, _, machine = name.partition("/")
        of = recipe_named(extractor)
        trained = network.learner.shipped()
        if trained.segments is not None and options.window_hop_frames is not None:
            trained.segments = replace(trained.segments, hop_frames=options.window_hop_frames)
        own = [clips[machine]] if machine else clips.values()
        graphs[name] = ship_extractor(
            trained,
            name,
            of.variant(run.record.config) if of.variant else extractor,
            staging,
            CheckData(
                [clip for group in own for clip in group],
                {b.view: scorings[b.name] for b in system.branches if b.extractor == extractor},
                network.centres,
            ),
            quantize=options.quantize,
            target=options.target,
            tolerance=options.tolerance,
            say=narrator.say,
        )
    return graphs


def _extractors_of(
    machine: str, system: System, extractors: Mapping[str, Extractor]
) -> dict[str, Extractor]:
    return {name: extractors[network_name(name, machine)] for name in system.extractors}


def _embed(
    system: System, clips: Clips, extractors: Mapping[str, Extractor], narrator: Narrator
) -> dict[str, dict[str, ByDomain]]:
    """Embeddings by machine, branch and domain."""
    counter = _Counter(narrator, sum(map(len, clips.values())))
    return {
        machine: {
            branch: split_domains(own, rows)
            for branch, rows in embed_clips(
                own, system.branches, _extractors_of(machine, system, extractors), counter.tick
            ).items()
        }
        for machine, own in clips.items()
    }


def _label(
    system: System, dev_labels: DevLabels, extractors: Mapping[str, Extractor], narrator: Narrator
) -> LabelledClips:
    narrator.say("embedding labelled development clips")
    counter = _Counter(narrator, sum(map(len, dev_labels.clips.values())))
    embeddings = {
        machine: embed_clips(
            own, system.branches, _extractors_of(machine, system, extractors), counter.tick
        )
        for machine, own in dev_labels.clips.items()
    }
    return LabelledClips(dev_labels.clips, embeddings, dev_labels.source)


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


class _Counter:
    def __init__(self, narrator: Narrator, total: int) -> None:
        self._narrator, self._total, self._done = narrator, total, 0

    def tick(self) -> None:
        self._done += 1
        self._narrator.on_clip(self._done, self._total)


def _manifest(
    run: Run,
    system: System,
    graphs: Mapping[str, ShippedGraphs],
    bank_specs: Mapping[str, dict[str, dict[Domain, BankSpec]]],
    calibration: Mapping[str, Calibration],
    scorings: Mapping[str, Scoring],
    options: ExportOptions,
    out: Path,
    staging: Path,
) -> Manifest:
    record = run.record
    windows = record.machines
    return Manifest(
        name=out.name,
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
                extractor=branch.extractor, view=branch.view, scorer=scorings[branch.name].spec
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
