"""The steps of a demo, each an edge-asd command in a process of its own."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edge_asd import __version__
from edge_asd.command_line import again, as_typed
from edge_asd.errors import EdgeAsdError, UsageError
from edge_asd_export.demo.outcome import Outcome, outcome_of, read_events
from edge_asd_export.demo.page import KeptAlarm, kept_alarms, write_page
from edge_asd_export.demo.picture import draw_outcome
from edge_asd_export.demo.plan import Plan, Planted
from edge_asd_export.training.run import RECORD_NAME

__all__ = ["Made", "run_demo"]

_MARKER = "edge-asd-demo.txt"
_LAST = "demo.html"  # is made when all else is

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Made:
    """What a demo ends with."""

    outcome: Outcome
    alarms: tuple[KeptAlarm, ...]
    picture: Path
    page: Path
    bundle: Path


def run_demo(out: Path, plan: Plan, say: Say) -> Made:
    """Recordings to alarms; everything made stays in `out`.

    A demo of the same plan that was stopped goes on after its last finished step, and in the
    middle of its training. One that was finished is made anew, unless another fault or
    machine is planted: then the bundle is kept, and listens again.

    Raises
    ------
    UsageError
        When `out` holds something that no demo made, or no such fault exists.
    EdgeAsdError
        When one of the commands fails; its own message has been printed.
    """
    steps = _Steps(out, _begin(out, plan), say)
    if steps.made:
        say(f"Going on with the demo in {out}; remove that folder to begin anew.")
    data, run, bundle, report = (out / name for name in ("recordings", "run", "bundle", "report"))
    steps.make(
        data,
        "Recordings of synthetic machines, with faults in the test clips only.",
        *("synth", data, "--machines", ",".join(plan.machines), "--seed", plan.seed),
        *("--clips-train-source", plan.train_clips, "--clips-test", plan.test_clips),
        *("--clip-s", plan.clip_s, "--fault-level", "strong"),
    )
    if (run / RECORD_NAME).is_file():
        steps.make(run, "Going on with the training.", "train", "--resume", run, keep=True)
    else:
        steps.make(
            run,
            "Training on the normal clips.",
            *("train", data, "--system", plan.system, "--out", run, "--seed", plan.seed),
            *(("--epochs", plan.epochs) if plan.epochs else ()),
            *(word for setting in plan.settings for word in ("--set", setting)),
        )
    steps.make(
        bundle,
        "A bundle: int8 encoders, memory banks, calibration, thresholds, golden windows.",
        *("export", "--run", run, "--out", bundle, "--quantize", "int8"),
    )
    say("What the device would do after the bundle was copied to it.")
    steps.edge_asd("check", bundle)
    steps.make(
        report,
        "How well the bundle tells the synthetic faults from normal sound.",
        *("evaluate", "--data", data, "--bundle", bundle, "--out", report),
    )
    made = _listen(steps, bundle, plan)
    steps.note(_LAST)
    return made


def _listen(steps: _Steps, bundle: Path, plan: Plan) -> Made:
    """Play a recording with the planted fault to a monitor."""
    planted, out = plan.planted, steps.out
    stream, state, events = out / "stream.wav", out / "state", out / "events.jsonl"
    steps.say(f"A simulated microphone: {planted}.")
    _remove(stream, state, events)
    steps.edge_asd(
        *("synth", "--stream", stream, "--machine", planted.machine, "--fault", planted.fault),
        *("--normal-s", planted.normal_s, "--fault-s", planted.fault_s),
        *("--fault-level", planted.level, "--seed", plan.seed + 1),
    )
    steps.edge_asd(
        *("listen", "--bundle", bundle, "--machine", planted.recorded_as, "--input", stream),
        *("--state", state, "--output", events),
        quiet=not sys.stdout.isatty(),  # a terminal shows the meter; else it is in the file
    )
    outcome = outcome_of(read_events(events), planted)
    picture, page = out / "stream.png", out / _LAST
    draw_outcome(outcome, picture)
    alarms = kept_alarms(outcome, state)
    write_page(page, outcome, alarms, picture)
    return Made(outcome, alarms, picture, page, bundle)


class _Steps:
    """Runs commands, and notes in the folder of the demo which files they have made."""

    def __init__(self, out: Path, made: frozenset[str], say: Say) -> None:
        self.out, self.made, self.say = out, made, say

    def make(self, path: Path, title: str, *words: object, keep: bool = False) -> None:
        """Make `path` by a command, if that was not done before."""
        if path.name in self.made:
            return
        self.say(title)
        if not keep:
            # What a command that was killed has left is removed, too.
            _remove(path, *self.out.glob(f".{path.name}.*"))
        self.edge_asd(*words)
        self.note(path.name)

    def edge_asd(self, *args: object, quiet: bool = False) -> None:
        """Run one command as its own process."""
        words = [str(arg) for arg in args]
        self.say(as_typed(f"$ edge-asd {shlex.join(words)}"))
        stdout = subprocess.DEVNULL if quiet else None
        result = subprocess.run([*again(), *words], stdout=stdout, check=False)
        if result.returncode:
            raise EdgeAsdError(f"'edge-asd {words[0]}' failed with exit code {result.returncode}")

    def note(self, line: str) -> None:
        """Add a line to what is known to be made."""
        with (self.out / _MARKER).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def _begin(out: Path, plan: Plan) -> frozenset[str]:
    """Return what earlier demos made that this one needs; remove what it does not."""
    marker = out / _MARKER
    if out.exists() and not marker.is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not from an earlier demo: choose another folder with --out")
    trained = replace(plan, planted=Planted())
    head = [
        "made by 'edge-asd demo', which replaces this folder",
        f"{__version__} {trained}",
        f"listens to {plan.planted}",
    ]
    lines = marker.read_text(encoding="utf-8").splitlines() if marker.is_file() else []
    same_plan, same_fault = lines[:2] == head[:2], lines[2:3] == head[2:]
    made = [name for name in lines[3:] if name != _LAST]
    if not same_plan or (same_fault and _LAST in lines):
        made = []
        _remove(out)
    out.mkdir(parents=True, exist_ok=True)
    marker.write_text("".join(f"{line}\n" for line in (*head, *made)), encoding="utf-8")
    return frozenset(made)


def _remove(*paths: Path) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
