"""A solenoid valve: a click to open, air while open, a duller click to close."""

from __future__ import annotations

import numpy as np

from edge_asd_export.synth.machine import Condition, Machine, Operation
from edge_asd_export.synth.signals import Signal, drift, harmonics, impulses, noise, ring, turning

__all__ = ["VALVE"]

_OPEN_PART = 0.42  # of each cycle
_EDGE = 0.03  # air starts and stops over this part of a cycle
_LATE_TURN = 0.30  # how much later a strongly sluggish valve opens, in cycles
_PLUNGER = ((1250.0, 6.0, 0.7), (2800.0, 4.0, 1.0), (4700.0, 2.5, 0.8))
_SEAT = ((620.0, 9.0, 0.9), (1900.0, 5.0, 0.8))
_MAINS_HZ = 50.0


def _sound(operation: Operation) -> Signal:
    leak, sluggish, sticking = (operation.severity_of(fault) for fault in VALVE.faults)
    n_samples, rng, pressure = operation.n_samples, operation.rng, operation.condition.load
    wobble = 1 + 0.01 * drift(n_samples, 0.5, rng)
    command = turning(operation.condition.speed_hz * wobble, rng)
    opening = command - 2 * np.pi * _LATE_TURN * sluggish
    closing = command - 2 * np.pi * _OPEN_PART

    # A sticking valve misses some closings and then passes air until the next one.
    luck = rng.random(int(command[-1] / (2 * np.pi)) + 2)
    cycle = np.clip(closing / (2 * np.pi), 0, None).astype(np.intp)
    stuck = luck[cycle] < 0.6 * sticking
    turn = np.mod(opening / (2 * np.pi), 1.0)
    open_part = _OPEN_PART - _LATE_TURN * sluggish
    is_open = _gate(turn, open_part)
    passes_air: Signal = np.maximum(is_open, 0.9 * stuck)

    open_clicks = ring(impulses(opening, rng, jitter=0.004), _PLUNGER)
    close_clicks = ring(impulses(closing, rng, jitter=0.004) * ~stuck, _SEAT)
    air = noise(n_samples, 2200, 7000, rng)
    whistle = noise(n_samples, 4800, 5600, rng) + 0.6 * noise(n_samples, 1500, 6500, rng)
    mains = turning(np.full(n_samples, _MAINS_HZ), rng)
    coil = harmonics(2 * mains, (0.1, 0.06, 0.03), rng)
    body = noise(n_samples, 50, 2000, rng, slope_db_per_octave=-4)

    return (
        3.0 * open_clicks * (1 - 0.6 * sluggish)
        + 2.4 * close_clicks
        + (0.2 + 0.3 * pressure) * air * passes_air
        + (0.12 + 0.16 * pressure) * leak * whistle
        + coil * is_open
        + 0.08 * body
    )


def _gate(turn: Signal, open_part: Signal) -> Signal:
    """1 while open, 0 while closed, with soft edges."""
    nearest_edge = np.minimum(turn, open_part - turn)
    gate: Signal = np.clip(nearest_edge / _EDGE, 0, 1)
    return gate


VALVE = Machine(
    name="valve",
    source=(
        Condition((("rate", "1"), ("bar", "4")), speed_hz=1.6, load=0.4),
        Condition((("rate", "2"), ("bar", "4")), speed_hz=2.2, load=0.4),
        Condition((("rate", "2"), ("bar", "6")), speed_hz=2.2, load=0.8),
    ),
    target=(
        Condition((("rate", "3"), ("bar", "6")), speed_hz=3.0, load=0.8),
        Condition((("rate", "3"), ("bar", "3")), speed_hz=3.0, load=0.2),
    ),
    faults=("leak", "sluggish", "sticking"),
    sound=_sound,
)
