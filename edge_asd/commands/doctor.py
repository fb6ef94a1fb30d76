"""``edge-asd doctor``: is this device fit to listen?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_asd.command_line import as_typed
from edge_asd.commands import options
from edge_asd.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_asd.doctor.verdict import Verdict

__all__ = ["doctor"]


def doctor(
    device: options.Device = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Bundle to check and time; else bundles/latest.")
    ] = None,
    machine: options.Machine = None,
    profile: options.Profile = "default",
    state: options.State = None,
    seconds: Annotated[
        float, typer.Option(min=1.0, max=60.0, help="Length of the short recording.")
    ] = 3.0,
    as_json: options.Json = False,
    archive: Annotated[
        Path | None, typer.Option(help="Also write a support archive, such as support.tar.gz.")
    ] = None,
    with_audio: Annotated[
        bool, typer.Option("--with-audio", help="Put the sound of alarms into it, too.")
    ] = False,
) -> None:
    """Examine this device and its installation: one page of verdicts.

    Looks at libraries, processor, heat, clock, disk, sound card, bundle, outputs and the
    monitors that run, and records a few seconds to see whether both microphones hear. Run it
    while no monitor uses the sound card. Each line is ok, warning, problem, or not checked.

    The archive holds the page, the profile, versions, logs and the last alarms: no sound
    unless asked for, and no passwords.

    Exit code: 0 there is no problem, 1 there is one at least.

    Examples

        edge-asd doctor --device hw:1 --bundle bundles/pumps

        edge-asd doctor --profile /etc/edge-asd/pump.toml --json

        sudo edge-asd doctor --state /var/lib/edge-asd --archive support.tar.gz
    """
    import os
    import tempfile

    from edge_asd.control.monitors import root_in_use
    from edge_asd.doctor import archive as support
    from edge_asd.doctor.examination import examine, to_dict
    from edge_asd.doctor.installation import Installation
    from edge_asd.profile import load_profile
    from edge_asd.state.places import state_roots

    if with_audio and archive is None:
        raise UsageError("--with-audio is about the archive: give --archive FILE.tar.gz, too")
    settings = load_profile(profile)
    with tempfile.TemporaryDirectory() as folder:
        installation = Installation(
            profile=settings,
            device=device or settings.capture.device,
            bundle=bundle or (options.LATEST_BUNDLE if options.LATEST_BUNDLE.is_dir() else None),
            machine=machine,
            state=root_in_use(state_roots(state, settings, os.environ)),
            seconds=seconds,
            environment=os.environ,
            recording=Path(folder) / "recording.npy" if with_audio else None,
        )
        found = list(_with_progress(examine(installation)))
        content = to_dict(found)
        if as_json:
            typer.echo(json.dumps(content))
        else:
            _print(found)
        if archive is not None:
            support.write_archive(
                archive, support.members(installation, content, with_audio=with_audio)
            )
            typer.echo(f"wrote {archive}", err=True)
    if not content["healthy"]:
        raise typer.Exit(1)


def _with_progress(verdicts: Iterable[tuple[str, Verdict]]) -> Iterable[tuple[str, Verdict]]:
    from rich.console import Console

    with Console(stderr=True).status("examining this device") as status:
        for group, verdict in verdicts:
            status.update(f"examined: {group}")
            yield group, verdict


def _print(verdicts: list[tuple[str, Verdict]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from edge_asd.commands import tables

    styles = {"ok": "green", "warning": "yellow", "problem": "bold red", "not checked": "dim"}
    console = tables.plain_console(pipe_width=160)
    page = Table.grid(padding=(0, 2))
    above = ""
    for group, verdict in verdicts:
        if group != above:
            above = group
            page.add_row(Text(group, style="bold"))
        found = Text(verdict.found)
        if verdict.advice:
            found.append(as_typed(f"\n-> {verdict.advice}"), style="italic")
        state = Text(verdict.state, style=styles[verdict.state])
        page.add_row(Text(f"  {verdict.check}"), state, found)
    console.print(page)
    states = [verdict.state for _, verdict in verdicts]
    counts = {state: states.count(state) for state in ("problem", "warning") if state in states}
    said = ", ".join(f"{n} {state}{'s' * (n > 1)}" for state, n in counts.items())
    console.print(said or "no problem found")
