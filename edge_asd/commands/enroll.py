"""``edge-asd enroll``: learn on site how a machine sounds when it is well."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_asd.commands import options
from edge_asd.errors import UsageError

if TYPE_CHECKING:
    from edge_asd.bundle.manifest import Domain
    from edge_asd.learn.learned import Learned
    from edge_asd.learn.listening import EnrolmentPlan
    from edge_asd.learn.recording import HeardSound, SiteRecording

__all__ = ["enroll"]


def enroll(
    machine: Annotated[
        str, typer.Option(callback=options.name_of, help="Name of the machine that is learned.")
    ],
    device: options.Device = None,
    input_paths: Annotated[
        list[Path] | None,
        typer.Option(
            "--input", help="WAV or FLAC file of normal sound, or a folder of them; repeatable."
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="How long to listen; 10 if left out. Files: all of them."),
    ] = None,
    watch: Annotated[
        str | None,
        typer.Option(help="Commissioning: listen so long without alarms, then arm: 12h, 3d."),
    ] = None,
    then_listen: Annotated[
        bool, typer.Option("--then-listen", help="After --watch, go on as listen does.")
    ] = False,
    domain: Annotated[
        Literal["source", "target"],
        typer.Option(help="target: add another operating condition to what is known."),
    ] = "source",
    like: Annotated[
        str | None,
        typer.Option(help="Machine of the bundle whose networks and window length it shares."),
    ] = None,
    bundle: options.Bundle = options.LATEST_BUNDLE,
    profile: options.Profile = "default",
    state: options.State = None,
    false_alarms_per_month: options.FalseAlarmsPerMonth = 1.0,
    false_alarm_rate: options.FalseAlarmRate = None,
    accept_quality: Annotated[
        bool,
        typer.Option("--accept-quality", help="Even if it clips or has one channel twice."),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="After Ctrl-C, keep what was heard without asking.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Learn the normal sound of a machine on the device, from minutes of it.

    Listens while the machine runs normally, checks the signal, and makes what a bundle has
    for its own machines: memory banks, fusion and a threshold. The bundle stays as it is; what
    is learned is a new version in the state folder, which `listen --machine NAME` uses from
    then on. Ten minutes that hold every normal operating state are a good start.

    With --watch it listens for hours or days, while the machine goes through its states, raises
    no alarm meanwhile, and arms itself. A monitor that runs already does so in its own process.
    A restart goes on where it was; so does the same command, or `listen`.

    Examples

        edge-asd enroll --device hw:1 --minutes 10 --machine pump-3

        edge-asd enroll --device hw:1 --minutes 5 --machine pump-3 --domain target

        edge-asd enroll --device hw:1 --watch 3d --machine pump-3

        edge-asd enroll --input monday.flac --input tuesday.flac --machine fan-2 --like fan
    """
    from edge_asd.bundle.proof import open_proven
    from edge_asd.commands.commissioning import begin_commissioning, end_commissioning
    from edge_asd.control.monitors import reload_monitor
    from edge_asd.learn.enrolment import SiteGoal, base_for, deciding_windows, enrol
    from edge_asd.learn.listening import EnrolmentPlan
    from edge_asd.learn.opened_machine import reach_warning
    from edge_asd.learn.store import LearnedStore
    from edge_asd.profile import load_profile
    from edge_asd.state.folder import StateFolder, require_name
    from edge_asd.state.places import machine_root, state_roots

    if device is not None and input_paths:
        raise UsageError("--device and --input exclude each other; give one of them")
    settings = load_profile(profile)
    roots = state_roots(state, settings, os.environ)
    opened = open_proven(bundle, root=roots[0])
    folder = StateFolder(machine_root(require_name(machine), roots), machine)
    store = LearnedStore(folder)
    if watch is not None:
        if input_paths or minutes is not None or domain == "target":
            raise UsageError(
                "--watch listens to a sound card, for as long as it says, and learns the source "
                "domain; leave out --input, --minutes and --domain target"
            )
        if device is not None:
            settings = settings.with_values(capture={"device": device})
        begin_commissioning(
            opened,
            folder,
            settings,
            like,
            options.seconds_of("--watch", watch),
            SiteGoal(false_alarms_per_month, false_alarm_rate),
            then_listen=then_listen,
            as_json=as_json,
        )
        return
    if then_listen:
        raise UsageError("--then-listen goes with --watch")
    with store.writing():
        # A new beginning is possible, too, when what was learned before is damaged.
        before = store.load() if domain == "target" else None
        base = base_for(opened, machine, like, domain, before)
        typer.echo(f"{machine} is scored like {base.site.like} of {opened.manifest.name}", err=True)
        detector = opened.detector(base.site.like, threads=settings.detector.threads)
        plan = EnrolmentPlan(detector, settings, domain, minutes, accept_faults=accept_quality)
        sound, heard = _hear(plan, device, input_paths or [], keep=yes)
        learned = enrol(
            opened,
            base,
            domain,
            sound,
            origin=heard,
            utc=datetime.now(UTC),
            goal=SiteGoal(false_alarms_per_month, false_alarm_rate),
        )
        version = store.add(learned)
        end_commissioning(folder)
    if said := reach_warning(opened, learned):
        typer.echo(f"warning: {machine}: {said}", err=True)
    if found := deciding_windows(opened, learned, domain):
        where = sound.where(found.windows.tolist(), plan.rate_hz)
        typer.echo(f"warning: {machine}: {where} {found.text}", err=True)
    _report(learned, version, domain, reload_monitor(folder), as_json=as_json)


def _hear(
    plan: EnrolmentPlan, device: str | None, paths: list[Path], *, keep: bool
) -> tuple[HeardSound, str]:
    """Listen; return the sound, and in words where it comes from."""
    from edge_asd.audio.source import audio_files
    from edge_asd.learn.listening import hear_card, hear_files
    from edge_asd.monitor.stop import stop_on_signals

    with stop_on_signals() as stop:
        if paths:
            recording, heard = hear_files(plan, audio_files(paths), stop)
        else:
            recording, heard = hear_card(plan, device, stop)
    if stop.is_set():
        _require_kept(recording, plan.least, keep=keep)
    return recording.sound(plan.least), heard


def _require_kept(recording: SiteRecording, least: int, *, keep: bool) -> None:
    """Go on with an interrupted recording only when it is long enough and asked for."""
    if len(recording) < least:
        raise KeyboardInterrupt
    if not keep and sys.stdin.isatty():
        question = f"keep the {len(recording)} windows that were heard?"
        keep = typer.confirm(question, default=False, err=True)
    if not keep:
        raise KeyboardInterrupt


def _report(learned: Learned, version: str, domain: Domain, monitor: str, *, as_json: bool) -> None:
    from edge_asd.alarm.promise import sentence

    site = learned.site
    enrolled, threshold = site.enrolled[domain], site.threshold
    said = sentence(threshold, site.promise) if site.promise else None
    if as_json:
        content = {
            "machine": site.machine,
            "version": version,
            "like": site.like,
            "domain": domain,
            "windows": enrolled.n_windows,
            "seconds": enrolled.seconds,
            "heard": enrolled.heard,
            "threshold": threshold.model_dump(),
            "promise": said,
            "cancelling": enrolled.cancelling and enrolled.cancelling.model_dump(),
        }
        typer.echo(json.dumps(content, ensure_ascii=False))
    else:
        typer.echo(
            f"{site.machine}: learned {enrolled.n_windows} windows of {domain} sound "
            f"({enrolled.seconds / 60:.1f} min) as {version}\n"
            f"threshold {threshold.threshold:.4g}, which {threshold.false_alarm_rate:.2%} of "
            "normal windows should exceed: found by comparing each part of the sound with "
            "the others"
        )
        if said:
            typer.echo(said)
        if enrolled.cancelling:
            typer.echo(enrolled.cancelling.sentence)
    typer.echo(monitor, err=True)
