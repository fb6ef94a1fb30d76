"""The faults of a signal: how long each must last, and what is said about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edge_asd.events.fault import FAULTS, FaultChange
from edge_asd.events.latch import Latch

__all__ = ["SIGNAL_FAULTS", "SignalFault"]


@dataclass(frozen=True, slots=True)
class SignalFault:
    """One of them; both sentences may name figures."""

    name: str
    raise_s: float
    clear_s: float
    found: str  # what was found, what to do
    over: str = "near {near_dbfs:.0f} dBFS, far {far_dbfs:.0f} dBFS"

    def latch(self) -> Latch:
        """Return a new latch with its times."""
        return Latch(self.raise_s, self.clear_s)

    def change(self, figures: Mapping[str, float], *, active: bool) -> FaultChange:
        """Say that it began, or ended."""
        rounded = {name: round(value, 4) for name, value in figures.items()}
        text = self.found if active else self.over
        return FaultChange(FAULTS[self.name], active, text.format(**figures), rounded)


# What makes windows unusable clears so slowly that drop-outs in every window count, too: with
# 3 s and 30 s, one in eleven seconds.
SIGNAL_FAULTS: Mapping[str, SignalFault] = MappingProxyType(
    {
        fault.name: fault
        for fault in (
            SignalFault(
                "signal_silent",
                3.0,
                30.0,
                "not one sample differs from zero: is the input muted or turned down, or are both "
                "microphones unplugged?",
            ),
            SignalFault(
                "signal_stuck",
                3.0,
                30.0,
                "the sound card delivers one value, or one block, again and again: plug it in "
                "anew, or try another port",
            ),
            SignalFault(
                "signal_near_dead",
                3.0,
                30.0,
                "near {near_dbfs:.0f} dBFS, far {far_dbfs:.0f} dBFS: check the near microphone, "
                "its plug and its supply",
            ),
            SignalFault(
                "signal_far_dead",
                3.0,
                30.0,
                "far {far_dbfs:.0f} dBFS, near {near_dbfs:.0f} dBFS: check the far microphone, "
                "its plug and its supply",
            ),
            SignalFault(
                "signal_clipping",
                5.0,
                30.0,
                "{near_clipped:.1%} of the near and {far_clipped:.1%} of the far samples are at "
                "full scale: turn the gain down",
                "near {near_clipped:.1%}, far {far_clipped:.1%} at full scale",
            ),
            SignalFault(
                "signal_dc",
                10.0,
                30.0,
                "near {near_offset:+.1%}, far {far_offset:+.1%} of full scale, expected 0: a "
                "microphone, its supply or the sound card is broken",
                "near {near_offset:+.1%}, far {far_offset:+.1%} of full scale",
            ),
            SignalFault(
                "signal_identical",
                10.0,
                30.0,
                "far is near times {gain:+.2f} and nothing else: use an input with two channels, "
                "and give each microphone its own",
                "near and far differ",
            ),
            SignalFault(
                "signal_swapped",
                60.0,
                60.0,
                "the near microphone sounds as the far one did when enrolled, and the far one as "
                "the near one: exchange the plugs",
                "near and far sound as enrolled",
            ),
            SignalFault(
                "signal_level",
                60.0,
                60.0,
                "near {near_dbfs:.0f} dBFS, enrolled {near_enrolled_dbfs:.0f}; far "
                "{far_dbfs:.0f} dBFS, enrolled {far_enrolled_dbfs:.0f}: did the gain, the "
                "distance or the machine change?",
                "near {near_dbfs:.0f} dBFS, enrolled {near_enrolled_dbfs:.0f}; far "
                "{far_dbfs:.0f} dBFS, enrolled {far_enrolled_dbfs:.0f}",
            ),
        )
    }
)
