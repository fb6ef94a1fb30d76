"""The steps of a demo, each an edge-asd command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_asd_export.demo.outcome import Outcome, outcome_of, read_events
from edge_asd_export.demo.page import KeptAlarm, kept_alarms, write_page
from edge_asd_export.demo.picture import draw_outcome
from edge_asd_export.demo.plan import Plan, Planted
from edge_asd_export.demo.steps import LAST, Steps, begin, remove
from edge_asd_export.training.run import RECORD_NAME

__all__ = ["Made", "hear", "make_bundle", "run_demo"]


@dataclass(frozen=True, slots=True)
class Made:
    """What a demo ends with."""

    outcome: Outcome
    alarms: tuple[KeptAlarm, ...]
    picture: Path
    page: Path


def run_demo(out: Path, plan: Plan, say: Callable[[str], None]) -> Made:
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
    steps = begin(out, plan, say)
    bundle = make_bundle(steps, plan)
    say("What the device would do after the bundle was copied to it.")
    steps.edge_asd("check", bundle)
    report = out / "report"
    steps.make(
        report,
        "How well the bundle tells the synthetic faults from normal sound.",
        *("evaluate", "--data", out / "recordings", "--bundle", bundle, "--out", report),
    )
    say(f"A simulated microphone: {plan.planted}.")
    outcome = hear(steps, bundle, plan.planted, plan.seed)
    picture, page = out / "stream.png", out / LAST
    draw_outcome(outcome, picture)
    alarms = kept_alarms(outcome, out / "state")
    write_page(page, outcome, alarms, picture)
    steps.note(LAST)
    return Made(outcome, alarms, picture, page)


def make_bundle(steps: Steps, plan: Plan) -> Path:
    """Recordings, a training and a bundle."""
    data, run, bundle = (steps.out / name for name in ("recordings", "run", "bundle"))
    steps.make(
        data,
        "Recordings of synthetic machines, with faults in the test clips only.",
        *("synth", data, "--machines", ",".join(plan.machines), "--seed", plan.seed),
        *("--clips-train-source", plan.train_clips, "--clips-train-target", 0),
        *("--clips-test", plan.test_clips),
        *("--clip-s", plan.clip_s, "--fault-level", "strong", "--gain-jitter-db", 0),
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
    return bundle


def hear(steps: Steps, bundle: Path, planted: Planted, seed: int) -> Outcome:
    """Play a recording with a fault, another than any that was learned, to a monitor."""
    names = ("stream.wav", "state", "events.jsonl")
    stream, state, events = (steps.out / name for name in names)
    remove(stream, state, events)
    steps.edge_asd(
        *("synth", "--stream", stream, "--machine", planted.machine, "--fault", planted.fault),
        *("--normal-s", planted.normal_s, "--fault-s", planted.fault_s),
        *("--fault-level", planted.level, "--seed", seed + 1, "--gain-jitter-db", 0),
    )
    steps.edge_asd(
        *("listen", "--bundle", bundle, "--machine", planted.recorded_as, "--input", stream),
        *("--state", state, "--output", events),
        quiet=not sys.stdout.isatty(),  # a terminal shows the meter; else it is in the file
    )
    return outcome_of(read_events(events), planted)
