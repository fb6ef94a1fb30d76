"""``edge-asd teach``: a false alarm sounds normal from now on."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from edge_asd.commands import options

if TYPE_CHECKING:
    from edge_asd.learn.learned import Learned

__all__ = ["teach"]


def teach(
    event: Annotated[
        str, typer.Argument(help="Id of the alarm, from `edge-asd alarms`, or its folder.")
    ],
    bundle: options.Bundle = options.LATEST_BUNDLE,
    machine: Annotated[
        str | None, typer.Option(help="Only look among the alarms of this machine.")
    ] = None,
    profile: options.Profile = "default",
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Teach that the sound of an alarm is normal, so that it raises no alarm again.

    The windows that kept the alarm on become references of the machine's target domain, and
    the threshold is set anew. Teach only what you know to be harmless: a fault that is taught
    is not heard any more. `edge-asd forget EVENT` takes it back.

    Examples

        edge-asd teach pump-3-20261122T083005000Z

        edge-asd teach /var/lib/edge-asd/pump-3/events/pump-3-20261122T083005000Z
    """
    from edge_asd.bundle.bundle import Bundle
    from edge_asd.control.monitors import reload_monitor
    from edge_asd.learn import teaching
    from edge_asd.learn.enrolment import untouched
    from edge_asd.learn.event_sound import find_event, read_event
    from edge_asd.learn.opened_machine import open_machine
    from edge_asd.learn.store import LearnedStore
    from edge_asd.profile import load_profile
    from edge_asd.state.folder import StateFolder
    from edge_asd.state.places import state_roots, states_in

    settings = load_profile(profile)
    roots = state_roots(state, settings, os.environ)
    states = [StateFolder(root, machine) for root in roots] if machine else states_in(roots)
    found, alarm_id = find_event(states, event)
    sound = read_event(found, alarm_id)
    folder = StateFolder(found.path.parent, sound.machine)
    opened = Bundle.open(bundle)
    store = LearnedStore(folder)
    with store.writing():
        detector = open_machine(
            opened, sound.machine, threads=settings.detector.threads, state=folder
        ).detector
        windows = teaching.teachable(detector, sound.windows(detector))
        before = store.load() or untouched(opened, sound.machine, sound.machine)
        learned = teaching.teach(opened, before, detector, alarm_id, windows, datetime.now(UTC))
        version = store.add(learned)
    _report(before, learned, version, as_json=as_json)
    typer.echo(reload_monitor(folder), err=True)


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
