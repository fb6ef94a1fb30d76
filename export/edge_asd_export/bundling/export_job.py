"""What is to be exported, how, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edge_asd.bundle.system import System
from edge_asd_export.bundling.graph_check import Tolerance
from edge_asd_export.bundling.ship import Quantize
from edge_asd_export.calibration.scoring import Scoring
from edge_asd_export.data.clips import Clip
from edge_asd_export.training.run import Run

__all__ = [
    "DEFAULT_WEIGHT_RULES",
    "Clips",
    "DevLabels",
    "ExportJob",
    "ExportOptions",
    "Narrator",
]

# The near microphone stands at the machine; of models nothing is known beforehand.
DEFAULT_WEIGHT_RULES: Mapping[str, str] = {"channels": "mostly-first", "models": "equal"}
Clips = Mapping[str, tuple[Clip, ...]]  # by machine


@dataclass(frozen=True, slots=True)
class DevLabels:
    """Labelled development clips that may choose the fusion weights."""

    clips: Clips
    source: str  # in words, for the bundle


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What an export can be told."""

    system: str | None = None  # None: the first that the run was trained for
    quantize: Quantize = "int8"
    target: str = "x86-64"
    scorers: Mapping[str, str] = field(default_factory=dict)  # see scoring.scorings_of
    window_hop_frames: int | None = None  # of extractors that see segments; None: as trained
    false_alarm_rate: float = 0.01  # per window
    hop_s: float | None = None  # None: a quarter of the shortest window
    weight_rules: Mapping[str, str] = field(default_factory=lambda: DEFAULT_WEIGHT_RULES)
    tolerance: Tolerance = field(default_factory=Tolerance)


@dataclass(frozen=True, slots=True)
class Narrator:
    """Whom to tell what is going on."""

    say: Callable[[str], None]
    on_clip: Callable[[int, int], None]  # clips embedded, clips in all


@dataclass(frozen=True, slots=True)
class ExportJob:
    """One bundle to be made."""

    run: Run
    system: System
    scorings: Mapping[str, Scoring]  # by branch
    clips: Clips  # training clips of every machine
    options: ExportOptions
    narrator: Narrator
