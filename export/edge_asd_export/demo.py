"""The whole path once, on synthetic machines, by the very commands that a user would type."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from edge_asd import __version__
from edge_asd.command_line import as_typed
from edge_asd.errors import EdgeAsdError, UsageError
from edge_asd_export.training.run import RECORD_NAME

__all__ = ["Outcome", "Plan", "draw", "run_demo"]

_MARKER = "edge-asd-demo.txt"
_LAST = "stream.png"  # is made when all else is


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything; the defaults need about seven minutes on two cores."""

    system: str = "system4"
    machines: tuple[str, ...] = ("fan", "valve")
    train_clips: int = 120  # normal clips in the source domain, for each machine
    test_clips: int = 10  # for each machine, domain, and of normal and anomalous
    clip_s: float = 4.0
    epochs: int = 18
    settings: tuple[str, ...] = ("resnet.width=32",)  # what makes other systems quick
    fault: str = "rubbing"  # of the stream
    normal_s: float = 60.0  # of the stream, before and again after the fault
    fault_s: float = 40.0
    seed: int = 0

    @property
    def machine(self) -> str:
        """The machine that is listened to."""
        return self.machines[0]

    @property
    def fault_end_s(self) -> float:
        """When the planted fault ends, in seconds of the stream."""
        return self.normal_s + self.fault_s


@dataclass(frozen=True, slots=True)
class Outcome:
    """What listening to the stream found."""

    events: tuple[dict[str, Any], ...]
    alarms: tuple[tuple[float, float | None], ...]  # raised and cleared, seconds of the stream
    pictures: tuple[Path, ...]


def run_demo(out: Path, plan: Plan, say: Callable[[str], None]) -> Outcome:
    """Recordings to alarms; everything made stays in `out`.

    A demo of the same plan that was stopped goes on after its last finished step, and in the
    middle of its training. One that was finished is made anew.

    Raises
    ------
    UsageError
        When `out` holds something that no demo made.
    EdgeAsdError
        When one of the commands fails; its own message has been printed.
    """
    made = _begin(out, plan)
    if made:
        say(f"Going on with the demo in {out}; remove that folder to begin anew.")

    def make(path: Path, title: str, *words: object, keep: bool = False) -> None:
        if path.name not in made:
            say(title)
            if not keep:
                _remove(path, *out.glob(f".{path.name}.*"))  # what a killed command left, too
            _edge_asd(say, *words)
            _note(out, path.name)

    data, run, bundle = out / "recordings", out / "run", out / "bundle"
    report, stream, picture = out / "report", out / "stream.wav", out / _LAST
    make(
        data,
        "Recordings of synthetic machines, with faults in the test clips only.",
        *("synth", data, "--machines", ",".join(plan.machines), "--seed", plan.seed),
        *("--clips-train-source", plan.train_clips, "--clips-test", plan.test_clips),
        *("--clip-s", plan.clip_s, "--fault-level", "strong"),
    )
    if (run / RECORD_NAME).is_file():
        make(run, "Going on with the training.", "train", "--resume", run, keep=True)
    else:
        make(
            run,
            "Training on the normal clips.",
            *("train", data, "--system", plan.system, "--out", run),
            *("--epochs", plan.epochs, "--seed", plan.seed),
            *(word for setting in plan.settings for word in ("--set", setting)),
        )
    make(
        bundle,
        "A bundle: int8 encoders, memory banks, calibration, thresholds, golden windows.",
        *("export", "--run", run, "--out", bundle, "--quantize", "int8"),
    )
    say("What the device would do after the bundle was copied to it.")
    _edge_asd(say, "check", bundle)
    make(
        report,
        "How well the bundle tells faults from normal sound.",
        *("evaluate", "--data", data, "--bundle", bundle, "--out", report),
    )
    say(
        f"A simulated microphone: the {plan.machine} is faulty ({plan.fault}) from "
        f"{plan.normal_s:g} s to {plan.fault_end_s:g} s."
    )
    _remove(stream)
    _edge_asd(
        say,
        *("synth", "--stream", stream, "--machine", plan.machine, "--fault", plan.fault),
        *("--normal-s", plan.normal_s, "--fault-s", plan.fault_s, "--fault-level", "strong"),
        *("--seed", plan.seed + 1),
    )
    lines = _edge_asd(
        say,
        *("listen", "--bundle", bundle, "--machine", plan.machine, "--input", stream, "--json"),
        capture=True,
    )
    events = tuple(json.loads(line) for line in lines.splitlines())
    draw(events, plan, picture)
    _note(out, picture.name)
    return Outcome(events, _alarms(events), (*sorted(report.rglob("*.png")), picture))


def draw(events: tuple[dict[str, Any], ...], plan: Plan, path: Path) -> None:
    """Write a picture of score and threshold over time, with the fault and the alarms."""
    scores = [event for event in events if event["event"] == "score"]
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(plan.normal_s, plan.fault_end_s, color="tab:orange", alpha=0.25, label="fault")
    axes.step(
        [event["stream_time_s"] for event in scores],
        [event["score"] for event in scores],
        where="post",
        label="score",
    )
    if scores:
        axes.axhline(scores[0]["threshold"], color="black", linestyle="--", label="threshold")
    for raised_s, cleared_s in _alarms(events):
        axes.axvline(raised_s, color="tab:red", label="alarm raised")
        if cleared_s is not None:
            axes.axvline(cleared_s, color="tab:green", label="alarm cleared")
    handles, labels = axes.get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))  # several alarms, one entry
    axes.legend(by_label.values(), by_label.keys(), loc="upper right")
    axes.set(xlabel="end of the window in s", ylabel="anomaly score", title=plan.machine)
    figure.savefig(path, dpi=120)


def _begin(out: Path, plan: Plan) -> set[str]:
    """Return what an unfinished demo of this plan has made; remove any other, and nothing else."""
    marker = out / _MARKER
    if out.exists() and not marker.is_file() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is not from an earlier demo: choose another folder with --out")
    head = ["made by 'edge-asd demo', which replaces this folder", f"{__version__} {plan}"]
    lines = marker.read_text().splitlines() if marker.is_file() else []
    if lines[:2] == head and _LAST not in lines:
        return set(lines[2:])
    _remove(out)
    out.mkdir(parents=True)
    for line in head:
        _note(out, line)
    return set()


def _note(out: Path, line: str) -> None:
    with (out / _MARKER).open("a") as file:
        file.write(f"{line}\n")


def _remove(*paths: Path) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _edge_asd(say: Callable[[str], None], *args: object, capture: bool = False) -> str:
    """Run one command as its own process and return its output if captured."""
    words = [str(arg) for arg in args]
    say(as_typed(f"$ edge-asd {shlex.join(words)}"))
    result = subprocess.run(
        [sys.executable, "-m", "edge_asd", *words],
        stdout=subprocess.PIPE if capture else None,
        text=True,
        check=False,
    )
    if result.returncode:
        raise EdgeAsdError(f"'edge-asd {words[0]}' failed with exit code {result.returncode}")
    return result.stdout or ""


def _alarms(events: tuple[dict[str, Any], ...]) -> tuple[tuple[float, float | None], ...]:
    """Pairs of raised and cleared; the last may still be on."""
    raised = [e["stream_time_s"] for e in events if e["event"] == "alarm_raised"]
    cleared = [e["stream_time_s"] for e in events if e["event"] == "alarm_cleared"]
    return tuple(
        (start, cleared[i] if i < len(cleared) else None) for i, start in enumerate(raised)
    )
