"""``edge-asd teach``: a false alarm sounds normal from now on."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_asd.commands import options
from edge_asd.errors import UsageError

if TYPE_CHECKING:
    from edge_asd.bundle.manifest import Domain
    from edge_asd.learn.learned import Learned
    from edge_asd.recordings.taught_clips import ExportedAlarm, TaughtAlarm

__all__ = ["teach"]


def teach(
    event: Annotated[
        str | None, typer.Argument(help="Id of the alarm, from `edge-asd alarms`, or its folder.")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Teach nothing; write the sound of what was taught into this folder of "
            "recordings, as clips for `edge-asd train`.",
        ),
    ] = None,
    events: Annotated[
        list[str] | None,
        typer.Option("--event", help="With --export: only this taught alarm; repeatable."),
    ] = None,
    attribute: options.Attributes = None,
    domain: Annotated[
        Literal["source", "target"], typer.Option(help="Of the clips of --export.")
    ] = "target",
    clip_s: options.ClipSeconds = None,
    bundle: options.Bundle = options.LATEST_BUNDLE,
    machine: Annotated[
        str | None,
        typer.Option(callback=options.name_of, help="Only look among the alarms of this machine."),
    ] = None,
    profile: options.Profile = "default",
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Teach that the sound of an alarm is normal, so that it raises no alarm again.

    The windows that kept the alarm on become references of the machine's target domain, and
    the threshold is set anew. Teach only what you know to be harmless: damage that is
    taught is not heard any more. `edge-asd forget EVENT` takes it back.

    With --export the sound of alarms that were taught becomes training clips beside those of
    `edge-asd record`, each alarm a take; what was exported before is left as it is.

    Examples

        edge-asd teach pump-3-20261122T083005000Z

        edge-asd teach /var/lib/edge-asd/pump-3/events/pump-3-20261122T083005000Z

        edge-asd teach --export recordings

        edge-asd teach --export recordings --event pump-3-20261122T083005000Z
    """
    from edge_asd.profile import load_profile
    from edge_asd.state.places import state_roots

    settings = load_profile(profile)
    roots = state_roots(state, settings, os.environ)
    if export is None:
        if events or attribute or clip_s:
            raise UsageError("--event, --attribute and --clip-s go with --export")
        if event is None:
            raise UsageError("name the alarm that is taught; 'edge-asd alarms' lists them")
        _teach(event, bundle, machine, settings.detector.threads, roots, as_json=as_json)
        return
    if event is not None:
        raise UsageError(f"--export takes alarms that were taught: name one by --event {event}")
    exported = _export(
        export,
        _taught(roots, machine, events or []),
        domain,
        attribute or [],
        clip_s,
        settings.clips.reserve_bytes,
    )
    _say_exported(exported, as_json=as_json)
    if events and any(alarm.problem for alarm in exported):
        raise typer.Exit(1)


def _teach(
    event: str,
    bundle: Path,
    machine: str | None,
    threads: int,
    roots: list[Path],
    *,
    as_json: bool,
) -> None:
    from edge_asd.bundle.proof import open_proven
    from edge_asd.control.monitors import reload_monitor
    from edge_asd.learn import teaching
    from edge_asd.learn.enrolment import untouched
    from edge_asd.learn.event_sound import find_event, read_event
    from edge_asd.learn.opened_machine import open_machine
    from edge_asd.learn.store import LearnedStore
    from edge_asd.state.folder import StateFolder
    from edge_asd.state.places import states_in

    states = [StateFolder(root, machine) for root in roots] if machine else states_in(roots)
    found, alarm_id = find_event(states, event)
    sound = read_event(found, alarm_id)
    folder = StateFolder(found.path.parent, sound.machine)
    opened = open_proven(bundle)
    store = LearnedStore(folder)
    with store.writing():
        detector = open_machine(opened, sound.machine, threads=threads, state=folder).detector
        windows = teaching.teachable(detector, sound.windows(detector))
        before = store.load() or untouched(opened, sound.machine, sound.machine)
        learned = teaching.teach(opened, before, detector, alarm_id, windows, datetime.now(UTC))
        version = store.add(learned)
    _report(before, learned, version, as_json=as_json)
    typer.echo(reload_monitor(folder), err=True)


def _taught(roots: list[Path], machine: str | None, events: list[str]) -> list[TaughtAlarm]:
    from edge_asd.learn.store import learned_states
    from edge_asd.recordings.taught_clips import taught_alarms
    from edge_asd.state.folder import StateFolder

    if machine:
        states = [StateFolder(root, machine) for root in roots]
    else:
        states = [state for root in roots for state in learned_states(root)]
    return taught_alarms(states, events)


def _export(
    root: Path,
    alarms: list[TaughtAlarm],
    domain: Domain,
    attributes: list[str],
    clip_s: float | None,
    reserve_bytes: int,
) -> list[ExportedAlarm]:
    from edge_asd.recordings.clip_name import attribute_text
    from edge_asd.recordings.taught_clips import export_taught

    text = attribute_text(attributes)
    return list(export_taught(alarms, root, domain, text, clip_s, reserve_bytes=reserve_bytes))


def _say_exported(alarms: list[ExportedAlarm], *, as_json: bool) -> None:
    for alarm in alarms:
        if as_json:
            typer.echo(json.dumps(asdict(alarm), ensure_ascii=False))
        elif alarm.problem:
            typer.echo(f"{alarm.machine}: nothing of {alarm.alarm_id}: {alarm.problem}", err=True)
        else:
            typer.echo(
                f"{alarm.machine}: {alarm.n_new + alarm.n_known} clips of {alarm.alarm_id}, "
                f"{alarm.n_new} of them new"
            )


def _report(before: Learned, learned: Learned, version: str, *, as_json: bool) -> None:
    taught = learned.site.taught[-1]
    threshold = learned.site.threshold.threshold
    if as_json:
        content = {
            "machine": learned.site.machine,
            "version": version,
            "event": taught.event,
            "windows": taught.n_windows,
            "threshold": threshold,
        }
        typer.echo(json.dumps(content, ensure_ascii=False))
        return
    typer.echo(
        f"{learned.site.machine}: {taught.n_windows} windows of {taught.event} are normal from now "
        f"on ({version}); threshold {before.site.threshold.threshold:.4g} -> {threshold:.4g}"
    )
