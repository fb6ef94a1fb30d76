"""A single-stage gearbox: mesh harmonics with shaft sidebands, heard through its casing."""

from __future__ import annotations

import numpy as np

from edge_asd_export.synth.machine import Condition, Machine, Operation
from edge_asd_export.synth.signals import Signal, drift, harmonics, impulses, noise, ring, turning

__all__ = ["GEARBOX"]

_PINION_TEETH = 23
_GEAR_TEETH = 41
_CASING = ((780.0, 4.0, 0.5), (1650.0, 3.0, 0.4), (2900.0, 2.0, 0.3))
_TOOTH_IMPACT = ((1650.0, 5.0, 1.0), (2900.0, 4.0, 1.2), (4400.0, 2.5, 0.8))


def _sound(operation: Operation) -> Signal:
    chipped, wear = (operation.severity_of(fault) for fault in GEARBOX.faults)
    n_samples, rng, load = operation.n_samples, operation.rng, operation.condition.load
    wobble = 1 + 0.003 * drift(n_samples, 1.0, rng)
    pinion = turning(operation.condition.speed_hz * wobble, rng)
    gear = pinion * _PINION_TEETH / _GEAR_TEETH

    # Teeth bend under load, which sharpens the mesh pulse: higher harmonics grow.
    mesh = harmonics(_PINION_TEETH * pinion, [k ** (load - 1.9) for k in range(1, 9)], rng)
    worn_mesh = harmonics(_PINION_TEETH * pinion, [0.0, 0.9, 0.8, 0.6, 0.5, 0.4], rng)
    runout = 1 + (0.1 + 0.35 * wear) * np.cos(pinion) + (0.08 + 0.2 * wear) * np.cos(2 * gear)
    shafts = harmonics(pinion, (0.15, 0.08), rng) + harmonics(gear, (0.1, 0.05), rng)
    rattle = noise(n_samples, 100, 5000, rng, slope_db_per_octave=-3)
    casing = ring(noise(n_samples, 300, 6000, rng), _CASING)
    # A chipped tooth of the pinion knocks once per turn; it hits harder under load.
    knocks = ring(impulses(pinion, rng, jitter=0.002), _TOOTH_IMPACT)

    return (
        (0.5 + 0.5 * load) * (mesh + 0.9 * wear * worn_mesh) * runout
        + shafts
        + (0.35 + 0.3 * wear) * rattle
        + 0.15 * casing
        + (0.8 + 0.8 * load) * chipped * knocks
    )


GEARBOX = Machine(
    name="gearbox",
    source=(
        Condition((("spd", "1"), ("load", "1")), speed_hz=16.0, load=0.3),
        Condition((("spd", "1"), ("load", "2")), speed_hz=16.0, load=0.7),
        Condition((("spd", "2"), ("load", "1")), speed_hz=22.0, load=0.3),
        Condition((("spd", "2"), ("load", "2")), speed_hz=22.0, load=0.7),
    ),
    target=(
        Condition((("spd", "3"), ("load", "1")), speed_hz=27.0, load=0.3),
        Condition((("spd", "1"), ("load", "3")), speed_hz=16.0, load=1.0),
    ),
    faults=("chipped_tooth", "wear"),
    sound=_sound,
)
