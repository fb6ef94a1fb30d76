"""What the position of the far microphone costs: machine and noise through the view ``clean``.

    python benchmarks/microphone_positions.py
    python benchmarks/microphone_positions.py --machine quiet_hall.flac --noise machine_off.flac
    python benchmarks/microphone_positions.py --write POSITIONS

Machine and noise are mixed at several levels of the machine at the far microphone, as against the
near one, and of the machine above the noise at the near one. Because both are known alone, what
the filter of the mixture does to each can be told; beside it stands what `doctor` says of the
mixture. All figures are averages over frequencies, as `doctor` says them.

Sound: the synthetic machines, healthy, in both domains, or two-channel recordings of a machine
without noise and of the noise without the machine. With --write, a data set of the synthetic
machines for each position, to train and evaluate on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge_asd.audio.decode import read_audio
from edge_asd.audio.noise_cancelling import short_time_spectra, transfer
from edge_asd.recordings.clip_name import SAMPLE_RATE_HZ
from edge_asd.signal.cancelling_gain import CancellingGain
from edge_asd_export.synth.catalogue import MACHINES
from edge_asd_export.synth.dataset import DataSetSettings, planned_clips
from edge_asd_export.synth.scene import Scene

LEAKS_DB = (-np.inf, -20.0, -10.0, -6.0, 0.0)
ABOVE_NOISE_DB = (8.0, 0.0, -6.0)
WINDOW_S = 10.0
N_CLIPS = 3  # of each machine and domain
_POWER_FLOOR = 1e-9

Sound = NDArray[np.float64]  # (2, n_samples)


@dataclass(frozen=True, slots=True)
class Effect:
    """What cancelling does to one mixture, in dB averaged over frequencies."""

    background_db: float  # how much quieter it gets in near
    machine_db: float
    said: CancellingGain


def main() -> None:
    """Measure and print, or write data sets."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--machine", type=Path, help="recording of the machine without noise")
    parser.add_argument("--noise", type=Path, help="recording of the noise without the machine")
    parser.add_argument(
        "--write", type=Path, metavar="DIR", help="write data sets, measure nothing"
    )
    parser.add_argument("--machines", nargs="+", default=list(MACHINES), help="synthetic ones")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if (options.machine is None) != (options.noise is None):
        parser.error("--machine and --noise belong together: give both recordings")
    if options.write:
        for leak_db in LEAKS_DB:
            name = f"far_{_leak(leak_db)}".replace(" dB", "dB").replace(" ", "_")
            _write(options.write / name, options.machines, leak_db, options.seed)
        return
    if options.machine:
        pairs = list(_windows(options.machine, options.noise))
    else:
        pairs = list(_synthetic(options.machines, options.seed))
    print(
        "| machine above noise at near | machine at far, to near | background falls by | "
        "machine falls by | gained | doctor: background | doctor: machine | doctor warns |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    for above_db in ABOVE_NOISE_DB:
        for leak_db in LEAKS_DB:
            print(_row(leak_db, above_db, [effect(*pair, leak_db, above_db) for pair in pairs]))


def effect(machine: Sound, noise: Sound, leak_db: float, above_db: float) -> Effect:
    """Mix, cancel, and take apart again what came of machine and noise."""
    machine = leaked(machine, leak_db)
    noise = noise * _rms(machine[0]) / _rms(noise[0]) * 10 ** (-above_db / 20)
    near, far = short_time_spectra((machine + noise).astype(np.float32))
    explaining = transfer(near, far)

    def fallen_db(alone: Sound) -> float:
        before, heard_far = short_time_spectra(alone.astype(np.float32))
        after = before - explaining * heard_far
        ratio = (_power(before) + _POWER_FLOOR) / (_power(after) + _POWER_FLOOR)
        return float(10 * np.log10(ratio).mean())

    said = CancellingGain.measure((machine + noise).astype(np.float32))
    if said is None:
        raise SystemExit("the recordings are too short: record at least ten seconds")
    return Effect(fallen_db(noise), fallen_db(machine), said)


def leaked(machine: Sound, leak_db: float) -> Sound:
    """The machine with its level at far so much above that at near."""
    gain = 10 ** (leak_db / 20) * _rms(machine[0]) / max(_rms(machine[1]), 1e-12)
    return np.stack([machine[0], gain * machine[1]])


def _synthetic(names: Sequence[str], seed: int) -> Iterator[tuple[Sound, Sound]]:
    """Machine and everything else of some healthy clips."""
    settings = DataSetSettings(N_CLIPS, N_CLIPS, 0, clip_s=WINDOW_S, seed=seed)
    for name in names:
        for clip in planned_clips(MACHINES[name], settings):
            scene = clip.scene(MACHINES[name], settings)
            yield scene.machine, scene.background + scene.sensors


def _windows(machine: Path, noise: Path) -> Iterator[tuple[Sound, Sound]]:
    """Windows of two recordings, as many as the shorter one has."""
    (first, rate_hz), (second, other_hz) = read_audio(machine), read_audio(noise)
    if rate_hz != other_hz or rate_hz != SAMPLE_RATE_HZ:
        raise SystemExit(f"{machine}: {rate_hz} Hz, {noise}: {other_hz} Hz, expected 16000 Hz")
    n_samples = round(WINDOW_S * rate_hz)
    starts = range(0, min(first.shape[1], second.shape[1]) - n_samples + 1, n_samples)
    if not starts:
        raise SystemExit("the recordings are too short: record at least ten seconds")
    for start in starts:
        part = slice(start, start + n_samples)
        yield first[:, part].astype(np.float64), second[:, part].astype(np.float64)


def _row(leak_db: float, above_db: float, effects: Sequence[Effect]) -> str:
    background_db = float(np.mean([one.background_db for one in effects]))
    machine_db = float(np.mean([one.machine_db for one in effects]))
    said = CancellingGain.mean([one.said for one in effects])
    advised = sum(bool(one.said.advice) for one in effects)
    return (
        f"| {above_db:+.0f} dB | {_leak(leak_db)} | {background_db:.1f} dB | {machine_db:.1f} dB | "
        f"{background_db - machine_db:+.1f} dB | {said.background_db:.1f} dB | "
        f"{said.machine_db:.1f} dB | {advised} of {len(effects)} |"
    )


def _leak(leak_db: float) -> str:
    return f"{leak_db:.0f} dB" if np.isfinite(leak_db) else "not heard"


def _write(folder: Path, names: Sequence[str], leak_db: float, seed: int) -> None:
    """Write the data set of `edge-asd synth` with another level of the machine at far."""
    settings = DataSetSettings(40, 10, 20, clip_s=WINDOW_S, seed=seed)
    for name in names:
        print(f"{folder / name}", file=sys.stderr)
        for clip in planned_clips(MACHINES[name], settings):
            scene = clip.scene(MACHINES[name], settings)
            heard = Scene(leaked(scene.machine, leak_db), scene.background, scene.sensors)
            path = folder / clip.path_below(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, heard.recording.T, SAMPLE_RATE_HZ, subtype="PCM_16")


def _power(spectra: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Power of each bin over all frames."""
    return np.asarray((spectra.real**2 + spectra.imag**2).sum(axis=0))


def _rms(sound: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(sound).mean()))


if __name__ == "__main__":
    main()
