"""``edge-asd enroll --watch``: have the monitor of a machine commission it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from edge_asd.errors import UsageError

if TYPE_CHECKING:
    from edge_asd.bundle.bundle import Bundle
    from edge_asd.learn.commissioning import CommissioningFolder, CommissioningPlan
    from edge_asd.learn.enrolment import SiteGoal
    from edge_asd.learn.store import LearnedStore
    from edge_asd.profile import Profile
    from edge_asd.state.folder import StateFolder

__all__ = ["begin_commissioning", "end_commissioning"]


def begin_commissioning(
    bundle: Bundle,
    state: StateFolder,
    profile: Profile,
    like: str | None,
    watch_s: float,
    goal: SiteGoal,
    *,
    then_listen: bool,
    as_json: bool,
) -> None:
    """Begin, or go on with, a commissioning: in the monitor that runs, else in this process.

    Parameters
    ----------
    like : machine of the bundle; None: the first that can be
    goal : of the alarm that it arms
    then_listen : go on as ``listen`` does once the machine is commissioned

    Raises
    ------
    UsageError
        When the time is too short, or nothing can be learned with the bundle.
    EdgeAsdError
        As ``listen`` does.
    """
    from edge_asd.control.control_socket import ask
    from edge_asd.control.monitors import runs
    from edge_asd.learn.commissioning import CommissioningFolder, CommissioningPlan
    from edge_asd.learn.enrolment import LEAST_WINDOWS, like_machine
    from edge_asd.learn.opened_machine import bundle_stamp
    from edge_asd.learn.store import LearnedStore
    from edge_asd.monitor.session import Session
    from edge_asd.monitor.stop import stop_on_signals
    from edge_asd.state.trust import acting_as_owner

    least_s = 2 * LEAST_WINDOWS["source"] * bundle.manifest.hop_s
    if watch_s < least_s:
        raise UsageError(f"--watch is too short: ask for {least_s:.0f}s or more, best for days")
    folder = CommissioningFolder(state)
    plan = CommissioningPlan(
        machine=state.machine,
        like=like_machine(bundle, state.machine, like),
        bundle_sha256=bundle_stamp(bundle).sha256,
        watch_s=watch_s,
        false_alarms_per_month=goal.false_alarms_per_month,
        false_alarm_rate=goal.false_alarm_rate,
        begun=datetime.now(UTC),
    )
    store = LearnedStore(state)
    with store.writing(), acting_as_owner(state.path):
        _begin(folder, plan, store)
    if runs(state):
        ask(state.control_socket, "reload")
        typer.echo(
            "the running monitor listens without alarms now, and arms itself; 'edge-asd alarms' "
            "says how much is left",
            err=True,
        )
        return
    with stop_on_signals() as stop:
        Session(
            profile=profile,
            bundle=bundle.path,
            machine=state.machine,
            recording=None,
            state=state.path.parent,
            duration_s=None,
            as_json=as_json,
            environment=os.environ,
            stop=stop,
            until_armed=not then_listen,
        ).run()
    if folder.plan is not None:
        typer.echo("to go on, give the same command again, or 'edge-asd listen'", err=True)


def end_commissioning(state: StateFolder) -> None:
    """End a commissioning that is under way, and say so; call it while learning is locked."""
    from edge_asd.learn.commissioner import sentence
    from edge_asd.learn.commissioning import CommissioningFolder
    from edge_asd.state.trust import acting_as_owner

    folder = CommissioningFolder(state)
    with acting_as_owner(state.path):
        plan = folder.plan
        if plan is not None:
            folder.end()
            typer.echo(f"ends the commissioning that was under way: {sentence(plan)}", err=True)


def _begin(folder: CommissioningFolder, wanted: CommissioningPlan, store: LearnedStore) -> None:
    """Begin anew, unless the same is under way."""
    from edge_asd.events.moment import duration
    from edge_asd.learn.commissioner import sentence

    known = folder.plan
    same = ("like", "bundle_sha256", "watch_s", "false_alarms_per_month", "false_alarm_rate")
    if known and all(getattr(known, name) == getattr(wanted, name) for name in same):
        typer.echo(f"goes on where it was: {sentence(known)}", err=True)
        return
    if known:
        typer.echo(f"begins anew; what was under way is forgotten: {sentence(known)}", err=True)
    elif store.versions:
        typer.echo(
            f"{wanted.machine} was learned before ({store.versions[-1]}): it is learned anew, and "
            f"raises no alarm until {duration(wanted.watch_s)} are heard",
            err=True,
        )
    folder.begin(wanted)
