"""Synthetic machines: recordings with known faults, for trying things out and for tests.

They show that the whole path works. They say nothing about real machines.
"""

from __future__ import annotations

from edge_asd_export.synth.catalogue import MACHINES, find_fault, find_machine
from edge_asd_export.synth.dataset import (
    SEVERITIES,
    FaultLevel,
    Recipe,
    render_clip,
    synthesize,
    synthesize_machine,
)
from edge_asd_export.synth.machine import Condition, Machine
from edge_asd_export.synth.scene import Draws
from edge_asd_export.synth.stream import Stream, render_stream, write_stream

__all__ = [
    "MACHINES",
    "SEVERITIES",
    "Condition",
    "Draws",
    "FaultLevel",
    "Machine",
    "Recipe",
    "Stream",
    "find_fault",
    "find_machine",
    "render_clip",
    "render_stream",
    "synthesize",
    "synthesize_machine",
    "write_stream",
]
