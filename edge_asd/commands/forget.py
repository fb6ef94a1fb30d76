"""``edge-asd forget``: take back what was learned on site."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_asd.command_line import as_typed
from edge_asd.commands import options
from edge_asd.errors import StateError, UsageError

if TYPE_CHECKING:
    from edge_asd.learn.store import LearnedStore
    from edge_asd.state.folder import StateFolder

__all__ = ["forget"]

_BUNDLE = "bundle"


def forget(
    event: Annotated[str | None, typer.Argument(help="Id of an alarm that was taught.")] = None,
    last: Annotated[bool, typer.Option("--last", help="The alarm that was taught last.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Every alarm that was taught; enrolment stays.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(
            help="Go to a version as it was, such as v0002; bundle: to what the bundle knows alone."
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Only show what was learned.")] = False,
    bundle: options.Bundle = options.LATEST_BUNDLE,
    machine: options.Machine = None,
    profile: options.Profile = "default",
    state: options.State = None,
    as_json: options.Json = False,
) -> None:
    """Take back what `teach` and `enroll` did, or show what it was.

    Without an alarm that was taught, the machine is judged as if it had never been; the change
    is a new version, so it can be taken back, too. The last five versions are kept.

    Examples

        edge-asd forget --list

        edge-asd forget pump-3-20261122T083005000Z

        edge-asd forget --machine pump-3 --to v0001

        edge-asd forget --machine pump-3 --to bundle
    """
    from edge_asd.commands.commissioning import end_commissioning
    from edge_asd.control.monitors import reload_monitor
    from edge_asd.learn.store import LearnedStore

    if sum((event is not None, last, everything, to is not None, show)) != 1:
        raise UsageError("say what to forget: an EVENT, --last, --all or --to; or ask for --list")
    folder = _state_of(options.known_state_roots(state, profile), machine)
    store = LearnedStore(folder)
    if show:
        _list(store, as_json=as_json)
        return
    if to is not None:
        with store.writing():
            before = store.current
            store.use(None if to == _BUNDLE else to)
            end_commissioning(folder)
        what = "what the bundle says, if it knows this machine," if to == _BUNDLE else to
        typer.echo(f"{folder.machine}: {what} is in use")
        if to == _BUNDLE and before:
            name = shlex.quote(folder.machine)
            typer.echo(as_typed(f"back: edge-asd forget --machine {name} --to {before}"), err=True)
    else:
        _forget(store, bundle, event, last=last)
    typer.echo(reload_monitor(folder), err=True)


def _forget(store: LearnedStore, bundle: Path, event: str | None, *, last: bool) -> None:
    from edge_asd.bundle.proof import open_proven
    from edge_asd.learn.opened_machine import require_same_bundle
    from edge_asd.learn.teaching import forget as without

    with store.writing():
        before = store.load()
        taught = [one.event for one in before.site.taught] if before else []
        if before is None or not taught:
            raise UsageError("no alarm was taught; 'edge-asd forget --list' shows what was learned")
        opened = open_proven(bundle)
        require_same_bundle(opened, before)
        events = [event] if event else taught[-1:] if last else taught
        learned = without(opened, before, events, datetime.now(UTC))
        version = store.add(learned)
    typer.echo(
        f"{learned.site.machine}: forgot {', '.join(events)} ({version}); threshold "
        f"{before.site.threshold.threshold:.4g} -> {learned.site.threshold.threshold:.4g}"
    )


def _state_of(roots: list[Path], machine: str | None) -> StateFolder:
    """State of the machine that is named, or of the only one of which anything was learned."""
    from edge_asd.learn.store import learned_states
    from edge_asd.state.folder import StateFolder

    if machine is None:
        known = [one for root in roots for one in learned_states(root)]
    else:  # what is learned of it may be damaged
        known = [one for root in roots if (one := StateFolder(root, machine)).learned.is_dir()]
    if len(known) == 1:
        return known[0]
    names = ", ".join(one.machine for one in known)
    if known:
        raise UsageError(
            f"several machines have learned ({names}): name one with --machine, or its folder with "
            "--state"
        )
    places = " or ".join(map(str, roots))
    raise UsageError(f"nothing{f' of {machine!r}' if machine else ''} was learned in {places}")


def _list(store: LearnedStore, *, as_json: bool) -> None:
    for version in store.versions:
        in_use = version == store.current
        try:
            learned = store.load(version)
        except StateError as error:
            typer.echo(str(error), err=True)
            continue
        if learned is None:
            continue
        site = learned.site
        taught = [one.event for one in site.taught]
        threshold = f"threshold {site.threshold.threshold:.4g}"
        if as_json:
            content = {
                "version": version,
                "in_use": in_use,
                "created_utc": site.created_utc,
                "change": site.change,
                "bundle": site.bundle.name,
                "taught": taught,
                "threshold": site.threshold.threshold,
            }
            typer.echo(json.dumps(content))
        else:
            typer.echo(
                f"{version}{' *' if in_use else '  '} {site.created_utc}  {site.change}; "
                f"{threshold}, all taught: {', '.join(taught) or 'none'}"
            )
