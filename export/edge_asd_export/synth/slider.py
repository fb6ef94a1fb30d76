"""A linear slide on a ball screw: strokes to and fro, each a sweep up and down in pitch."""

from __future__ import annotations

import numpy as np

from edge_asd_export.synth.machine import Condition, Machine, Operation
from edge_asd_export.synth.signals import Signal, drift, harmonics, impulses, noise, ring, turning

__all__ = ["SLIDER"]

_SCREW_TURNS_PER_STROKE = 28.0
_MOTOR_ORDER = 36.0  # torque ripples per turn of the screw
_CHATTER_HZ = 47.0
_SQUEAL_HZ = 3350.0
_STOP = ((180.0, 25.0, 1.0), (640.0, 12.0, 0.8), (1700.0, 5.0, 0.4))
_RAIL = ((1100.0, 4.0, 0.7), (2600.0, 3.0, 1.0), (4100.0, 2.0, 0.8))


def _sound(operation: Operation) -> Signal:
    chatter, slow, squeal = (operation.severity_of(fault) for fault in SLIDER.faults)
    n_samples, rng, load = operation.n_samples, operation.rng, operation.condition.load
    wobble = 1 + 0.005 * drift(n_samples, 0.5, rng) - 0.3 * np.minimum(slow, 1.5)
    strokes_hz = operation.condition.speed_hz * wobble
    stroke = turning(strokes_hz, rng)
    # Trapezoidal velocity: accelerate, cruise, brake, pause at the end; same in both directions.
    velocity = np.clip(2.6 * np.sin(stroke / 2) ** 2 - 0.25, 0, 1)
    screw = turning(_SCREW_TURNS_PER_STROKE * strokes_hz * velocity, rng)
    moving = velocity > 0.02

    motor = harmonics(_MOTOR_ORDER * screw, [k**-1.0 for k in range(1, 7)], rng)
    balls = harmonics(7.7 * screw, (0.5, 0.3, 0.2), rng)
    rolling = noise(n_samples, 300, 5500, rng, slope_db_per_octave=-2)
    thumps = ring(impulses(stroke, rng, jitter=0.003), _STOP)
    # Stick-slip: the carriage sticks and jumps, most of all when it moves slowly under load.
    slips = impulses(turning(_CHATTER_HZ * (1 + 0.12 * drift(n_samples, 6.0, rng)), rng), rng)
    jumps = ring(slips * moving * (1.2 - velocity), _RAIL)
    whine = turning(_SQUEAL_HZ * (1 + 0.012 * drift(n_samples, 5.0, rng) + 0.03 * velocity), rng)
    howl = harmonics(whine, (1.0, 0.3), rng) * np.clip(1 + 0.5 * drift(n_samples, 3.0, rng), 0, 2)
    room_tone = noise(n_samples, 60, 1500, rng, slope_db_per_octave=-4)

    return (
        0.8 * velocity * (motor + balls)
        + (0.35 + 0.35 * load) * velocity * rolling * (1 + 0.25 * slow)
        + (1.0 + load) * thumps
        + 2.2 * chatter * jumps
        + 0.45 * squeal * howl * velocity
        + 0.05 * room_tone
    )


SLIDER = Machine(
    name="slider",
    source=(
        Condition((("vel", "1"), ("mass", "1")), speed_hz=0.55, load=0.3),
        Condition((("vel", "2"), ("mass", "1")), speed_hz=0.75, load=0.3),
        Condition((("vel", "2"), ("mass", "2")), speed_hz=0.75, load=0.7),
    ),
    target=(
        Condition((("vel", "3"), ("mass", "1")), speed_hz=0.95, load=0.3),
        Condition((("vel", "3"), ("mass", "3")), speed_hz=0.95, load=1.0),
    ),
    faults=("stick_slip", "slow_stroke", "squeal"),
    sound=_sound,
)
