"""``edge-asd listen``: watch one machine, live or from a recording."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_asd.commands import options
from edge_asd.errors import UsageError

if TYPE_CHECKING:
    from edge_asd.monitor.session import Recording
    from edge_asd.profile import Profile

__all__ = ["listen"]


def listen(
    device: options.Device = None,
    input_path: Annotated[
        str | None,
        typer.Option("--input", help="WAV or FLAC file instead; - for WAV or raw PCM on stdin."),
    ] = None,
    input_rate_hz: options.InputRateHz = None,
    bundle: options.Bundle = options.LATEST_BUNDLE,
    machine: options.Machine = None,
    profile: options.Profile = "default",
    wait: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds to wait for a missing sound card; 0 ends at once."),
    ] = None,
    hop_s: options.HopSeconds = None,
    duration_s: Annotated[
        float | None, typer.Option(min=0.001, max=1e10, help="Stop after so many seconds of audio.")
    ] = None,
    block_s: Annotated[
        float | None,
        typer.Option(min=0.005, max=2, help="Audio per block of a card or a pipe, in seconds."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Also append every event to this file, as JSON lines.")
    ] = None,
    state: options.State = None,
    start: Annotated[
        str | None,
        typer.Option(help="When a recording began, in UTC; now if left out."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Listen to a machine and raise an alarm when it stops sounding normal.

    Takes two channels, near (first) and far (second), from a sound card, a file or a pipe.
    In a terminal it shows levels, score and alarm; otherwise, or with --json, it prints one
    JSON object per event. A sound card that is missing is waited for, one that dies is opened
    again; both are faults that every output is given. Ctrl-C ends it cleanly, with a summary. A
    recording leaves no state, and uses nothing that was learned, unless --state is given.

    Examples

        edge-asd listen --device hw:1

        edge-asd listen --device usb:0d8c:0014 --profile site.toml --machine pump-3

        edge-asd listen --device hw:1 --bundle bundles/pumps --machine pump --json

        edge-asd listen --input night.wav --start 2026-11-22T22:00:00Z --output events.jsonl

        arecord -D hw:1 -f S16_LE -c 2 -r 48000 | edge-asd listen --input -
    """
    from edge_asd.monitor.session import Session
    from edge_asd.monitor.stop import stop_on_signals
    from edge_asd.profile import readable_profile

    if device is not None and input_path is not None:
        raise UsageError("--device and --input exclude each other; give one of them")
    options.require_pipe_rate(input_path == "-", input_rate_hz)
    readable, mistake = readable_profile(profile)
    settings = readable.with_values(
        capture={"device": device, "block_s": block_s, "wait_s": wait},
        detector={"hop_s": hop_s},
        sinks={"jsonl": {"path": str(output) if output else None}},
    )
    recording = _recording(input_path, input_rate_hz, settings, _parse_start(start))
    with stop_on_signals() as stop:
        Session(
            profile=settings,
            bundle=bundle,
            machine=machine,
            recording=recording,
            state=state,
            duration_s=duration_s,
            as_json=as_json,
            environment=os.environ,
            stop=stop,
            mistake=mistake,
        ).run()


def _recording(
    path: str | None, rate_hz: int | None, profile: Profile, start: datetime
) -> Recording | None:
    if path is None:
        return None  # and nothing is imported that could be broken before anybody is told

    from edge_asd.audio.pipe import PipeSource, standard_input
    from edge_asd.audio.source import FileSource
    from edge_asd.monitor.session import Recording

    def at_rate(target_hz: int) -> FileSource | PipeSource:
        capture = profile.capture
        if path != "-":
            # In its own blocks, whatever those of cards are: `score` hears the same.
            return FileSource(Path(path), sample_rate_hz=target_hz, channels=capture.near_far)
        return standard_input(
            rate_hz,
            sample_rate_hz=target_hz,
            block_s=capture.block_s,
            stall_timeout_s=capture.stall_timeout_s,
            channels=capture.near_far,
        )

    return Recording(at_rate, start)


def _parse_start(start: str | None) -> datetime:
    if start is None:
        return datetime.now(UTC)
    time = options.utc_time("--start", start)
    if not 1900 <= time.year <= 2900:  # a zone or a long recording must not leave the calendar
        raise UsageError(
            f"--start {start!r} is no time of a recording; write it like 2026-11-22T08:30:00Z"
        )
    return time
