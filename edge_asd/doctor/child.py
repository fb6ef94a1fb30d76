"""Child processes: what may crash or hang does so there.

A task is a function of this module, called as ``python -m edge_asd.doctor.child TASK JSON``.
The last line that it prints is a JSON object.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_asd.errors import AudioError, EdgeAsdError

__all__ = ["Ending", "ask_child", "check_bundle", "record", "run_python", "sound_card", "speed"]

_MAX_CHARS = 300  # of what a library prints before it dies
_RATES_HZ = (16000, 32000, 44100, 48000, 96000)
_N_CHANNELS = 2


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended."""

    code: int | None  # negative: the signal that killed it; None: it had to be killed
    output: str
    complaint: str  # the last line on stderr
    timeout_s: float

    @property
    def illegal_instruction(self) -> bool:
        """Whether it was made for another processor."""
        return self.code == -signal.SIGILL

    @property
    def trouble(self) -> str:
        """Why it did not end well, in words; "" when it did."""
        if self.code is None:
            return f"did not end within {self.timeout_s:g} s"
        if self.code < 0:
            return f"died of {signal.Signals(-self.code).name}"
        return "" if self.code == 0 else self.complaint or f"exit code {self.code}"


def run_python(arguments: list[str], *, timeout_s: float) -> Ending:
    """Run this interpreter again, and wait for its end or the deadline."""
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Ending(None, "", "", timeout_s)
    last = next(reversed(done.stderr.strip().splitlines()), "")
    return Ending(done.returncode, done.stdout, last[:_MAX_CHARS], timeout_s)


def ask_child(
    task: Callable[..., dict[str, Any]], *, timeout_s: float, **arguments: Any
) -> dict[str, Any]:
    """Return what a task of this module finds in a child process.

    A task that fails, dies or hangs gives ``{"error": why}``.
    """
    command = ["-m", "edge_asd.doctor.child", task.__name__, json.dumps(arguments)]
    ending = run_python(command, timeout_s=timeout_s)
    lines = ending.output.strip().splitlines()
    if ending.trouble or not lines:
        return {"error": ending.trouble or "it said nothing"}
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def sound_card(device: str, root: str) -> dict[str, Any]:
    """Which card `device` means, why, and the rates at which it records two channels."""
    from edge_asd.capture.sound_device import input_devices, refusal, resolve

    choice = resolve(device, input_devices(Path(root)))
    rates_hz = sorted({*_RATES_HZ, choice.device.default_rate_hz})
    refusals = {rate_hz: refusal(choice.device, rate_hz) for rate_hz in rates_hz}
    errors = [error for error in refusals.values() if error]
    return {
        "index": choice.device.index,
        "name": choice.device.name,
        "reason": choice.reason,
        "lasting_name": choice.lasting_name,
        "default_rate_hz": choice.device.default_rate_hz,
        "rates_hz": [rate_hz for rate_hz, error in refusals.items() if not error],
        "trouble": str(errors[-1].args[0]) if len(errors) == len(refusals) else "",
    }


def record(index: int, rate_hz: int, seconds: float, warmup_s: float, file: str) -> dict[str, Any]:
    """Record two channels to a .npy file (2, n) float32, without the first `warmup_s`."""
    from edge_asd.capture.sound_device import load_sounddevice

    sounddevice = load_sounddevice()
    n_frames = round((warmup_s + seconds) * rate_hz)
    try:
        frames: NDArray[np.float32] = sounddevice.rec(
            n_frames,
            samplerate=rate_hz,
            channels=_N_CHANNELS,
            dtype="float32",
            device=index,
            blocking=True,
        )
    except sounddevice.PortAudioError as error:
        raise AudioError(str(error.args[0])) from error
    np.save(file, frames[round(warmup_s * rate_hz) :].T.copy())
    return {"frames": n_frames}


def check_bundle(bundle: str, threads: int) -> dict[str, Any]:
    """What ``edge-asd check`` verifies."""
    from edge_asd.bundle.check import check_bundle

    return {"findings": [[f.what, f.detail] for f in check_bundle(Path(bundle), threads=threads)]}


def speed(
    bundle: str, machine: str | None, threads: int, search: str, seconds: float
) -> dict[str, Any]:
    """Time per window of a machine's detector, and the memory that it takes."""
    from edge_asd.bundle.bundle import Bundle
    from edge_asd.scoring import bench

    opened = Bundle.open(Path(bundle), verify=False)
    if machine is not None and machine not in opened.manifest.machines:
        machine = next(iter(opened.manifest.machines))  # enrolled here: the same extractors
    detector = opened.detector(machine, threads=threads, search=search)  # type: ignore[arg-type]
    durations = bench.measure(
        detector,
        bench.noise_windows(detector.window_samples),
        seconds=seconds,
        clock=time.perf_counter,
    )
    window = bench.stage_times(durations)[-1]
    return {
        "machine": detector.machine,
        "mean_s": window.mean_ms / 1e3,
        "p95_s": window.p95_ms / 1e3,
        "hop_s": detector.hop_s,
        "window_s": detector.window_samples / detector.sample_rate_hz,
        "peak_bytes": bench.peak_rss_bytes(),
    }


def _main(task: str, arguments: str) -> None:
    try:
        answer = globals()[task](**json.loads(arguments))
    except EdgeAsdError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    _main(*sys.argv[1:])
