"""A synthetic data set in the layout and naming of the challenge.

Next to the clips of each machine stand `attributes_00.csv` in the challenge's form,
`faults_00.csv`, which says what is wrong in each anomalous clip, and
`synthetic.json`, the settings.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge_asd.bundle.manifest import Domain
from edge_asd.errors import UsageError
from edge_asd.recordings.clip_name import MOST_CLIPS, SAMPLE_RATE_HZ, ClipName, Label, Split
from edge_asd_export.synth.catalogue import find_machine
from edge_asd_export.synth.machine import Condition, Machine
from edge_asd_export.synth.scene import GAIN_JITTER_DB, Draws, Scene, render
from edge_asd_export.table import CsvRow, write_csv

__all__ = [
    "NOTE_FILE",
    "SEVERITIES",
    "DataSetSettings",
    "FaultLevel",
    "PlannedClip",
    "planned_clips",
    "synthesize",
]

FaultLevel = Literal["subtle", "strong"]

NOTE_FILE = "synthetic.json"  # beside the clips of a machine, which it says are synthetic

SEVERITIES: dict[FaultLevel, tuple[float, float]] = {"subtle": (0.25, 0.45), "strong": (0.85, 1.15)}

_DOMAINS: tuple[Domain, ...] = ("source", "target")


@dataclass(frozen=True, slots=True)
class DataSetSettings:
    """How many clips of what kind; the same settings always give the same bytes."""

    n_train_source: int = 100  # >= 1, normal
    n_train_target: int = 10  # >= 0, normal; 0: there is no target domain
    n_test: int = 20  # >= 0, for each of normal and anomaly in each domain
    clip_s: float = 10.0  # >= 0.5
    seed: int = 0  # >= 0
    gain_jitter_db: float = GAIN_JITTER_DB  # >= 0; 0: microphones that stay as they are
    fault_levels: tuple[FaultLevel, ...] = ("subtle", "strong")  # taken in turn

    def __post_init__(self) -> None:
        limits = {"n_train_source": 1, "n_train_target": 0, "n_test": 0, "clip_s": 0.5}
        limits |= {"seed": 0, "gain_jitter_db": 0}
        for name, least in limits.items():
            if not least <= (value := getattr(self, name)) < math.inf:
                raise UsageError(f"{name} is {value}, expected at least {least}")
        if max(self.n_train_source, self.n_train_target, self.n_test) >= MOST_CLIPS:
            raise UsageError(
                f"at most {MOST_CLIPS - 1} clips of a kind: file names have four digits"
            )

    @property
    def n_clips(self) -> int:
        """Clips per machine."""
        n_domains = 2 if self.n_train_target else 1
        return self.n_train_source + self.n_train_target + 2 * n_domains * self.n_test

    @property
    def n_samples(self) -> int:
        """Samples per clip and channel."""
        return round(self.clip_s * SAMPLE_RATE_HZ)


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """What one clip of a data set will hold."""

    split: Split
    domain: Domain
    label: Label
    index: int
    condition: Condition
    fault: str | None
    level: FaultLevel | None

    @property
    def name(self) -> str:
        """File name in the form of the challenge."""
        text = self.condition.attribute_text
        stem = ClipName("00", self.split, self.domain, self.label, self.index, text).stem
        return f"{stem}.wav"

    def path_below(self, machine: str) -> str:
        """File with its folders, as tables of the data set name it."""
        return f"{machine}/{self.split}/{self.name}"

    def render(self, machine: Machine, settings: DataSetSettings) -> NDArray[np.float32]:
        """Near and far recording, (2, n_samples) float32; a fault is there throughout."""
        return self.scene(machine, settings).recording

    def scene(self, machine: Machine, settings: DataSetSettings) -> Scene:
        """The summands of the recording."""
        draws = Draws(settings.seed, (machine.name, self.split, self.domain, self.index))
        # Drawn also for a healthy clip: what is drawn must not depend on the label.
        drawn = draws.of("severity").uniform(*SEVERITIES[self.level or "strong"])
        severity = np.full(settings.n_samples, drawn if self.fault else 0.0)
        return render(
            machine,
            self.condition,
            self.domain,
            draws,
            severity,
            fault=self.fault,
            gain_jitter_db=settings.gain_jitter_db,
        )


def synthesize(
    out: Path,
    machine_names: Sequence[str],
    settings: DataSetSettings,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """A data set of synthetic machines in `out`, complete or not at all.

    Each has a folder of the name that it is recorded as, such as `synthetic-fan`.

    Parameters
    ----------
    out
        A new or empty folder.
    force
        Accept a folder that holds something; machine folders of the same names are replaced.
    progress
        Called from this thread with (clips done, clips in all).

    Raises
    ------
    UsageError
        When a machine is unknown or `out` is not empty.
    """
    machines = [find_machine(name) for name in dict.fromkeys(machine_names)]
    _refuse_to_overwrite(out, force=force)
    is_new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    done, n_clips = count(1), len(machines) * settings.n_clips
    try:
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=out) as unfinished:
            stage = Path(unfinished)
            for machine in machines:
                _synthesize_machine(
                    stage / machine.recorded_as,
                    machine,
                    settings,
                    lambda: progress(next(done), n_clips),
                )
            for finished in sorted(stage.iterdir()):
                _move_into_place(finished, out / finished.name)
    finally:
        if is_new and not any(out.iterdir()):
            out.rmdir()


def _synthesize_machine(
    folder: Path, machine: Machine, settings: DataSetSettings, on_clip: Callable[[], None]
) -> None:
    """Write the clips and tables of one machine into a new `folder`."""
    clips = list(planned_clips(machine, settings))
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)

    def write(clip: PlannedClip) -> None:
        path = folder / clip.split / clip.name
        soundfile.write(path, clip.render(machine, settings).T, SAMPLE_RATE_HZ, subtype="PCM_16")

    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(write, clip) for clip in clips]
        try:
            for job in as_completed(jobs):
                job.result()
                on_clip()
        finally:
            pool.shutdown(cancel_futures=True)
    attributes: list[CsvRow] = [_attributes(clip, folder.name) for clip in clips]
    write_csv(folder / "attributes_00.csv", attributes)
    write_csv(
        folder / "faults_00.csv",
        [
            {"file_name": clip.path_below(folder.name), "fault": clip.fault, "level": clip.level}
            for clip in clips
            if clip.fault
        ],
        ("file_name", "fault", "level"),
    )
    note = {
        "note": "Synthetic recordings made by 'edge-asd synth', not recordings of a real machine.",
        "machine": machine.name,
        "recipe": asdict(settings),
    }
    (folder / NOTE_FILE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def planned_clips(machine: Machine, settings: DataSetSettings) -> Iterator[PlannedClip]:
    """Every clip of the machine; operating points are shared evenly, and alike for both labels."""
    for domain, n_train in zip(
        _DOMAINS, (settings.n_train_source, settings.n_train_target), strict=True
    ):
        conditions: tuple[Condition, ...] = getattr(machine, domain)
        for index in range(n_train):
            condition = conditions[index % len(conditions)]
            yield PlannedClip("train", domain, "normal", index, condition, None, None)
        if not n_train:
            continue
        # Both cycle; one step further after each round trip meets every pair of fault and level.
        round_trip = math.lcm(len(machine.faults), len(settings.fault_levels))
        chance = Draws(settings.seed, (machine.name, "plan", domain)).of("condition")
        for index in range(settings.n_test):
            # Drawn, because taking faults and operating points both in turn would tie them.
            condition = conditions[chance.integers(len(conditions))]
            fault = machine.faults[index % len(machine.faults)]
            level = settings.fault_levels[
                (index + index // round_trip) % len(settings.fault_levels)
            ]
            yield PlannedClip("test", domain, "normal", index, condition, None, None)
            yield PlannedClip("test", domain, "anomaly", index, condition, fault, level)


def _attributes(clip: PlannedClip, machine: str) -> CsvRow:
    pairs = enumerate(clip.condition.attributes, start=1)
    columns = {
        f"d{n}{kind}": text for n, pair in pairs for kind, text in zip("pv", pair, strict=True)
    }
    return {"file_name": clip.path_below(machine), **columns}


def _refuse_to_overwrite(out: Path, *, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file, expected a folder to write into")
    if out.is_dir() and any(out.iterdir()) and not force:
        raise UsageError(
            f"{out}: not empty; choose another folder, or --force to replace its machine folders"
        )


def _move_into_place(finished: Path, place: Path) -> None:
    if place.exists():
        # Out of the way first; it goes when the unfinished folder goes.
        place.rename(finished.with_name(f".old-{place.name}"))
    finished.rename(place)
