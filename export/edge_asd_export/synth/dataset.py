"""A synthetic data set in the layout and naming of the challenge.

Next to the clips of each machine stand `attributes_00.csv` in the challenge's form,
`faults_00.csv`, which says what is wrong in each anomalous clip, and `synthetic.json`, the recipe.
"""

from __future__ import annotations

import csv
import json
import math
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import soundfile

from edge_asd.errors import UsageError
from edge_asd_export.data.clip_file import SAMPLE_RATE_HZ
from edge_asd_export.synth.catalogue import find_machine
from edge_asd_export.synth.scene import Draws, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from edge_asd_export.data.clips import Domain, Label, Split
    from edge_asd_export.synth.machine import Condition, Machine

__all__ = [
    "SEVERITIES",
    "FaultLevel",
    "PlannedClip",
    "Recipe",
    "planned_clips",
    "render_clip",
    "synthesize",
    "synthesize_machine",
]

FaultLevel = Literal["subtle", "strong"]

SEVERITIES: dict[FaultLevel, tuple[float, float]] = {"subtle": (0.25, 0.45), "strong": (0.85, 1.15)}

_DOMAINS: tuple[Domain, ...] = ("source", "target")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How many clips of what kind; the same recipe always gives the same bytes."""

    n_train_source: int = 100  # >= 1, normal
    n_train_target: int = 10  # >= 0, normal
    n_test: int = 20  # >= 0, for each of normal and anomaly in each domain
    clip_s: float = 10.0  # >= 0.5
    seed: int = 0  # >= 0
    fault_levels: tuple[FaultLevel, ...] = ("subtle", "strong")  # taken in turn

    def __post_init__(self) -> None:
        limits = {"n_train_source": 1, "n_train_target": 0, "n_test": 0, "clip_s": 0.5, "seed": 0}
        for name, least in limits.items():
            if not least <= (value := getattr(self, name)) < math.inf:
                raise UsageError(f"{name} is {value}, expected at least {least}")
        if self.n_train_source > 9999 or self.n_train_target > 9999 or self.n_test > 9999:
            raise UsageError("at most 9999 clips of a kind: file names have four digits")

    @property
    def n_clips(self) -> int:
        """Clips per machine."""
        return self.n_train_source + self.n_train_target + 4 * self.n_test

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
        return (
            f"section_00_{self.domain}_{self.split}_{self.label}_{self.index:04d}_"
            f"{self.condition.attribute_text}.wav"
        )

    def render(self, machine: Machine, recipe: Recipe) -> NDArray[np.float32]:
        """Near and far recording, (2, n_samples) float32."""
        return render_clip(
            machine,
            self.condition,
            self.domain,
            Draws(recipe.seed, (machine.name, self.split, self.domain, self.index)),
            recipe.n_samples,
            fault=self.fault,
            level=self.level or "strong",
        )


def render_clip(
    machine: Machine,
    condition: Condition,
    domain: Domain,
    draws: Draws,
    n_samples: int,
    *,
    fault: str | None = None,
    level: FaultLevel = "strong",
) -> NDArray[np.float32]:
    """One clip, (2, n_samples) float32: healthy for `fault` None, else faulty throughout."""
    low, high = SEVERITIES[level]
    # Drawn also for a healthy clip: what is drawn must not depend on the label.
    drawn = draws.of("severity").uniform(low, high)
    severity = np.full(n_samples, drawn if fault else 0.0)
    return render(machine, condition, domain, draws, severity, fault=fault)


def synthesize(
    out: Path,
    machine_names: Sequence[str],
    recipe: Recipe,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """A data set of synthetic machines in `out`, complete or not at all.

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
    n_all = len(machines) * recipe.n_clips
    try:
        with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=out) as unfinished:
            stage = Path(unfinished)
            for n_before, machine in zip(range(0, n_all, recipe.n_clips), machines, strict=True):
                synthesize_machine(
                    stage / machine.name,
                    machine,
                    recipe,
                    progress=_shifted(progress, n_before, n_all),
                )
            for finished in sorted(stage.iterdir()):
                _move_into_place(finished, out / finished.name)
    finally:
        if is_new and not any(out.iterdir()):
            out.rmdir()


def synthesize_machine(
    folder: Path,
    machine: Machine,
    recipe: Recipe,
    *,
    progress: Callable[[int], None] | None = None,
) -> None:
    """The clips and tables of one machine in a new `folder`; `progress` gets the clips done."""
    clips = list(planned_clips(machine, recipe))
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)

    def write(clip: PlannedClip) -> None:
        path = folder / clip.split / clip.name
        soundfile.write(path, clip.render(machine, recipe).T, SAMPLE_RATE_HZ, subtype="PCM_16")

    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(write, clip) for clip in clips]
        try:
            for n_done, job in enumerate(as_completed(jobs), start=1):
                job.result()
                if progress:
                    progress(n_done)
        finally:
            pool.shutdown(cancel_futures=True)
    _write_attributes(folder, clips)
    _write_faults(folder, clips)
    _write_note(folder / "synthetic.json", machine, recipe)


def planned_clips(machine: Machine, recipe: Recipe) -> Iterator[PlannedClip]:
    """Every clip of the machine; operating points are shared evenly, and alike for both labels."""
    for domain, n_train in zip(
        _DOMAINS, (recipe.n_train_source, recipe.n_train_target), strict=True
    ):
        conditions: tuple[Condition, ...] = getattr(machine, domain)
        for index in range(n_train):
            condition = conditions[index % len(conditions)]
            yield PlannedClip("train", domain, "normal", index, condition, None, None)
        # Both cycle; one step further after each round trip meets every pair of fault and level.
        round_trip = math.lcm(len(machine.faults), len(recipe.fault_levels))
        chance = Draws(recipe.seed, (machine.name, "plan", domain)).of("condition")
        for index in range(recipe.n_test):
            # Drawn, because taking faults and operating points both in turn would tie them.
            condition = conditions[chance.integers(len(conditions))]
            fault = machine.faults[index % len(machine.faults)]
            level = recipe.fault_levels[(index + index // round_trip) % len(recipe.fault_levels)]
            yield PlannedClip("test", domain, "normal", index, condition, None, None)
            yield PlannedClip("test", domain, "anomaly", index, condition, fault, level)


def _write_attributes(folder: Path, clips: Sequence[PlannedClip]) -> None:
    n_pairs = len(clips[0].condition.attributes)
    header = [column for n in range(1, n_pairs + 1) for column in (f"d{n}p", f"d{n}v")]
    rows = [
        [f"{folder.name}/{clip.split}/{clip.name}", *sum(clip.condition.attributes, ())]
        for clip in clips
    ]
    _write_csv(folder / "attributes_00.csv", ["file_name", *header], rows)


def _write_faults(folder: Path, clips: Sequence[PlannedClip]) -> None:
    rows = [
        [f"{folder.name}/{clip.split}/{clip.name}", clip.fault, clip.level]
        for clip in clips
        if clip.fault and clip.level
    ]
    _write_csv(folder / "faults_00.csv", ["file_name", "fault", "level"], rows)


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


def _write_note(path: Path, machine: Machine, recipe: Recipe) -> None:
    note = {
        "note": "Synthetic recordings made by 'edge-asd synth', not recordings of a real machine.",
        "machine": machine.name,
        "recipe": asdict(recipe),
    }
    path.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


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


def _shifted(
    progress: Callable[[int, int], None] | None, n_before: int, n_all: int
) -> Callable[[int], None] | None:
    return (lambda n_done: progress(n_before + n_done, n_all)) if progress else None
