"""``edge-asd record``: record normal sound of a machine to train with."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_asd.commands import options
from edge_asd.errors import UsageError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from edge_asd.audio.block import Source
    from edge_asd.profile import CaptureSettings
    from edge_asd.recordings.clip_session import ClipSession
    from edge_asd.recordings.training_clips import TrainingClips

__all__ = ["record"]

_MINUTES = 60.0
_INTERRUPTED = 130  # 128 + SIGINT, what a shell reports for Ctrl-C


def record(
    machine: Annotated[
        str, typer.Option(callback=options.name_of, help="Name of the machine, and of its folder.")
    ],
    device: options.Device = None,
    input_paths: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="WAV or FLAC file instead, or a folder of them; repeatable; - for WAV "
            "or raw PCM on stdin.",
        ),
    ] = None,
    input_rate_hz: options.InputRateHz = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.01, help="How much there shall be in the end; 60 if left out. Files: all of them."
        ),
    ] = None,
    attribute: options.Attributes = None,
    domain: Annotated[
        Literal["source", "target"],
        typer.Option(help="target: another operating condition, of which there is little."),
    ] = "source",
    clip_s: options.ClipSeconds = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of machine folders.")] = Path(
        "recordings"
    ),
    profile: options.Profile = "default",
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for a missing sound card.")
    ] = 60.0,
    accept_quality: Annotated[
        bool,
        typer.Option("--accept-quality", help="Even if it clips or has one channel twice."),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Record normal sound of a machine, to train with on the workstation.

    Writes two-channel FLAC clips at 16 kHz in the layout that `edge-asd train` reads, and
    beside them `takes.csv`, which says what was recorded in one go. Clips share no sound, and
    none goes across a gap. One with silence, a dead channel, clipping or the like is left out,
    and the reason told. Machine and neighbours should do what they normally do, all of it.

    It can be ended or killed at any time: the same command goes on until there are so many
    minutes of this machine, domain and attributes. An attribute names a state of the machine
    that you know, such as its speed: record each state with its own.

    Exit code: 0 it is complete, 1 it failed or the disk is full, 130 it was interrupted.

    Examples

        edge-asd record --device hw:1 --machine pump-3 --minutes 60

        edge-asd record --device hw:1 --machine pump-3 --minutes 20 --attribute speed=2

        edge-asd record --device hw:1 --machine pump-3 --minutes 5 --domain target

        edge-asd record --input monday.flac --input tuesday.flac --machine pump-3

        arecord -f dat | edge-asd record --machine pump-3 --input -
    """
    from edge_asd.monitor.stop import stop_on_signals
    from edge_asd.profile import load_profile
    from edge_asd.recordings.clip_name import attribute_text
    from edge_asd.recordings.clip_session import ClipSession
    from edge_asd.recordings.summary import RecordingSummary
    from edge_asd.recordings.training_clips import training_clips

    paths = input_paths or []
    if device is not None and paths:
        raise UsageError("--device and --input exclude each other; give one of them")
    if "-" in paths and paths != ["-"]:
        raise UsageError("'--input -' goes with no other input; leave the files out")
    options.require_pipe_rate(paths == ["-"], input_rate_hz)
    settings = load_profile(profile).with_values(capture={"device": device, "wait_s": wait})
    text = attribute_text(attribute or [])
    opened = training_clips(out, machine, clip_s, reserve_bytes=settings.clips.reserve_bytes)
    with opened as clips, stop_on_signals() as stop:
        limit = _limit(minutes or (None if paths else _MINUTES), clips.clip_s)
        checked = settings.signal.checks and not accept_quality
        session = ClipSession(clips, domain, text, limit, accept_faults=not checked)
        _say_how_much_is_there(session, clips)
        well = False
        try:
            session.run(_sources(paths, input_rate_hz, settings.capture, stop), stop)
            well = True
        finally:
            if well or session.n_new:
                summary = RecordingSummary.of(session, clips, domain, text, out)
                content = json.dumps(summary.content(), ensure_ascii=False)
                typer.echo(content if as_json else summary.text(what_next=well))
    if stop.is_set() and not session.complete:
        raise typer.Exit(_INTERRUPTED)


def _limit(minutes: float | None, clip_s: float) -> int | None:
    """Return how many clips so many minutes are; None: as many as come."""
    from edge_asd.recordings.clip_name import MOST_CLIPS

    if minutes is None:
        return None
    n_clips = math.ceil(round(60 * minutes / clip_s, 6))
    if n_clips > MOST_CLIPS:
        raise UsageError(
            f"--minutes {minutes:g} are {n_clips} clips of {clip_s:g} s, and names have four "
            f"digits: ask for {MOST_CLIPS * clip_s / 60:.0f} at most"
        )
    return n_clips


def _say_how_much_is_there(session: ClipSession, clips: TrainingClips) -> None:
    from edge_asd.recordings.summary import in_minutes

    if session.missing:
        there = in_minutes(session.n_clips, clips.clip_s)
        missing = in_minutes(session.missing, clips.clip_s)
        typer.echo(f"{clips.folder}: {there} are there, {missing} to record", err=True)
    if lacking := clips.lacks_room(session.missing):
        typer.echo(f"the disk may be full before that: {lacking}", err=True)


def _sources(
    paths: list[str], input_rate_hz: int | None, capture: CaptureSettings, stop: threading.Event
) -> Iterator[Callable[[], Source]]:
    """Yield what opens the pipe, each file, or the sound card."""
    from edge_asd.audio.pipe import standard_input
    from edge_asd.audio.source import FileSource, audio_files
    from edge_asd.capture.live_source import LiveSource
    from edge_asd.learn.sound_progress import say_fault
    from edge_asd.recordings.clip_name import SAMPLE_RATE_HZ

    if paths == ["-"]:
        yield partial(
            standard_input,
            input_rate_hz,
            sample_rate_hz=SAMPLE_RATE_HZ,
            block_s=capture.block_s,
            stall_timeout_s=capture.stall_timeout_s,
            channels=capture.near_far,
        )
    elif paths:
        for path in audio_files(map(Path, paths)):
            yield partial(
                FileSource, path, sample_rate_hz=SAMPLE_RATE_HZ, channels=capture.near_far
            )
    else:
        yield partial(
            LiveSource,
            capture.device,
            capture,
            sample_rate_hz=SAMPLE_RATE_HZ,
            report=say_fault,
            stop=stop,
        )
