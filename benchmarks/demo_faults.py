"""Which faults of the synthetic machines raise an alarm, how soon, and how many.

    python -m benchmarks.demo_faults --out faults

For every seed and number of threads the demo's bundle is made; then every fault of every machine
is planted, each in a recording of its own, and the real monitor listens. A strong fault must
raise one alarm, within 30 s of its start, that is cleared after its end, and none elsewhere. The
table of subtle faults says what was heard. What is done is kept in the folder; a benchmark that
was stopped goes on. Exit code 1 when a strong fault fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.table import Table

from edge_asd_export.demo.outcome import Outcome
from edge_asd_export.demo.plan import Plan, Planted
from edge_asd_export.demo.run import hear, make_bundle
from edge_asd_export.demo.steps import begin
from edge_asd_export.synth.catalogue import find_machine
from edge_asd_export.synth.dataset import FaultLevel

SOON_S = 30.0  # from a fault's start until its alarm


@dataclass(frozen=True, slots=True)
class Trial:
    """What one recording with a fault came to; times in seconds."""

    seed: int
    threads: int
    machine: str
    fault: str
    level: str
    alarms: int  # raised while the fault was there
    outside: int  # raised while it was not
    delay_s: float | None  # from its start to the first alarm; None: there was none
    cleared_s: float | None  # from its end until the last alarm was cleared; None: still on
    highest: float  # score of a window that holds nothing but the fault, by the threshold
    highest_normal: float  # and of a window without any of it

    @property
    def passed(self) -> bool:
        """One alarm, soon, cleared after the fault, none elsewhere."""
        soon = self.delay_s is not None and self.delay_s <= SOON_S
        after = self.cleared_s is not None and self.cleared_s >= 0
        return soon and after and (self.alarms, self.outside) == (1, 0)


def main() -> None:
    """Plant every fault, and print what was heard."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder; one that exists goes on")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(5)))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--levels", nargs="+", default=list(get_args(FaultLevel)))
    parser.add_argument("--machines", nargs="+", default=list(Plan().machines))
    options = parser.parse_args()
    console = Console(stderr=True)
    trials: list[Trial] = []
    for seed in options.seeds:
        for threads in options.threads:
            os.environ["OMP_NUM_THREADS"] = str(threads)
            console.print(f"seed {seed}, threads {threads}")
            for trial in tried(options, seed, threads):
                trials.append(trial)
                console.print(
                    f"  {trial.level} {trial.machine}:{trial.fault} delay {trial.delay_s}",
                    highlight=False,
                )
    strong = [one for one in trials if one.level == "strong"]
    for level in options.levels:
        Console(width=120).print(table_of(level, [one for one in trials if one.level == level]))
    failed = [one for one in strong if not one.passed]
    print(f"{len(strong) - len(failed)} of {len(strong)} strong faults as they must be")
    raise SystemExit(1 if failed else 0)


def tried(options: argparse.Namespace, seed: int, threads: int) -> Iterator[Trial]:
    """Every fault of one training; those of an earlier call are read."""
    folder: Path = options.out / f"seed-{seed}-threads-{threads}"
    results = folder.with_suffix(".jsonl")
    known = {}
    if results.exists():
        lines = results.read_text(encoding="utf-8").splitlines()
        found = [Trial(**json.loads(line)) for line in lines]
        known = {(one.machine, one.fault, one.level): one for one in found}
    plan = replace(Plan(), test_clips=0, seed=seed)
    steps = begin(folder, plan, print)
    for planted in planted_faults(options.machines, options.levels):
        key = (planted.machine, planted.fault, planted.level)
        if key not in known:
            outcome = hear(steps, make_bundle(steps, plan), planted, seed)
            known[key] = trial_of(outcome, seed, threads, plan.clip_s)
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(known[key])) + "\n")
        yield known[key]
    shutil.rmtree(folder / "recordings", ignore_errors=True)  # the most space, no longer needed


def planted_faults(machines: Iterable[str], levels: Iterable[FaultLevel]) -> Iterator[Planted]:
    """Every fault of the machines, at every level."""
    for level in levels:
        for name in machines:
            for fault in find_machine(name).faults:
                yield Planted(name, fault, level)


def trial_of(outcome: Outcome, seed: int, threads: int, window_s: float) -> Trial:
    """Count and time the alarms."""
    planted = outcome.planted
    inside = [one for one in outcome.alarms if one not in outcome.outside]
    last = inside[-1].cleared_s if inside else None
    faulty, normal = [0.0], [0.0]
    for end_s, score in outcome.scores:
        if end_s - window_s >= planted.normal_s and end_s <= planted.end_s:
            faulty.append(score / outcome.threshold)
        if end_s <= planted.normal_s or end_s - window_s >= planted.end_s:
            normal.append(score / outcome.threshold)
    return Trial(
        seed=seed,
        threads=threads,
        machine=planted.machine,
        fault=planted.fault,
        level=planted.level,
        alarms=len(inside),
        outside=len(outcome.outside),
        delay_s=inside[0].raised_s - planted.normal_s if inside else None,
        cleared_s=None if last is None else last - planted.end_s,
        highest=max(faulty),
        highest_normal=max(normal),
    )


def table_of(level: str, trials: Iterable[Trial]) -> Table:
    """One row for each fault, over seeds and threads."""
    groups: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for one in trials:
        groups[one.machine, one.fault].append(one)
    table = Table(
        *(
            "machine",
            "fault",
            "runs",
            "heard",
            "alarms",
            "outside",
            "delay in s",
            "cleared after s",
        ),
        *("highest score", "of normal"),
        title=f"{level} faults of synthetic machines; scores by the threshold",
    )
    for (machine, fault), own in groups.items():
        table.add_row(
            *(machine, fault, str(len(own)), str(sum(one.alarms > 0 for one in own))),
            *(span(one.alarms for one in own), span(one.outside for one in own)),
            *(span(one.delay_s for one in own), span(one.cleared_s for one in own)),
            *(span(one.highest for one in own), span(one.highest_normal for one in own)),
        )
    return table


def span(values: Iterable[float | None]) -> str:
    """Least and most of what is known."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    low, high = f"{min(known):.3g}", f"{max(known):.3g}"
    return low if low == high else f"{low} to {high}"


if __name__ == "__main__":
    main()
