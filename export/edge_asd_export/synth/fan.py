"""A seven-bladed fan: blade tones in broadband flow noise."""

from __future__ import annotations

import numpy as np

from edge_asd_export.synth.machine import Condition, Machine, Operation
from edge_asd_export.synth.signals import Signal, drift, harmonics, noise, turning

__all__ = ["FAN"]

_N_BLADES = 7
_STALL_ORDER = 0.62  # stall cells travel round the rotor slower than the rotor turns


def _sound(operation: Operation) -> Signal:
    damage, rub, blocked = (operation.severity_of(fault) for fault in FAN.faults)
    n_samples, rng = operation.n_samples, operation.rng
    # A fan that moves less air runs a little faster.
    wobble = 1 + 0.004 * drift(n_samples, 0.7, rng) + 0.03 * blocked
    shaft = turning(operation.condition.speed_hz * wobble, rng)
    unequal_blades = 1 + 0.75 * damage / (1 + 0.2 * damage) * np.cos(shaft)

    blades = harmonics(_N_BLADES * shaft, [k**-1.1 for k in range(1, 9)], rng)
    imbalance = harmonics(shaft, (0.12, 0.06, 0.04), rng) * (1 + 6 * damage)
    flow = noise(n_samples, 150, 3500, rng, slope_db_per_octave=-3)
    # Where an edge is broken the flow separates, which is louder than the flow along a whole blade.
    flow *= (1 + 0.2 * np.cos(_N_BLADES * shaft)) * (1 + 0.5 * damage)
    stall = noise(n_samples, 25, 420, rng) * (1 + 0.8 * np.cos(_STALL_ORDER * shaft))
    contact: Signal = np.maximum(np.cos(shaft), 0.0) ** 16
    scrape = noise(n_samples, 1800, 6500, rng) * contact

    return (
        0.8 * blades * unequal_blades * (1 - 0.3 * blocked)
        + imbalance
        + (0.6 + 0.6 * operation.condition.load) * flow * unequal_blades
        + 1.3 * blocked * stall
        + 1.0 * rub * scrape
    )


FAN = Machine(
    name="fan",
    source=(
        Condition((("spd", "1"),), speed_hz=22.0, load=0.3),
        Condition((("spd", "2"),), speed_hz=27.0, load=0.5),
        Condition((("spd", "3"),), speed_hz=33.0, load=0.7),
    ),
    target=(
        Condition((("spd", "4"),), speed_hz=38.0, load=0.9),
        Condition((("spd", "5"),), speed_hz=18.0, load=0.2),
    ),
    faults=("blade_damage", "rubbing", "blocked_flow"),
    sound=_sound,
)
