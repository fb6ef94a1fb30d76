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

PLAN = Plan()


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


def recorded_steps(
    monkeypatch: pytest.MonkeyPatch, fails: str = "", leaves: str = ""
) -> list[list[str]]:
    """Record the commands instead of running them; one may fail, and leave a file behind."""
    calls: list[list[str]] = []

    class Done:
        stdout = ""

        def __init__(self, returncode: int) -> None:
            self.returncode = returncode

    def run(command: list[str], **_: object) -> Done:
        words = command[3:]
        calls.append(words)
        if words[0] != fails:
            return Done(0)
        if leaves:
            file = Path(words[words.index("--out") + 1]) / leaves
            file.parent.mkdir(parents=True)
            file.touch()
        return Done(1)

    monkeypatch.setattr("edge_asd_export.demo.subprocess.run", run)
    return calls


def quiet_demo(out: Path, plan: Plan = PLAN) -> None:
    run_demo(out, plan, lambda text: None)


def stopped_demo(
    out: Path, monkeypatch: pytest.MonkeyPatch, during: str, leaves: str = "", plan: Plan = PLAN
) -> None:
    recorded_steps(monkeypatch, during, leaves)
    with pytest.raises(EdgeAsdError, match=f"'edge-asd {during}' failed"):
        quiet_demo(out, plan)


def test_alarms_are_pairs_and_the_last_may_still_be_on() -> None:
    assert demo._alarms(EVENTS) == ((64.0, 104.0), (120.0, None))


def test_the_picture_is_written_also_without_any_score(tmp_path: Path) -> None:
    demo.draw(EVENTS, PLAN, tmp_path / "a.png")
    demo.draw((), PLAN, tmp_path / "b.png")

    for name in ("a.png", "b.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_demo_is_the_commands_of_a_user_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = recorded_steps(monkeypatch)

    quiet_demo(tmp_path / "demo")

    names = [call[0] for call in calls]
    assert names == ["synth", "train", "export", "check", "evaluate", "synth", "listen"]


def test_a_finished_demo_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = recorded_steps(monkeypatch)
    quiet_demo(tmp_path / "demo")
    (tmp_path / "demo" / "left over").touch()

    quiet_demo(tmp_path / "demo")

    assert len(calls) == 14
    assert not (tmp_path / "demo" / "left over").exists()


@pytest.mark.parametrize(
    ("during", "then"),
    [
        ("synth", ["synth", "train", "export", "check", "evaluate", "synth", "listen"]),
        ("train", ["train", "export", "check", "evaluate", "synth", "listen"]),
        ("export", ["export", "check", "evaluate", "synth", "listen"]),
        ("evaluate", ["check", "evaluate", "synth", "listen"]),
        ("listen", ["check", "synth", "listen"]),
    ],
)
def test_a_demo_that_was_stopped_goes_on_after_its_last_finished_step(
    during: str, then: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_demo(tmp_path / "demo", monkeypatch, during)
    calls = recorded_steps(monkeypatch)

    quiet_demo(tmp_path / "demo")

    assert [call[0] for call in calls] == then


def test_a_half_trained_run_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped_demo(tmp_path / "demo", monkeypatch, "train", leaves="run.json")
    calls = recorded_steps(monkeypatch)

    quiet_demo(tmp_path / "demo")

    assert calls[0] == ["train", "--resume", str(tmp_path / "demo" / "run")]


def test_a_run_that_was_not_begun_is_trained_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_demo(tmp_path / "demo", monkeypatch, "train", leaves="half a file")
    calls = recorded_steps(monkeypatch)

    quiet_demo(tmp_path / "demo")

    assert "--resume" not in calls[0]
    assert not (tmp_path / "demo" / "run" / "half a file").exists()


def test_what_a_killed_export_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_demo(tmp_path / "demo", monkeypatch, "export")
    staging = tmp_path / "demo" / ".bundle.partial-123"
    (staging / "graphs").mkdir(parents=True)
    recorded_steps(monkeypatch)

    quiet_demo(tmp_path / "demo")

    assert not staging.exists()


def test_a_stopped_demo_of_another_plan_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped_demo(tmp_path / "demo", monkeypatch, "export", plan=Plan(epochs=3))
    calls = recorded_steps(monkeypatch)

    quiet_demo(tmp_path / "demo")

    assert [call[0] for call in calls[:3]] == ["synth", "train", "export"]


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()

    with pytest.raises(UsageError, match="choose another folder"):
        quiet_demo(tmp_path)

    assert (tmp_path / "thesis.tex").exists()


def test_a_failing_step_ends_the_demo_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = recorded_steps(monkeypatch, fails="synth")

    with pytest.raises(EdgeAsdError, match="'edge-asd synth' failed with exit code 1"):
        quiet_demo(tmp_path / "demo")

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
