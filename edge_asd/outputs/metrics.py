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
from edge_asd.monitor.status import Status
from edge_asd.outputs.health import ALARM_STATES, verdict

__all__ = ["Metrics"]

_CAPTURE_STATES = ("starting", "healthy", "degraded", "lost", "recovering", "hung")
_PPM = 1e-6

_Value = float | None
_Verdict = Mapping[str, Any]


class Metrics:
    """The page that Prometheus reads.

    Parameters
    ----------
    status : gives the monitor's status; called from any thread
    clock : the monotonic clock of that status
    """

    def __init__(
        self, status: Callable[[], Status], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        # A registry of its own: what else this process measures is nobody's business here.
        self._registry = CollectorRegistry()
        self._registry.register(_StatusCollector(status, clock))
        ProcessCollector(namespace="edge_asd", registry=self._registry)

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """Return the text and its content type, in the format that an Accept header asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _StatusCollector(Collector):
    def __init__(self, status: Callable[[], Status], clock: Callable[[], float]) -> None:
        self._status = status
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        known = verdict(status, self._clock())
        labels = {"machine": status.machine, "version": __version__, "bundle": status.bundle}
        yield InfoMetricFamily("edge_asd_build", "What is running", value=labels)
        for figure in _FIGURES:
            yield figure.family(status, known)


@dataclass(frozen=True, slots=True)
class _Figure:
    """One metric: its name without prefix, its help, its value or values by label."""

    kind: type[CounterMetricFamily] | type[GaugeMetricFamily]
    name: str
    meaning: str
    value: Callable[[Status, _Verdict], _Value | Mapping[str, _Value]]
    label: str = ""  # what distinguishes the values where there are several

    def family(self, status: Status, known: _Verdict) -> Metric:
        """Return the metric with what is known."""
        labels = ["machine", self.label] if self.label else ["machine"]
        family = self.kind(f"edge_asd_{self.name}", self.meaning, labels=labels)
        value = self.value(status, known)
        values = value if isinstance(value, Mapping) else {"": value}
        for which, number in values.items():
            if number is not None:
                family.add_metric([status.machine, which][: len(labels)], number)
        return family


_GAUGE, _COUNTER = GaugeMetricFamily, CounterMetricFamily


def _one_of(names: tuple[str, ...], present: str) -> dict[str, _Value]:
    return {name: name == present for name in names}


def _faults(status: Status, known: _Verdict) -> dict[str, _Value]:
    active = {fault.fault.partition(":")[0] for fault in status.faults}
    return {name: name in active for name in FAULTS}


def _drift(status: Status, known: _Verdict) -> _Value:
    return None if status.drift_ppm is None else status.drift_ppm * _PPM


def _of_outputs(counter: str) -> Callable[[Status, _Verdict], dict[str, _Value]]:
    return lambda s, _: {name: counts.get(counter, 0) for name, counts in s.outputs.items()}


# fmt: off
_FIGURES = (
    _Figure(_GAUGE, "start_time_seconds", "When listening began, Unix time",
            lambda s, _: s.started.timestamp()),
    _Figure(_GAUGE, "healthy", "Whether the monitor's silence can be trusted",
            lambda _, v: v["healthy"]),
    _Figure(_GAUGE, "deaf", "Whether nothing can be heard", lambda _, v: v["deaf"]),
    _Figure(_GAUGE, "fault_active", "Whether a fault of the monitor is there", _faults, "fault"),
    _Figure(_GAUGE, "capture_state", "1 for the state that capture is in",
            lambda s, _: _one_of(_CAPTURE_STATES, s.capture), "state"),
    _Figure(_GAUGE, "alarm_active", "Whether an alarm is on, acknowledged or not",
            lambda _, v: v["alarm"]),
    _Figure(_GAUGE, "alarm_state", "1 for the state that the alarm is in",
            lambda s, _: _one_of(ALARM_STATES, s.state), "state"),
    _Figure(_GAUGE, "score", "Of the last window; higher is more anomalous",
            lambda s, _: s.score),
    _Figure(_GAUGE, "score_threshold", "Above it a window counts as abnormal",
            lambda s, _: s.threshold),
    _Figure(_GAUGE, "level_dbfs", "Level of the last window; full scale is 0",
            lambda _, v: v["levels_dbfs"], "channel"),
    _Figure(_GAUGE, "status_age_seconds", "Since the monitor's last sign of life",
            lambda _, v: v["status_age_s"]),
    _Figure(_GAUGE, "audio_age_seconds", "Since audio came last", lambda _, v: v["audio_age_s"]),
    _Figure(_GAUGE, "score_age_seconds", "Since a window was scored last",
            lambda _, v: v["score_age_s"]),
    _Figure(_COUNTER, "audio_seconds", "Length of the stream, gaps included",
            lambda s, _: s.audio_s),
    _Figure(_COUNTER, "audio_lost_seconds", "Audio that never arrived", lambda s, _: s.lost_s),
    _Figure(_COUNTER, "audio_gaps", "How often audio was missing", lambda s, _: s.gaps),
    _Figure(_COUNTER, "capture_reopened", "How often the card was opened again",
            lambda s, _: s.reopened),
    _Figure(_GAUGE, "clock_drift_ratio", "Of the card's clock; 1e-6 is 1 ppm", _drift),
    _Figure(_COUNTER, "windows_scored", "Windows scored", lambda s, _: s.windows),
    _Figure(_COUNTER, "windows_skipped", "Windows heard, but too bad to score",
            lambda s, _: s.skipped_windows),
    _Figure(_COUNTER, "scoring_seconds", "Seconds spent on scoring", lambda s, _: s.score_busy_s),
    _Figure(_GAUGE, "hop_seconds", "From one window to the next", lambda s, _: s.hop_s),
    _Figure(_GAUGE, "backlog_seconds", "Audio that waits to be scored", lambda s, _: s.backlog_s),
    _Figure(_COUNTER, "alarms", "Alarms raised", lambda s, _: s.alarms),
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
