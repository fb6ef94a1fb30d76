"""Tasks for child processes (:mod:`edge_asd.child_process`): sound cards and speed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_asd.errors import AudioError

__all__ = ["record", "sound_card", "speed"]

_RATES_HZ = (16000, 32000, 44100, 48000, 96000)


def sound_card(device: str, root: str, near_far: list[int]) -> dict[str, Any]:
    """Which card `device` means, why, and the rates at which it records two of its channels."""
    from edge_asd.capture.sound_device import channel_counts, input_devices, refusal, resolve

    choice = resolve(device, input_devices(Path(root)))
    rates_hz = sorted({*_RATES_HZ, choice.device.default_rate_hz})
    for n_channels in channel_counts(choice.device, near_far):
        refusals = {hz: refusal(choice.device, hz, n_channels) for hz in rates_hz}
        errors = [error for error in refusals.values() if error]
        if len(errors) < len(refusals):
            break
    return {
        "index": choice.device.index,
        "name": choice.device.name,
        "reason": choice.reason,
        "lasting_name": choice.lasting_name,
        "n_channels": n_channels,
        "default_rate_hz": choice.device.default_rate_hz,
        "rates_hz": [rate_hz for rate_hz, error in refusals.items() if not error],
        "trouble": str(errors[-1].args[0]) if len(errors) == len(refusals) else "",
    }


def record(
    index: int,
    rate_hz: int,
    n_channels: int,
    near_far: list[int],
    seconds: float,
    warmup_s: float,
    file: str,
) -> dict[str, Any]:
    """Record two channels to a .npy file (2, n) float32, without the first `warmup_s`."""
    from edge_asd.capture.sound_device import load_sounddevice

    sounddevice = load_sounddevice()
    n_frames = round((warmup_s + seconds) * rate_hz)
    try:
        frames: NDArray[np.float32] = sounddevice.rec(
            n_frames,
            samplerate=rate_hz,
            channels=n_channels,
            dtype="float32",
            device=index,
            blocking=True,
        )
    except sounddevice.PortAudioError as error:
        raise AudioError(str(error.args[0])) from error
    columns = [number - 1 for number in near_far]
    np.save(file, frames[round(warmup_s * rate_hz) :, columns].T.copy())
    return {"frames": n_frames}


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
