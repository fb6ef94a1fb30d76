"""Where machine, background and the two microphones stand, and what the room does.

A path of length d metres is a direct arrival, a few wall reflections and a decaying tail:

    h(t) = delta(t - d/c) / d  +  sum_i g_i delta(t - d_i/c) / d_i  +  tail(t) / r_c

with the critical distance r_c, at which the direct and the reverberant sound are equally loud.
The near microphone stands well inside it, the far one outside and close to the background.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.signal import oaconvolve

from edge_asd.recordings.clip_name import SAMPLE_RATE_HZ
from edge_asd_export.synth.signals import Signal

__all__ = ["Room", "SoundPath", "draw_room"]

_SPEED_OF_SOUND_M_PER_S = 343.0
_N_REFLECTIONS = 6
_DECADES_OF_60_DB = 3 * np.log(10)  # amplitude falls by 60 dB over the reverberation time


@dataclass(frozen=True, slots=True)
class SoundPath:
    """From one source to one microphone."""

    distance_m: float
    detours_m: Signal  # (n_reflections,) extra length of each wall reflection
    reflections: Signal  # (n_reflections,) signed reflection factors
    tail: Signal  # (n_taps,) unit-energy diffuse tail
    critical_distance_m: float

    def moved(self, factor: float) -> SoundPath:
        """The path when the source stands slightly elsewhere."""
        return replace(self, distance_m=self.distance_m * factor)

    def response(self) -> Signal:
        """Impulse response, (n_taps,)."""
        response = self.tail / self.critical_distance_m
        lengths_m = np.append(self.distance_m, self.distance_m + self.detours_m)
        factors = np.append(1.0, self.reflections)
        arrivals = np.round(lengths_m / _SPEED_OF_SOUND_M_PER_S * SAMPLE_RATE_HZ).astype(np.intp)
        np.add.at(response, arrivals, factors / lengths_m)
        return response

    def heard(self, sound: Signal) -> Signal:
        """What arrives at the microphone, (n_samples,): the room has been ringing for ever."""
        response = self.response()
        # The beginning comes first in mirror image: a clip does not begin in a silent room.
        n_lead = min(len(response), len(sound))
        lead = sound[:n_lead][::-1]
        heard: Signal = oaconvolve(np.concatenate([lead, sound]), response)
        return heard[n_lead : n_lead + len(sound)]


@dataclass(frozen=True, slots=True)
class Room:
    """The four paths of one machine; each pair is (near microphone, far microphone)."""

    machine: tuple[SoundPath, SoundPath]
    background: tuple[SoundPath, SoundPath]


def draw_room(machine_rng: np.random.Generator, background_rng: np.random.Generator) -> Room:
    """A room with a machine, a background source and two microphones in plausible places."""
    critical_distance_m = machine_rng.uniform(0.9, 1.4)
    rt60_s = machine_rng.uniform(0.2, 0.5)

    def path(low_m: float, high_m: float, rng: np.random.Generator) -> SoundPath:
        n_taps = int(rt60_s * SAMPLE_RATE_HZ)
        decay = np.exp(-_DECADES_OF_60_DB * np.arange(n_taps) / n_taps)
        tail = rng.standard_normal(n_taps) * decay
        distance_m = rng.uniform(low_m, high_m)
        tail[: int(distance_m / _SPEED_OF_SOUND_M_PER_S * SAMPLE_RATE_HZ)] = 0.0
        return SoundPath(
            distance_m,
            detours_m=rng.uniform(0.5, 7.0, _N_REFLECTIONS),
            reflections=rng.uniform(0.3, 0.7, _N_REFLECTIONS) * rng.choice((-1, 1), _N_REFLECTIONS),
            tail=tail / np.linalg.norm(tail),
            critical_distance_m=critical_distance_m,
        )

    return Room(
        machine=(path(0.2, 0.4, machine_rng), path(1.6, 2.8, machine_rng)),
        background=(path(2.5, 4.0, background_rng), path(0.6, 1.0, background_rng)),
    )
