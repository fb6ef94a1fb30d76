"""A ball bearing: rolling noise through the housing; defects knock at their own rates.

Rates follow from the geometry (R. B. Randall and J. Antoni, "Rolling element bearing
diagnostics - a tutorial", Mechanical Systems and Signal Processing 25, 2011): with n balls and
the ratio r of ball to pitch diameter, per turn of the shaft

    outer race  n/2 (1 - r)      inner race  n/2 (1 + r)
    ball        (1 - r^2) / 2r   cage        (1 - r) / 2
"""

from __future__ import annotations

import numpy as np

from edge_asd_export.synth.machine import Condition, Machine, Operation
from edge_asd_export.synth.signals import Signal, drift, harmonics, impulses, noise, ring, turning

__all__ = ["BEARING"]

_N_BALLS = 9
_RATIO = 0.24  # ball diameter over pitch diameter
_OUTER_ORDER = _N_BALLS / 2 * (1 - _RATIO)
_INNER_ORDER = _N_BALLS / 2 * (1 + _RATIO)
_BALL_ORDER = (1 - _RATIO**2) / (2 * _RATIO)
_CAGE_ORDER = (1 - _RATIO) / 2
_SLIP = 0.015  # balls slide a little, so knocks are never strictly periodic; turns
_HOUSING = ((950.0, 3.0, 0.5), (2300.0, 1.5, 0.6), (3700.0, 1.0, 0.4))
_RACE = ((2300.0, 1.5, 0.7), (3700.0, 1.2, 1.0), (5600.0, 0.8, 0.7))


def _sound(operation: Operation) -> Signal:
    outer, inner, ball = (operation.severity_of(fault) for fault in BEARING.faults)
    n_samples, rng, load = operation.n_samples, operation.rng, operation.condition.load
    wobble = 1 + 0.003 * drift(n_samples, 0.8, rng)
    shaft = turning(operation.condition.speed_hz * wobble, rng)

    rolling = ring(noise(n_samples, 200, 6500, rng), _HOUSING)
    rolling *= 1 + 0.15 * np.cos(shaft) + 0.1 * drift(n_samples, 4.0, rng)
    machine = harmonics(shaft, (0.5, 0.35, 0.2, 0.12, 0.08), rng)
    hum = noise(n_samples, 60, 1200, rng, slope_db_per_octave=-4)

    def knocks(order: float) -> Signal:
        return ring(impulses(order * shaft, rng, jitter=_SLIP), _RACE)

    # The outer race stands still in the load zone, so that every knock is loud; the others pass
    # through it and are modulated.
    defect = (
        1.4 * outer * knocks(_OUTER_ORDER)
        + inner * knocks(_INNER_ORDER) * (1 + 0.9 * np.cos(shaft))
        + ball * knocks(2 * _BALL_ORDER) * (1 + 0.8 * np.cos(_CAGE_ORDER * shaft))
    )
    return 0.25 * rolling + machine + 0.8 * hum + (0.7 + 0.4 * load) * defect


BEARING = Machine(
    name="bearing",
    source=(
        Condition((("vel", "1"), ("load", "1")), speed_hz=19.0, load=0.3),
        Condition((("vel", "2"), ("load", "1")), speed_hz=25.0, load=0.3),
        Condition((("vel", "2"), ("load", "2")), speed_hz=25.0, load=0.8),
    ),
    target=(
        Condition((("vel", "3"), ("load", "1")), speed_hz=32.0, load=0.3),
        Condition((("vel", "3"), ("load", "2")), speed_hz=32.0, load=0.8),
    ),
    faults=("outer_race", "inner_race", "ball"),
    sound=_sound,
)
