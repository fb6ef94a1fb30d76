"""The documents explain everything that the monitor says, and name only tests that exist."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from places import ROOT

from edge_asd.events import event as events
from edge_asd.events.event import Event, Notice, WindowEvent
from edge_asd.events.fault import FAULTS
from edge_asd.events.status import MACHINE_STATES, Status
from edge_asd.explain.explanation import Explanation
from edge_asd.outputs.metrics import Metrics

GUIDE = (ROOT / "docs/guide.md").read_text(encoding="utf-8")
LISTENING = (ROOT / "docs/listening.md").read_text(encoding="utf-8")
RELIABILITY = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")

KINDS = [
    kind
    for kind in vars(events).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind.event
]
SAMPLE = re.compile(r"^(edge_asd_\w+)(?:\{| )", re.MULTILINE)


def profile_keys(table: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from profile_keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


DEFAULTS = tomllib.loads((ROOT / "firmware_config/default.toml").read_text(encoding="utf-8"))


FILES = {"journal.damaged", "start.json.broken"}


def row_of(document: str, first_cell: str) -> str:
    """The row of a table that explains something."""
    rows = [line for line in document.splitlines() if line.startswith(f"| `{first_cell}` |")]
    assert len(rows) == 1, f"{len(rows)} rows explain {first_cell}"
    return rows[0]


def own_keys(kind: type[Event]) -> set[str]:
    inherited = WindowEvent if kind.event in {"alarm_raised", "alarm_cleared"} else Event
    return {field.name for field in fields(kind)} - {field.name for field in fields(inherited)}


@pytest.mark.parametrize("name", FAULTS)
def test_the_guide_explains_every_fault_and_its_severity(name: str) -> None:
    _, _, severity, _, advice, _ = (cell.strip() for cell in row_of(GUIDE, name).split("|"))

    assert severity == FAULTS[name].severity
    assert advice


@pytest.mark.parametrize("notice", get_args(Notice))
def test_the_guide_explains_every_notice(notice: str) -> None:
    assert row_of(GUIDE, notice)


def test_the_guide_explains_no_other_notice() -> None:
    table = GUIDE.partition("| notice | means | do |")[2].partition("\n\n")[0]

    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(get_args(Notice))


@pytest.mark.parametrize("state", MACHINE_STATES)
def test_the_guide_explains_every_state_of_an_alarm(state: str) -> None:
    assert row_of(GUIDE, state)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.event)
def test_every_event_is_listed_with_its_keys(kind: type[Event]) -> None:
    row = row_of(LISTENING, kind.event)

    keys = set(re.findall(r"`(\w+)`", row.split("|")[4]))
    assert own_keys(kind) <= keys
    assert ("yes" in row.split("|")[3]) == kind.durable


def test_every_key_of_an_explanation_is_listed() -> None:
    table = LISTENING[LISTENING.index("`explanation` of") :]

    keys = Explanation("", "", None, {}, 0).to_dict()
    assert [key for key in keys if f"`{key}`" not in table] == []


def test_every_metric_is_listed() -> None:
    status = Status(
        machine="pump-3",
        bundle="pumps",
        source="hw:1",
        started=datetime(2026, 11, 22, tzinfo=UTC),
        updated_s=0.0,
        audio_at_s=0.0,
        score_at_s=0.0,
        score=0.5,
        levels_dbfs={"near": -30.0, "far": -40.0},
        capture="healthy",
        condition={"hour": 0.0, "day": 0.0},
        since_enrolment=dict.fromkeys(
            ("heard_hours", "windows", "windows_above", "alarms", "promised_alarms", "kept"), 1.0
        ),
        drift_ppm=1.0,
        outputs={"mqtt": {"sent": 1, "dropped": 0, "lost": 0, "waiting": 0}},
    )
    page, _ = Metrics(lambda: status, clock=lambda: 1.0).page()

    served = set(SAMPLE.findall(page.decode()))
    listed = set(re.findall(r"`(edge_asd_\w+)`", GUIDE))

    assert len(served) > 30
    assert served == listed


@pytest.mark.parametrize("key", list(profile_keys(DEFAULTS)))
def test_every_key_of_a_profile_is_explained(key: str) -> None:
    assert f"`{key}`" in LISTENING


@pytest.mark.parametrize("document", ["guide", "listening", "reliability"])
def test_the_documents_name_only_keys_that_a_profile_has(document: str) -> None:
    text = (ROOT / f"docs/{document}.md").read_text(encoding="utf-8")

    named = set(re.findall(rf"`((?:{'|'.join(DEFAULTS)})\.[a-z_.]+)[ `]", text))

    assert named - set(profile_keys(DEFAULTS)) - FILES == set()


def test_every_test_that_reliability_names_exists() -> None:
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    there = {name for source in sources for name in re.findall(r"^def (test_\w+)", source, re.M)}

    named = set(re.findall(r"`(test_\w+)`", RELIABILITY))

    assert len(named) > 40
    assert sorted(named - there) == []


def test_every_link_into_a_section_leads_to_one() -> None:
    for document in (ROOT / "docs").glob("*.md"):
        for target, anchor in re.findall(
            r"\]\(([\w./-]*)#([\w-]+)\)", document.read_text(encoding="utf-8")
        ):
            path = (document.parent / target) if target else document
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
            assert anchor in anchors, f"{document.name}: {target}#{anchor}"
