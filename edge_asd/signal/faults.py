"""The faults of a signal: what is measured, how long it must last, and what people are told.

A new one is a row here and a :class:`Fault` in :mod:`edge_asd.events.fault`. The monitor and
the doctor ask the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Generic, TypeVar

import numpy as np

from edge_asd.events.fault import FAULTS, Fault, FaultChange
from edge_asd.events.latch import Latch
from edge_asd.signal.chunk import Chunk
from edge_asd.signal.comparison import EnrolledComparison

__all__ = ["CHUNK_FAULTS", "ENROLLED_FAULTS", "SignalFault", "faults_of"]


M = TypeVar("M", Chunk, EnrolledComparison)  # what a fault is found in

_LEVELS = "near {near_dbfs:.0f} dBFS, far {far_dbfs:.0f} dBFS"


@dataclass(frozen=True)  # slots do not go with Generic
class SignalFault(Generic[M]):
    """One of them; `found` and `over` may name figures."""

    fault: Fault
    holds: Callable[[M], bool | None]  # None: this second says nothing about it
    found: str
    advice: str
    over: str = _LEVELS
    # What makes windows unusable clears so slowly that drop-outs in every window count, too: with
    # 3 s and 30 s, one in eleven seconds.
    raise_s: float = 3.0
    clear_s: float = 30.0
    # Whether recordings with it are learned from all the same: the machine is heard in them.
    learned: bool = False

    def latch(self) -> Latch:
        """Return a new latch with its times."""
        return Latch(self.raise_s, self.clear_s)

    def change(self, measured: M, *, active: bool) -> FaultChange:
        """Return the report of its beginning, or of its end."""
        text = f"{self.found}: {self.advice}" if active else self.over
        figures = {name: round(value, 4) for name, value in measured.figures.items()}
        return FaultChange(self.fault, active, text.format(**measured.figures), figures)


# Sound that just fits has two samples in a second up there (1.25e-4), and no real recording any.
_CLIPPED_SHARE = 1e-3
# Real offsets are below 0.002 % of full scale, and below 0.9 % of the sound's own level.
_OFFSET = 0.01
_SMALL_OFFSET = 0.001  # where it is more than the sound itself
# As enrolled is +1, exchanged -1. Averaged like this, real recordings of normal and of broken
# machines stay above +0.19, and exchanged ones, by symmetry, below -0.19 with a mean near -0.8. A
# wholly different machine in place of the enrolled one reached -0.49.
_SWAPPED = -0.5
_NOT_SWAPPED = 0.0


def _dead(channel: int) -> Callable[[Chunk], bool | None]:
    return lambda chunk: None if chunk.silent or chunk.stuck else bool(chunk.dead[channel])


def _clipping(chunk: Chunk) -> bool | None:
    if chunk.stuck or chunk.flat.any() or chunk.beyond.any():
        return None
    return bool((chunk.clipped > _CLIPPED_SHARE).any())


def _offset(chunk: Chunk) -> bool | None:
    if chunk.stuck or chunk.flat.any() or chunk.beyond.any():
        return None
    own_level = 10 ** (chunk.level_dbfs / 20)
    least = np.clip(own_level, _SMALL_OFFSET, _OFFSET)
    return bool((np.abs(chunk.offset) > least).any())


def _identical(chunk: Chunk) -> bool | None:
    return chunk.gain is not None if chunk.alive else None


def _swapped(comparison: EnrolledComparison) -> bool | None:
    # Another machine state, or none at all, says nothing about the order of the channels.
    if not (comparison.as_enrolled or comparison.as_exchanged):
        return None
    if comparison.contrast < _SWAPPED:
        return True
    return None if comparison.contrast < _NOT_SWAPPED else False


CHUNK_FAULTS: Sequence[SignalFault[Chunk]] = (
    SignalFault(
        FAULTS["signal_scale"],
        lambda chunk: bool(chunk.beyond.any()),
        "near reaches {near_peak:.5g}, far {far_peak:.5g} times full scale",
        "floats are expected between -1 and 1: divide 16-bit values by 32768",
    ),
    SignalFault(
        FAULTS["signal_silent"],
        lambda chunk: chunk.silent,
        "not one sample differs from zero",
        "is the input muted or turned down, or are both microphones unplugged?",
    ),
    SignalFault(
        FAULTS["signal_stuck"],
        lambda chunk: chunk.stuck,
        "the sound card delivers one value, or one block, again and again",
        "plug it in anew, or try another port",
    ),
    SignalFault(
        FAULTS["signal_near_dead"],
        _dead(0),
        _LEVELS,
        "check the near microphone, its plug and its supply",
    ),
    SignalFault(
        FAULTS["signal_far_dead"],
        _dead(1),
        "far {far_dbfs:.0f} dBFS, near {near_dbfs:.0f} dBFS",
        "check the far microphone, its plug and its supply",
    ),
    SignalFault(
        FAULTS["signal_clipping"],
        _clipping,
        "{near_clipped:.1%} of the near and {far_clipped:.1%} of the far samples are at full scale",
        "turn the gain down",
        "near {near_clipped:.1%}, far {far_clipped:.1%} at full scale",
        raise_s=5.0,
        learned=True,
    ),
    SignalFault(
        FAULTS["signal_dc"],
        _offset,
        "near {near_offset:+z.1%}, far {far_offset:+z.1%} of full scale, expected 0",
        "a microphone, its supply or the sound card is broken",
        "near {near_offset:+z.1%}, far {far_offset:+z.1%} of full scale",
        raise_s=10.0,
        learned=True,
    ),
    SignalFault(
        FAULTS["signal_identical"],
        _identical,
        "far is near times {gain:+.2f} and nothing else",
        "use an input with two channels, and give each microphone its own",
        "near and far differ",
        raise_s=10.0,
    ),
)

_BESIDE_ENROLLED = (
    "near {near_dbfs:.0f} dBFS, expected {near_enrolled_dbfs:.0f}; far {far_dbfs:.0f} dBFS, "
    "expected {far_enrolled_dbfs:.0f}"
)

# Of averages over a minute, which are compared with the enrolled sound.
ENROLLED_FAULTS: Sequence[SignalFault[EnrolledComparison]] = (
    SignalFault(
        FAULTS["signal_swapped"],
        _swapped,
        "the near microphone sounds as the far one should, and the far one as the near one",
        "exchange the plugs",
        "near and far sound as enrolled",
        raise_s=60.0,
        clear_s=60.0,
    ),
    SignalFault(
        FAULTS["signal_level"],
        lambda comparison: not comparison.as_enrolled,
        _BESIDE_ENROLLED,
        "did the gain, the distance or the machine change?",
        _BESIDE_ENROLLED,
        raise_s=60.0,
        clear_s=60.0,
        learned=True,
    ),
)

_GOES_ON = 600  # chunks, about ten minutes: no fault takes longer to begin


def faults_of(
    chunks: Sequence[Chunk], faults: Sequence[SignalFault[Chunk]] = CHUNK_FAULTS
) -> Iterator[tuple[SignalFault[Chunk], Mapping[str, float]]]:
    """Return the faults that the monitor would raise if the sound went on like this.

    The recording is too short for most of them, so that it is repeated for as long as the
    slowest may take. With each fault come the figures of the chunk that would raise it.
    """
    for fault in faults:
        latch = fault.latch()
        found = [(fault.holds(chunk), chunk) for chunk in chunks]
        if not any(holds for holds, _ in found):
            continue
        for holds, chunk in islice(cycle(found), _GOES_ON):
            if latch.update(holds, 1.0):
                yield fault, chunk.figures
                break
