"""Figures for Prometheus, read from the monitor's status at the moment of the question.

Every series has the label ``machine``. The other labels take their values from short lists
that are fixed when the program starts: no alarm, file or text ever becomes a label. A figure
that is not known (yet) is absent, not zero. The counters start anew with the process, as
Prometheus expects of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from edge_asd import __version__
from edge_asd.events.fault import FAULTS
from edge_asd.events.status import MACHINE_STATES, Status

__all__ = ["Metrics"]

_CAPTURE_STATES = ("starting", "healthy", "degraded", "lost", "recovering", "hung")
_PPM = 1e-6

# A part of the verdict, or what is made of all of it; several values by label.
_Value = str | Callable[[dict[str, Any]], float | Mapping[str, float | None] | None]


class Metrics(Collector):
    """The page that Prometheus reads.

    Parameters
    ----------
    status : gives the monitor's status; called from any thread
    clock : the monotonic clock of that status
    """

    def __init__(
        self, status: Callable[[], Status], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._status = status
        self._clock = clock
        # A registry of its own: what else this process measures is nobody's business here.
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(namespace="edge_asd", registry=self._registry)

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """Return the text and its content type, in the format that an Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterator[Metric]:
        """Read the status; return each metric."""
        status = self._status()
        known = status.to_dict(self._clock())
        labels = {"machine": status.machine, "version": __version__, "bundle": status.bundle}
        yield InfoMetricFamily("edge_asd_build", "What is running", value=labels)
        known["started_s"] = status.started.timestamp()
        for figure in _FIGURES:
            yield figure.family(known)


@dataclass(frozen=True, slots=True)
class _Figure:
    """One metric: its name without prefix, its help, and where its value is."""

    kind: type[CounterMetricFamily] | type[GaugeMetricFamily]
    name: str
    meaning: str
    value: _Value
    label: str = ""  # what distinguishes the values where there are several

    def family(self, known: dict[str, Any]) -> Metric:
        """Return the metric with what is known."""
        labels = ["machine", self.label] if self.label else ["machine"]
        family = self.kind(f"edge_asd_{self.name}", self.meaning, labels=labels)
        value = known[self.value] if isinstance(self.value, str) else self.value(known)
        values = value if isinstance(value, Mapping) else {"": value}
        for which, number in values.items():
            if number is not None:
                family.add_metric([known["machine"], which][: len(labels)], number)
        return family


def _one_of(names: tuple[str, ...], key: str) -> _Value:
    return lambda known: {name: name == known[key] for name in names}


def _faults(known: dict[str, Any]) -> dict[str, float | None]:
    active = {fault["fault"].partition(":")[0] for fault in known["faults"]}
    return {name: name in active for name in FAULTS}


def _drift(known: dict[str, Any]) -> float | None:
    return None if known["drift_ppm"] is None else known["drift_ppm"] * _PPM


def _since(name: str, unit: float = 1) -> _Value:
    """A figure since the enrolment."""

    def value(known: dict[str, Any]) -> float | None:
        figure = known["since_enrolment"].get(name)
        return None if figure is None else figure * unit

    return value


def _of_outputs(counter: str) -> _Value:
    return lambda known: {name: n.get(counter, 0) for name, n in known["outputs"].items()}


_GAUGE, _COUNTER = GaugeMetricFamily, CounterMetricFamily
_CAPTURE, _ALARM = _one_of(_CAPTURE_STATES, "capture"), _one_of(MACHINE_STATES, "state")

# fmt: off
_FIGURES = (
    _Figure(_GAUGE, "start_time_seconds", "When listening began, Unix time", "started_s"),
    _Figure(_GAUGE, "healthy", "Whether the monitor's silence can be trusted", "healthy"),
    _Figure(_GAUGE, "deaf", "Whether nothing can be heard", "deaf"),
    _Figure(_GAUGE, "fault_active", "Whether a fault of the monitor is there", _faults, "fault"),
    _Figure(_GAUGE, "capture_state", "1 for the state that capture is in", _CAPTURE, "state"),
    _Figure(_GAUGE, "alarm_active", "Whether an alarm is on, acknowledged or not", "alarm"),
    _Figure(_GAUGE, "alarm_state", "1 for the state that the alarm is in", _ALARM, "state"),
    _Figure(_GAUGE, "score", "Of the last window; higher is more anomalous", "score"),
    _Figure(_GAUGE, "score_threshold", "Above it a window counts as abnormal", "threshold"),
    _Figure(_GAUGE, "level_dbfs", "Of the last window; full scale is 0", "levels_dbfs", "channel"),
    _Figure(_GAUGE, "condition_index", "0 as enrolled, 100 when all windows reach the threshold",
            "condition", "period"),
    _Figure(_COUNTER, "enrolment_heard_seconds", "Sound scored since the enrolment",
            _since("heard_hours", 3600)),
    _Figure(_COUNTER, "enrolment_windows", "Windows scored since the enrolment",
            _since("windows")),
    _Figure(_COUNTER, "enrolment_windows_above", "Of them, those above the threshold",
            _since("windows_above")),
    _Figure(_COUNTER, "enrolment_alarms", "Alarms raised since the enrolment", _since("alarms")),
    _Figure(_COUNTER, "enrolment_promised_alarms", "False alarms that were promised for that time",
            _since("promised_alarms")),
    _Figure(_GAUGE, "promise_kept", "0: more came than was promised", _since("kept")),
    _Figure(_GAUGE, "status_age_seconds", "Since the monitor's last sign of life", "status_age_s"),
    _Figure(_GAUGE, "audio_age_seconds", "Since audio came last", "audio_age_s"),
    _Figure(_GAUGE, "score_age_seconds", "Since a window was scored last", "score_age_s"),
    _Figure(_COUNTER, "audio_seconds", "Length of the stream, gaps included", "audio_s"),
    _Figure(_COUNTER, "audio_lost_seconds", "Audio that never arrived", "lost_s"),
    _Figure(_COUNTER, "audio_gaps", "How often audio was missing", "gaps"),
    _Figure(_COUNTER, "capture_reopened", "How often the card was opened again", "reopened"),
    _Figure(_GAUGE, "clock_drift_ratio", "Of the card's clock; 1e-6 is 1 ppm", _drift),
    _Figure(_COUNTER, "windows_scored", "Windows scored", "windows"),
    _Figure(_COUNTER, "windows_skipped", "Windows heard, but too bad to score", "skipped_windows"),
    _Figure(_COUNTER, "scoring_seconds", "Seconds spent on scoring", "score_busy_s"),
    _Figure(_GAUGE, "hop_seconds", "From one window to the next", "hop_s"),
    _Figure(_GAUGE, "backlog_seconds", "Audio that waits to be scored", "backlog_s"),
    _Figure(_COUNTER, "alarms", "Alarms raised", "alarms"),
    _Figure(_COUNTER, "unwanted_ends", "Runs that ended by an error, a crash or a kill, ever",
            "unwanted_ends"),
    _Figure(_COUNTER, "output_sent", "Events that an output has delivered",
            _of_outputs("sent"), "output"),
    _Figure(_COUNTER, "output_dropped", "Events that an output never will deliver",
            _of_outputs("dropped"), "output"),
    _Figure(_COUNTER, "output_lost", "Dropped events that had to arrive: alarms, faults",
            _of_outputs("lost"), "output"),
    _Figure(_GAUGE, "output_waiting", "Events that an output still has to deliver",
            _of_outputs("waiting"), "output"),
)
# fmt: on
