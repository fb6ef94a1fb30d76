"""``edge-asd listen``: watch one machine, live or from a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_asd.errors import AudioError, UsageError

if TYPE_CHECKING:
    import threading
    from datetime import datetime

    from edge_asd.alarm import Alarm
    from edge_asd.detector import Detector
    from edge_asd.profile import AlarmSettings, CaptureSettings
    from edge_asd.sinks import Sink
    from edge_asd.source import AudioSource

__all__ = ["listen"]


def listen(
    device: Annotated[
        str | None,
        typer.Option(help="Microphone: hw:1, hw:1,0, an exact name, an index, or default."),
    ] = None,
    input_path: Annotated[
        str | None,
        typer.Option("--input", help="WAV or FLAC file instead; - for raw PCM on stdin."),
    ] = None,
    input_rate_hz: Annotated[
        int | None, typer.Option(min=1000, help="Sample rate of raw PCM on stdin.")
    ] = None,
    bundle: Annotated[Path, typer.Option(help="What normal sounds like.")] = Path("bundles/latest"),
    machine: Annotated[
        str | None, typer.Option(help="Machine of the bundle; may be left out if it has one.")
    ] = None,
    profile: Annotated[
        str, typer.Option(help="Device profile: a built-in name or a .toml file.")
    ] = "default",
    hop_s: Annotated[
        float | None, typer.Option(min=0.001, help="From one window to the next, in seconds.")
    ] = None,
    duration_s: Annotated[
        float | None, typer.Option(min=0.001, help="Stop after so many seconds of audio.")
    ] = None,
    block_s: Annotated[
        float | None,
        typer.Option(min=0.005, max=2, help="Audio per block, in seconds."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Also append every event to this file, as JSON lines.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="When the first sample was recorded, in UTC; now if left out."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON lines on stdout, also in a terminal.")
    ] = False,
) -> None:
    """Listen to a machine and raise an alarm when it stops sounding normal.

    Takes two channels, near (first) and far (second), from a sound card, a file or a pipe.
    In a terminal it shows levels, score and alarm; otherwise, or with --json, it prints one
    JSON object per event: started, score, alarm_raised, alarm_cleared, audio_gap, stopped.
    Ctrl-C ends it cleanly, with a summary.

    Examples

        edge-asd listen --device hw:1

        edge-asd listen --device hw:1 --bundle bundles/pumps --machine pump --json

        edge-asd listen --input night.wav --start 2026-11-22T22:00:00Z --output events.jsonl

        arecord -D hw:1 -f S16_LE -c 2 -r 48000 | edge-asd listen --input - --input-rate-hz 48000
    """
    import sys

    from rich.console import Console

    from edge_asd.bundle import Bundle
    from edge_asd.meter import Meter
    from edge_asd.monitor import Monitor, Subject
    from edge_asd.profile import load_profile
    from edge_asd.resample import resampled
    from edge_asd.sinks.jsonl import JsonlSink

    settings = load_profile(profile)
    opened = Bundle.open(bundle)
    detector = opened.detector(
        machine, threads=settings.detector.threads, search=settings.detector.search
    )
    hop_samples = _hop_samples(hop_s, settings.detector.hop_s, detector)
    log_path = output or (Path(settings.sinks.jsonl) if settings.sinks.jsonl else None)
    start_time = _parse_start(start)
    with ExitStack() as stack:
        stop = stack.enter_context(_stop_on_signals())
        source = _open_source(
            device, input_path, input_rate_hz, block_s, settings.capture, detector
        )
        stack.enter_context(closing(source))
        blocks = resampled(source.blocks(), source.sample_rate_hz, detector.sample_rate_hz)
        sinks: list[Sink] = []
        if log_path is not None:
            sinks.append(stack.enter_context(closing(JsonlSink.append(log_path))))
        if sys.stdout.isatty() and not as_json:
            meter = stack.enter_context(Meter(Console(), lambda: source.backlog_s))
            blocks = meter.watch(blocks, detector.sample_rate_hz)
            sinks.append(meter)
        else:
            stack.callback(_let_go_of_closed_stdout)
            sinks.append(JsonlSink(sys.stdout))
        stopped = Monitor(
            detector,
            _alarm(settings.alarm, detector, hop_samples),
            sinks,
            hop_samples=hop_samples,
            subject=Subject(source.name, source.sample_rate_hz, opened.manifest.name),
            start=start_time,
            stop=stop,
            duration_s=duration_s,
        ).run(blocks)
        if not stopped.windows and not stop.is_set() and duration_s is None:
            raise AudioError(
                f"{source.name} ended after {stopped.seconds:g} s, before one window of "
                f"{detector.window_samples / detector.sample_rate_hz:g} s was complete"
            )


def _hop_samples(asked_s: float | None, profile_s: float | str, detector: Detector) -> int:
    hop_s = asked_s or (detector.hop_s if isinstance(profile_s, str) else profile_s)
    return max(1, round(hop_s * detector.sample_rate_hz))


def _parse_start(start: str | None) -> datetime:
    from datetime import UTC, datetime

    if start is None:
        return datetime.now(UTC)
    try:
        time = datetime.fromisoformat(start)
    except ValueError:
        raise UsageError(
            f"--start {start!r} is not a time; write it like 2026-11-22T08:30:00Z"
        ) from None
    return time.replace(tzinfo=time.tzinfo or UTC)


def _alarm(times: AlarmSettings, detector: Detector, hop_samples: int) -> Alarm:
    from edge_asd.alarm import Alarm, policy_for

    return Alarm(
        policy_for(
            threshold=detector.spec.threshold.threshold,
            clear_threshold=detector.spec.threshold.clear_threshold,
            window_s=detector.window_samples / detector.sample_rate_hz,
            hop_s=hop_samples / detector.sample_rate_hz,
            min_duration_s=None if times.min_duration_s == "auto" else times.min_duration_s,
            holdoff_s=None if times.holdoff_s == "auto" else times.holdoff_s,
        )
    )


def _open_source(
    device: str | None,
    input_path: str | None,
    input_rate_hz: int | None,
    block_s: float | None,
    capture: CaptureSettings,
    detector: Detector,
) -> AudioSource:
    import sys

    from edge_asd.source import FileSource, RawSource

    if device is not None and input_path is not None:
        raise UsageError("--device and --input exclude each other; give one of them")
    if (input_path == "-") != (input_rate_hz is not None):
        raise UsageError(
            "raw PCM on stdin has no header: '--input -' and --input-rate-hz need each other"
        )
    block_s = block_s or capture.block_s
    if input_path is None:
        return _open_microphone(device or capture.device, block_s, capture, detector)
    if input_rate_hz is not None:
        if sys.stdin is None:
            raise AudioError("there is no standard input: it was closed before the start")
        return RawSource(sys.stdin.fileno(), sample_rate_hz=input_rate_hz, block_s=block_s)
    source = FileSource(Path(input_path), block_s=block_s)
    source.require_window(detector.window_samples, detector.sample_rate_hz)
    return source


def _open_microphone(
    query: str, block_s: float, capture: CaptureSettings, detector: Detector
) -> AudioSource:
    from edge_asd.microphone import MicrophoneSource
    from edge_asd.sound_device import input_devices, resolve

    return MicrophoneSource(
        resolve(query, input_devices()),
        preferred_rate_hz=detector.sample_rate_hz,
        block_s=block_s,
        # A stretch that fits between two overflows must hold windows.
        ring_s=max(capture.ring_s, 2 * detector.window_samples / detector.sample_rate_hz),
        stall_timeout_s=capture.stall_timeout_s,
    )


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that SIGINT and SIGTERM set; a second one acts as it always does."""
    import signal
    import threading

    stop = threading.Event()
    previous: dict[int, Callable[..., object] | int | None] = {}

    def on_signal(number: int, _frame: object) -> None:
        stop.set()
        signal.signal(number, previous[number])

    for wanted in (signal.SIGINT, signal.SIGTERM):
        previous[wanted] = signal.signal(wanted, on_signal)
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _let_go_of_closed_stdout() -> None:
    """Keep Python from complaining at exit about lines that nobody will read."""
    import os
    import sys

    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
