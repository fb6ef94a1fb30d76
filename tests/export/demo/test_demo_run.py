"""The steps of the demo: what they are, what is kept, what is made anew."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

import pytest
from typer.testing import CliRunner

from edge_asd.cli import app
from edge_asd.errors import EdgeAsdError, UsageError
from edge_asd_export.demo.plan import Plan, Planted
from edge_asd_export.demo.run import make_bundle, run_demo
from edge_asd_export.demo.steps import begin

PLAN = Plan()


def recorded_steps(
    monkeypatch: pytest.MonkeyPatch, fails: str = "", leaves: str = ""
) -> list[list[str]]:
    """Record the commands instead of running them; one may fail, and leave a file behind."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: object) -> CompletedProcess[bytes]:
        words = command[3:]
        calls.append(words)
        if words[0] == "listen":
            Path(words[words.index("--output") + 1]).touch()
        if words[0] != fails:
            return CompletedProcess(command, 0)
        if leaves:
            file = Path(words[words.index("--out") + 1]) / leaves
            file.parent.mkdir(parents=True)
            file.touch()
        return CompletedProcess(command, 1)

    monkeypatch.setattr("edge_asd_export.demo.steps.subprocess.run", run)
    return calls


def quiet_demo(out: Path, plan: Plan = PLAN) -> None:
    run_demo(out, plan, lambda text: None)


def stopped_demo(
    out: Path, monkeypatch: pytest.MonkeyPatch, during: str, leaves: str = "", plan: Plan = PLAN
) -> None:
    recorded_steps(monkeypatch, during, leaves)
    with pytest.raises(EdgeAsdError, match=f"'edge-asd {during}' failed"):
        quiet_demo(out, plan)


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


def test_another_fault_is_listened_to_with_the_bundle_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = recorded_steps(monkeypatch)
    quiet_demo(tmp_path / "demo")
    calls.clear()

    quiet_demo(tmp_path / "demo", Plan(planted=Planted("valve", "leak")))

    assert [call[0] for call in calls] == ["check", "synth", "listen"]
    assert "synthetic-valve" in calls[-1]


def test_a_bundle_is_made_once_for_many_faults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = recorded_steps(monkeypatch)
    steps = begin(tmp_path / "demo", PLAN, lambda text: None)

    assert make_bundle(steps, PLAN) == make_bundle(steps, PLAN)
    assert [call[0] for call in calls] == ["synth", "train", "export"]


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


def test_help_says_that_synthetic_machines_are_easy() -> None:
    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["demo", "--help"])

    assert "Synthetic machines are easy" in result.output


def test_a_fault_that_does_not_exist_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    words = ["demo", "--machine", "valve", "--fault", "rubbing", "--out", str(tmp_path / "demo")]

    result = CliRunner().invoke(app, words)

    assert result.exit_code == 2
    assert "valve has no fault 'rubbing'" in result.output
    assert not (tmp_path / "demo").exists()


def test_a_fault_that_raised_no_alarm_fails_the_demo_after_all_was_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded_steps(monkeypatch)

    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "demo")])

    assert result.exit_code == 1
    assert "synthetic fan, strong rubbing from 60 s to 120 s raised no alarm" in result.output
    assert (tmp_path / "demo" / "demo.html").as_uri() in result.output


@pytest.mark.slow
def test_the_demo_raises_one_alarm_soon_after_the_planted_fault(tmp_path: Path) -> None:
    plan = Plan()

    made = run_demo(tmp_path / "demo", plan, lambda text: None)

    (alarm,) = made.outcome.alarms
    assert plan.planted.normal_s < alarm.raised_s <= plan.planted.normal_s + 30
    assert alarm.cleared_s is not None and alarm.cleared_s > plan.planted.end_s
    assert made.alarms[0].picture is not None
    assert made.alarms[0].clip is not None
