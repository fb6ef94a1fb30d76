from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from device.reports import START, UNREACHABLE, a_status
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families

from edge_asd import __version__
from edge_asd.events.fault import FAULTS
from edge_asd.events.status import Status
from edge_asd.outputs.metrics import Metrics

NOW_S = 100.5
LABELS = {"machine", "version", "bundle", "fault", "state", "channel", "output", "period"}
# What promtool's linter asks to be written in base units.
NO_BASE_UNIT = re.compile(
    r"_(milli|micro|nano|kilo|mega|minute|hour|percent|ppm|ms|kb|mb)[a-z]*(_|$)"
)


def scraped(status: Status | Callable[[], Status], now_s: float = NOW_S) -> dict[str, Metric]:
    source = status if callable(status) else lambda: status
    page, _ = Metrics(source, clock=lambda: now_s).page()
    return {family.name: family for family in text_string_to_metric_families(page.decode())}


def value(families: dict[str, Metric], family: str, **labels: str) -> float | None:
    wanted = {"machine": "pump"} | labels
    found = [s.value for s in families[family].samples if wanted.items() <= s.labels.items()]
    assert len(found) <= 1
    return found[0] if found else None


def a_busy_status() -> Status:
    return a_status(
        audio_s=3600.0,
        lost_s=2.5,
        gaps=3,
        reopened=2,
        drift_ppm=-35.0,
        windows=3590,
        skipped_windows=7,
        alarms=4,
        score_busy_s=180.5,
        hop_s=1.0,
        backlog_s=0.1,
        condition={"hour": 12.5, "day": None},
        since_enrolment={"heard_hours": 2.0, "windows": 2880, "alarms": 6, "kept": False},
        outputs={"mqtt": {"sent": 11, "dropped": 5, "lost": 1, "waiting": 2}},
    )


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("edge_asd_start_time_seconds", START.timestamp()),
        ("edge_asd_healthy", 1.0),
        ("edge_asd_deaf", 0.0),
        ("edge_asd_score", 0.25),
        ("edge_asd_score_threshold", 1.5),
        ("edge_asd_status_age_seconds", 0.5),
        ("edge_asd_audio_age_seconds", 0.6),
        ("edge_asd_score_age_seconds", 1.5),
        ("edge_asd_audio_seconds", 3600.0),
        ("edge_asd_audio_lost_seconds", 2.5),
        ("edge_asd_audio_gaps", 3.0),
        ("edge_asd_capture_reopened", 2.0),
        ("edge_asd_clock_drift_ratio", -35e-6),
        ("edge_asd_windows_scored", 3590.0),
        ("edge_asd_windows_skipped", 7.0),
        ("edge_asd_scoring_seconds", 180.5),
        ("edge_asd_hop_seconds", 1.0),
        ("edge_asd_backlog_seconds", 0.1),
        ("edge_asd_alarms", 4.0),
        ("edge_asd_condition_index", 12.5),
        ("edge_asd_enrolment_heard_seconds", 7200.0),
        ("edge_asd_enrolment_windows", 2880.0),
        ("edge_asd_enrolment_alarms", 6.0),
        ("edge_asd_promise_kept", 0.0),
    ],
)
def test_a_figure_of_the_status_is_told_in_its_base_unit(family: str, expected: float) -> None:
    assert value(scraped(a_busy_status()), family) == pytest.approx(expected)


def test_levels_and_outputs_are_told_one_by_one() -> None:
    families = scraped(a_busy_status())

    assert value(families, "edge_asd_level_dbfs", channel="near") == -31.5
    assert value(families, "edge_asd_level_dbfs", channel="far") == -40.25
    assert value(families, "edge_asd_output_sent", output="mqtt") == 11
    assert value(families, "edge_asd_output_dropped", output="mqtt") == 5
    assert value(families, "edge_asd_output_lost", output="mqtt") == 1
    assert value(families, "edge_asd_output_waiting", output="mqtt") == 2


def test_the_versions_are_labels_of_an_info_metric() -> None:
    (sample,) = scraped(a_status())["edge_asd_build_info"].samples

    assert sample.labels == {"machine": "pump", "version": __version__, "bundle": "mini"}
    assert sample.value == 1


def test_every_fault_has_a_series_and_those_that_are_there_are_one() -> None:
    samples = scraped(a_status(faults=(UNREACHABLE,)))["edge_asd_fault_active"].samples

    assert {sample.labels["fault"] for sample in samples} == set(FAULTS)
    assert [sample.labels["fault"] for sample in samples if sample.value] == ["output"]


@pytest.mark.parametrize(
    ("changes", "family", "state"),
    [
        ({"alarm_state": "shelved"}, "edge_asd_alarm_state", "shelved"),
        ({"capture": "lost"}, "edge_asd_capture_state", "lost"),
    ],
)
def test_of_all_states_the_present_one_is_one(
    changes: dict[str, Any], family: str, state: str
) -> None:
    samples = scraped(a_status(**changes))[family].samples

    assert [sample.labels["state"] for sample in samples if sample.value] == [state]
    assert sum(sample.value for sample in samples) == 1


@pytest.mark.parametrize(("state", "on"), [("warning", 0), ("alarm", 1), ("acknowledged", 1)])
def test_an_alarm_is_active_until_it_is_cleared(state: str, on: int) -> None:
    assert value(scraped(a_status(alarm_state=state)), "edge_asd_alarm_active") == on


def test_what_is_not_known_is_absent() -> None:
    unknown = a_status(score=None, audio_at_s=None, score_at_s=None, levels_dbfs={})
    families = scraped(unknown)

    for family in ("score", "audio_age_seconds", "score_age_seconds", "clock_drift_ratio"):
        assert value(families, f"edge_asd_{family}") is None
    assert families["edge_asd_level_dbfs"].samples == []


def test_a_monitor_that_hangs_is_deaf() -> None:
    families = scraped(a_status(), now_s=131.0)

    assert value(families, "edge_asd_healthy") == 0
    assert value(families, "edge_asd_deaf") == 1
    assert value(families, "edge_asd_status_age_seconds") == 31.0


def test_figures_are_read_when_they_are_asked_for() -> None:
    windows = iter((1, 2))
    page = Metrics(lambda: a_status(windows=next(windows)), clock=lambda: NOW_S).page

    first, second = page()[0].decode(), page()[0].decode()

    assert 'edge_asd_windows_scored_total{machine="pump"} 1.0' in first
    assert 'edge_asd_windows_scored_total{machine="pump"} 2.0' in second


def test_a_name_with_quotes_and_line_breaks_survives() -> None:
    name = 'pump "3"\n\\west'
    (sample,) = scraped(a_status(machine=name))["edge_asd_healthy"].samples

    assert sample.labels == {"machine": name}


def test_names_follow_the_conventions() -> None:
    for family in scraped(a_busy_status()).values():
        assert re.fullmatch(r"edge_asd_[a-z][a-z_]*", family.name)
        assert not NO_BASE_UNIT.search(family.name), family.name
        assert family.documentation
        assert family.type in ("gauge", "counter")
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample.name
            assert set(sample.labels) <= LABELS


def test_every_series_of_the_monitor_names_the_machine() -> None:
    for family in scraped(a_busy_status()).values():
        if not family.name.startswith("edge_asd_process_"):
            assert all(sample.labels["machine"] == "pump" for sample in family.samples)


def test_the_memory_of_the_process_is_told() -> None:
    (sample,) = scraped(a_status())["edge_asd_process_resident_memory_bytes"].samples

    assert sample.value > 1e6


def test_who_asks_for_openmetrics_gets_it() -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    page, content_type = Metrics(a_busy_status, clock=lambda: NOW_S).page(accept)

    families = {family.name: family for family in parse_openmetrics(page.decode())}

    assert content_type.startswith("application/openmetrics-text")
    assert families["edge_asd_build"].type == "info"
