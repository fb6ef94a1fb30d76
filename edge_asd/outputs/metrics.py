"""Figures for Prometheus, read from the monitor's status at the moment of the question.

Every series has the label ``machine``. The other labels take their values from short lists
that are fixed when the program starts: no alarm, file or text ever becomes a label.

=====================================================  ======================================
Metric                                                 Meaning
=====================================================  ======================================
``edge_asd_build_info{version,bundle}``                always 1; what is running
``edge_asd_start_time_seconds``                        when listening began, Unix time
``edge_asd_healthy``                                   1: its silence can be trusted
``edge_asd_deaf``                                      1: nothing can be heard
``edge_asd_fault_active{fault}``                       1: this fault of the monitor is there
``edge_asd_capture_state{state}``                      1 for the state that capture is in
``edge_asd_alarm_active``                              1: an alarm is on
``edge_asd_alarm_state{state}``                        1 for the state that the alarm is in
``edge_asd_score``                                     of the last window; higher is stranger
``edge_asd_score_threshold``                           above it a window counts as abnormal
``edge_asd_level_dbfs{channel}``                       level of the last window; full scale: 0
``edge_asd_status_age_seconds``                        since the monitor's last sign of life
``edge_asd_audio_age_seconds``                         since audio came last
``edge_asd_score_age_seconds``                         since a window was scored last
``edge_asd_audio_seconds_total``                       length of the stream, gaps included
``edge_asd_audio_lost_seconds_total``                  of it that never arrived
``edge_asd_audio_gaps_total``                          how often audio was missing
``edge_asd_capture_reopened_total``                    how often the card was opened again
``edge_asd_clock_drift_ratio``                         of the card's clock; 1e-6 is 1 ppm
``edge_asd_windows_scored_total``                      windows scored
``edge_asd_windows_skipped_total``                     heard, but too bad to score
``edge_asd_scoring_seconds_total``                     seconds spent on scoring
``edge_asd_hop_seconds``                               from one window to the next
``edge_asd_backlog_seconds``                           audio that waits to be scored
``edge_asd_alarms_total``                              alarms raised
``edge_asd_output_sent_total{output}``                 events that an output has delivered
``edge_asd_output_dropped_total{output}``              events that it never will
``edge_asd_output_lost_total{output}``                 of these, such as had to arrive
``edge_asd_output_waiting{output}``                    events that it still has to deliver
``edge_asd_process_*``                                 CPU seconds, memory, open files
=====================================================  ======================================

A figure that is not known (yet) is absent, not zero. The counters start anew with the
process, as Prometheus expects of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

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
        yield from _identity(status)
        yield from _health(status, known["healthy"], known["deaf"])
        yield from _alarm(status, known["alarm"], known["levels_dbfs"])
        for name, meaning in _AGES.items():
            yield _gauge(status, f"{name}_seconds", meaning, known[f"{name}_s"])
        yield from _work(status)
        yield from _outputs(status)


_AGES = {
    "status_age": "Since the monitor's last sign of life",
    "audio_age": "Since audio came last",
    "score_age": "Since a window was scored last",
}


def _identity(status: Status) -> Iterator[Metric]:
    labels = {"machine": status.machine, "version": __version__, "bundle": status.bundle}
    yield InfoMetricFamily("edge_asd_build", "What is running", value=labels)
    yield _gauge(
        status,
        "start_time_seconds",
        "When listening began, Unix time",
        status.started.timestamp(),
    )


def _health(status: Status, healthy: bool, deaf: bool) -> Iterator[Metric]:
    active = {fault.fault.partition(":")[0] for fault in status.faults}
    yield _gauge(status, "healthy", "Whether the monitor's silence can be trusted", healthy)
    yield _gauge(status, "deaf", "Whether nothing can be heard", deaf)
    yield _gauges(
        status,
        "fault_active",
        "Whether a fault of the monitor is there",
        "fault",
        {name: name in active for name in FAULTS},
    )
    yield _gauges(
        status,
        "capture_state",
        "1 for the state that capture is in",
        "state",
        {name: name == status.capture for name in _CAPTURE_STATES},
    )


def _alarm(status: Status, alarm: bool, levels_dbfs: dict[str, float | None]) -> Iterator[Metric]:
    yield _gauge(status, "alarm_active", "Whether an alarm is on, acknowledged or not", alarm)
    yield _gauges(
        status,
        "alarm_state",
        "1 for the state that the alarm is in",
        "state",
        {name: name == status.state for name in ALARM_STATES},
    )
    yield _gauge(status, "score", "Of the last window; higher is stranger", status.score)
    yield _gauge(
        status, "score_threshold", "Above it a window counts as abnormal", status.threshold
    )
    yield _gauges(
        status, "level_dbfs", "Level of the last window; full scale is 0", "channel", levels_dbfs
    )


def _work(status: Status) -> Iterator[Metric]:
    drift_ppm = status.drift_ppm
    yield _count(status, "audio_seconds", "Length of the stream, gaps included", status.audio_s)
    yield _count(status, "audio_lost_seconds", "Audio that never arrived", status.lost_s)
    yield _count(status, "audio_gaps", "How often audio was missing", status.gaps)
    yield _count(status, "capture_reopened", "How often the card was opened again", status.reopened)
    yield _gauge(
        status,
        "clock_drift_ratio",
        "Of the card's clock; 1e-6 is 1 ppm",
        None if drift_ppm is None else drift_ppm * _PPM,
    )
    yield _count(status, "windows_scored", "Windows scored", status.windows)
    yield _count(
        status, "windows_skipped", "Windows heard, but too bad to score", status.skipped_windows
    )
    yield _count(status, "scoring_seconds", "Seconds spent on scoring", status.score_busy_s)
    yield _gauge(status, "hop_seconds", "From one window to the next", status.hop_s)
    yield _gauge(status, "backlog_seconds", "Audio that waits to be scored", status.backlog_s)
    yield _count(status, "alarms", "Alarms raised", status.alarms)


def _outputs(status: Status) -> Iterator[Metric]:
    yield _of_outputs(status, CounterMetricFamily, "sent", "Events that an output has delivered")
    yield _of_outputs(
        status, CounterMetricFamily, "dropped", "Events that an output never will deliver"
    )
    yield _of_outputs(
        status, CounterMetricFamily, "lost", "Dropped events that had to arrive: alarms, faults"
    )
    yield _of_outputs(
        status, GaugeMetricFamily, "waiting", "Events that an output still has to deliver"
    )


def _of_outputs(
    status: Status,
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
    name: str,
    meaning: str,
) -> Metric:
    family = kind(f"edge_asd_output_{name}", meaning, labels=["machine", "output"])
    for output, counters in status.outputs.items():
        family.add_metric([status.machine, output], counters.get(name, 0))
    return family


def _gauge(status: Status, name: str, meaning: str, value: float | None) -> Metric:
    family = GaugeMetricFamily(f"edge_asd_{name}", meaning, labels=["machine"])
    if value is not None:
        family.add_metric([status.machine], value)
    return family


def _gauges(
    status: Status, name: str, meaning: str, label: str, values: dict[str, float | None]
) -> Metric:
    family = GaugeMetricFamily(f"edge_asd_{name}", meaning, labels=["machine", label])
    for which, value in values.items():
        if value is not None:
            family.add_metric([status.machine, which], value)
    return family


def _count(status: Status, name: str, meaning: str, value: float) -> Metric:
    family = CounterMetricFamily(f"edge_asd_{name}", meaning, labels=["machine"])
    family.add_metric([status.machine], value)
    return family
