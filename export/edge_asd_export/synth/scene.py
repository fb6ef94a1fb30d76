"""One recording: a machine at its site, heard by two microphones.

    near = high-pass(g (m * h_nm + b * h_nb)) + sensor noise        far likewise

All chance comes from `Draws`, a function of machine, domain, split and running number but never
of the label: the normal and the anomalous clip of one number differ by the fault alone.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from edge_asd.bundle.manifest import Domain
from edge_asd.recordings.clip_name import SAMPLE_RATE_HZ
from edge_asd_export.synth.background import background
from edge_asd_export.synth.machine import Condition, Machine, Operation
from edge_asd_export.synth.room import Room, SoundPath, draw_room
from edge_asd_export.synth.signals import Signal, rms

__all__ = ["GAIN_JITTER_DB", "Draws", "Scene", "render"]

_LEVEL_DBFS = -34.0  # of the machine at the near microphone
GAIN_JITTER_DB = 6.0  # wide, so that a fault's peaks say little about its presence
_SNR_DB: dict[Domain, float] = {"source": 8.0, "target": 6.0}  # at the near microphone
_SNR_JITTER_DB = 2.0
_SENSOR_NOISE_DBFS = -78.0
_AC_COUPLING = butter(2, 30.0, "highpass", fs=SAMPLE_RATE_HZ, output="sos")  # no DC, no wind
_PLACE_JITTER = 0.03  # relative change of each distance from clip to clip


@dataclass(frozen=True, slots=True)
class Draws:
    """Independent random generators, one per purpose, from a seed and a list of words."""

    seed: int
    words: tuple[str | int, ...]

    def of(self, purpose: str) -> np.random.Generator:
        """A fresh generator that gives the same values every time."""
        text = "/".join(map(str, (*self.words, purpose)))
        return np.random.default_rng([self.seed, zlib.crc32(text.encode())])


@dataclass(frozen=True, slots=True)
class Scene:
    """The summands of a recording, each (2, n_samples) at 16 kHz: near, far."""

    machine: Signal
    background: Signal
    sensors: Signal

    @property
    def recording(self) -> NDArray[np.float32]:
        """Near and far recording, (2, n_samples) float32 in [-1, 1]."""
        total = self.machine + self.background + self.sensors
        return np.clip(total, -1, 1).astype(np.float32)


def render(
    machine: Machine,
    condition: Condition,
    domain: Domain,
    draws: Draws,
    severity: Signal,
    *,
    fault: str | None = None,
    gain_jitter_db: float = GAIN_JITTER_DB,
) -> Scene:
    """What two microphones hear of a running machine.

    Parameters
    ----------
    machine, condition, domain
        What runs, how it runs, and which background surrounds it.
    draws
        All chance of this recording.
    severity
        Of the fault at each sample, (n_samples,): 0 healthy, about 0.35 subtle, about 1 strong.
    fault
        One of `machine.faults`; None for a healthy machine.
    gain_jitter_db
        How far the gain of the microphones may be from the usual one, either way.
    """
    sound = machine.sound(Operation(condition, fault, severity, draws.of("machine")))
    other = background(domain, len(severity), draws.of("background"))
    room = _room(machine.name, domain)
    place = draws.of("place")
    machine_image = _heard(room.machine, sound, place)
    background_image = _heard(room.background, other, place)

    levels = draws.of("levels")
    gain_db = _LEVEL_DBFS + levels.uniform(-gain_jitter_db, gain_jitter_db)
    snr_db = _SNR_DB[domain] + levels.uniform(-_SNR_JITTER_DB, _SNR_JITTER_DB)
    machine_image *= _amplitude(gain_db) / _level_of_machine(machine_image[0], severity)
    background_image *= _amplitude(gain_db - snr_db) / rms(background_image[0])
    sensors = draws.of("sensors").standard_normal(machine_image.shape)
    return Scene(machine_image, background_image, _amplitude(_SENSOR_NOISE_DBFS) * sensors)


@cache
def _room(machine: str, domain: Domain) -> Room:
    """Fixed per machine, whatever the seed: the seed chooses the recordings, not the machine."""
    draws = Draws(0, (machine, "site"))
    return draw_room(draws.of("machine"), draws.of(domain))


def _heard(paths: tuple[SoundPath, SoundPath], sound: Signal, place: np.random.Generator) -> Signal:
    moves = place.uniform(1 - _PLACE_JITTER, 1 + _PLACE_JITTER, len(paths))
    images = [path.moved(move).heard(sound) for path, move in zip(paths, moves, strict=True)]
    heard: Signal = sosfilt(_AC_COUPLING, np.stack(images))
    return heard


def _level_of_machine(near: Signal, severity: Signal) -> float:
    """RMS while healthy; of everything in a clip that is faulty throughout.

    So the level of a clip does not tell its label, yet within one stream a fault that makes the
    machine louder does make it louder.
    """
    healthy = severity == 0
    return rms(near[healthy] if healthy.any() else near)


def _amplitude(level_db: float) -> float:
    return float(10 ** (level_db / 20))
