"""``edge-asd score``: how anomalous are these recordings?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_asd.commands import options
from edge_asd.errors import EdgeAsdError

if TYPE_CHECKING:
    from edge_asd.scoring.recording import RecordingScore

__all__ = ["score"]

_PLAIN_COLUMNS = 54  # characters of file, score, max and verdict


def score(
    files: Annotated[list[Path], typer.Argument(help="WAV or FLAC files with two channels.")],
    bundle: options.Bundle = options.LATEST_BUNDLE,
    machine: options.Machine = None,
    profile: options.Profile = "default",
    hop_s: options.HopSeconds = None,
    state: Annotated[
        Path | None,
        typer.Option(help="Folder of the monitors' state, to use what was learned on site."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of ONNX Runtime; the profile's if left out.")
    ] = None,
    windows: Annotated[bool, typer.Option("--windows", help="Also one row per window.")] = False,
    as_json: options.Json = False,
) -> None:
    """Score recordings exactly as `listen` would.

    The score of a file is the mean over its windows; the highest window is printed too. A
    file is ANOMALOUS when its score exceeds the machine's threshold. Windows that `listen`
    would not score, because a channel is silent in them for example, are skipped here as well,
    with a warning. Files at another sample rate are resampled. A file that cannot be scored is
    reported on stderr, the others still count, and the exit code is 1.

    Examples

        edge-asd score clips/*.wav

        edge-asd score night.flac --machine pump --hop-s 1 --windows

        edge-asd score clips/*.wav --machine pump-3 --state /var/lib/edge-asd

        edge-asd score clips/*.wav --json > scores.jsonl
    """
    from rich.console import Console
    from rich.progress import Progress

    from edge_asd.bundle.proof import open_proven
    from edge_asd.learn.opened_machine import open_machine
    from edge_asd.monitor.judge import judge_of, wanted_hop_s
    from edge_asd.profile import load_profile
    from edge_asd.scoring.recording import score_recording
    from edge_asd.state.folder import StateFolder

    settings = load_profile(profile).with_values(detector={"hop_s": hop_s, "threads": threads})
    whole = open_proven(bundle, root=state)
    folder = StateFolder(state, machine or whole.resolve_machine(None)) if state else None
    opened = open_machine(
        whole,
        machine,
        threads=settings.detector.threads,
        search=settings.detector.search,
        state=folder,
    )
    detector = opened.detector
    hop_s = wanted_hop_s(settings.detector, detector)
    threshold = judge_of(opened, settings.alarm, hop_s).policy.threshold
    failed = False
    rows: list[RecordingScore] = []
    with Progress(
        console=Console(stderr=True), transient=True, disable=len(files) == 1
    ) as progress:
        for path in progress.track(files, description=f"scoring for {detector.machine}"):
            try:
                result = score_recording(
                    path,
                    detector,
                    hop_s,
                    channels=settings.capture.near_far,
                    signal=settings.signal,
                    reference=opened.reference,
                )
            except EdgeAsdError as error:
                failed = True
                typer.echo(f"error: {error}", err=True)
                continue
            for line in result.warnings:
                typer.echo(f"warning: {line}", err=True)
            if as_json:
                typer.echo(json.dumps(result.to_json(threshold, windows=windows), allow_nan=False))
            else:
                rows.append(result)
    if rows:
        _print_table(rows, detector.machine, threshold, windows=windows)
    if failed:
        raise typer.Exit(1)


def _print_table(
    rows: list[RecordingScore], machine: str, threshold: float, *, windows: bool
) -> None:
    from edge_asd.commands import tables

    # Into a pipe or a file a table needs its full width, not 80 columns.
    console = tables.plain_console(pipe_width=240)
    branches = list(rows[0].mean.branches)
    if console.width < _PLAIN_COLUMNS + sum(len(branch) + 3 for branch in branches):
        branches = []
    title = f"machine {machine}, threshold {threshold:.4f}"
    scores = ("score", "max", *branches)
    table = tables.table("file", *scores[:2], "verdict", *branches, right=scores, title=title)
    for column in table.columns[1:]:
        column.no_wrap = True
    if not branches:
        table.caption = "A wider terminal, a pipe or --json shows every branch."
    for row in rows:
        table.add_row(
            str(row.path),
            f"{row.mean.score:.4f}",
            f"{row.max_score:.4f}",
            row.verdict(threshold),
            *(f"{row.mean.branches[branch]:.4f}" for branch in branches),
        )
        for start_s, window in row.windows if windows else ():
            table.add_row(
                f"  from {start_s:.3f} s",
                f"{window.score:.4f}",
                "",
                "above" if window.score > threshold else "",
                *(f"{window.branches[branch]:.4f}" for branch in branches),
            )
    console.print(table)
