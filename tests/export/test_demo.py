"""The demo: what it replaces, what it shows, and, slowly, that all of it works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge_asd.cli import app
from edge_asd.errors import EdgeAsdError, UsageError
from edge_asd_export import demo
from edge_asd_export.demo import Plan, run_demo


def event(kind: str, stream_time_s: float, **content: Any) -> dict[str, Any]:
    return {"event": kind, "stream_time_s": stream_time_s, **content}


EVENTS = (
    event("started", 0.0),
    event("score", 4.0, score=1.0, threshold=2.0),
    event("score", 62.0, score=5.0, threshold=2.0),
    event("alarm_raised", 64.0),
    event("alarm_cleared", 104.0),
    event("alarm_raised", 120.0),
    event("stopped", 160.0),
)


def steps_that_only_make_folders(monkeypatch: pytest.MonkeyPatch, code: int = 0) -> list[list[str]]:
    """Record the commands instead of running them."""
    calls: list[list[str]] = []

    class Done:
        returncode = code
        stdout = ""

    def run(command: list[str], **_: object) -> Done:
        calls.append(command[3:])
        return Done()

    monkeypatch.setattr("edge_asd_export.demo.subprocess.run", run)
    return calls


def test_alarms_are_pairs_and_the_last_may_still_be_on() -> None:
    assert demo._alarms(EVENTS) == ((64.0, 104.0), (120.0, None))


def test_the_picture_is_written_also_without_any_score(tmp_path: Path) -> None:
    demo.draw(EVENTS, Plan(), tmp_path / "a.png")
    demo.draw((), Plan(), tmp_path / "b.png")

    for name in ("a.png", "b.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_demo_is_the_commands_of_a_user_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = steps_that_only_make_folders(monkeypatch)

    run_demo(tmp_path / "demo", Plan(), lambda text: None)

    names = [call[0] for call in calls]
    assert names == ["synth", "train", "export", "check", "evaluate", "synth", "listen"]


def test_an_earlier_demo_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps_that_only_make_folders(monkeypatch)
    run_demo(tmp_path / "demo", Plan(), lambda text: None)
    (tmp_path / "demo" / "left over").touch()

    run_demo(tmp_path / "demo", Plan(), lambda text: None)

    assert not (tmp_path / "demo" / "left over").exists()


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()

    with pytest.raises(UsageError, match="choose another folder"):
        run_demo(tmp_path, Plan(), lambda text: None)

    assert (tmp_path / "thesis.tex").exists()


def test_a_failing_step_ends_the_demo_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = steps_that_only_make_folders(monkeypatch, code=1)

    with pytest.raises(EdgeAsdError, match="'edge-asd synth' failed with exit code 1"):
        run_demo(tmp_path / "demo", Plan(), lambda text: None)

    assert len(calls) == 1


@pytest.mark.slow
def test_the_demo_raises_its_alarm_during_the_planted_fault(tmp_path: Path) -> None:
    plan = Plan()

    outcome = run_demo(tmp_path / "demo", plan, lambda text: None)

    raised_s = [raised for raised, _ in outcome.alarms]
    assert len(raised_s) == 1
    assert plan.normal_s < raised_s[0] < plan.fault_end_s
    assert all(path.is_file() for path in outcome.pictures)


def test_help_says_that_synthetic_machines_are_easy() -> None:
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["demo", "--help"])

    assert "Synthetic machines are easy" in result.output
