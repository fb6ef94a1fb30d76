"""``edge-asd service`` below a folder that plays the system's root."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_asd.cli import app
from edge_asd.errors import EdgeAsdError, UsageError
from edge_asd.profile import load_profile
from edge_asd.service import setup as service_setup
from edge_asd.service import systemd
from edge_asd.service.plan import (
    UNIT,
    UNITS,
    WANTS,
    PlannedFile,
    Setup,
    read_env,
)
from edge_asd.state.places import SERVICE_CONFIG, below

SETUP = Setup(machine="pump", bundle=Path("/opt/bundles/pumps"), command=("/opt/bin/edge-asd",))


def edge_asd(*args: str) -> Result:
    return CliRunner().invoke(app, ["service", *args])


@pytest.fixture
def installed(tmp_path: Path, mini_bundle: Path) -> Path:
    """A root folder with the service of the machine ``pump``."""
    result = edge_asd("install", "--bundle", str(mini_bundle), "--root", str(tmp_path))
    assert result.exit_code == 0, result.output
    return tmp_path


def test_install_writes_unit_profile_and_environment_and_says_so(
    tmp_path: Path, mini_bundle: Path
) -> None:
    result = edge_asd(
        *("install", "--bundle", str(mini_bundle), "--profile", "raspberry-pi-5"),
        *("--root", str(tmp_path)),
    )

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "write /etc/systemd/system/edge-asd@.service",
        "write /etc/edge-asd/pump.toml",
        "write /etc/edge-asd/pump.env",
        "write /etc/sysusers.d/edge-asd.conf",
        "enable edge-asd@pump.service at boot",
    ]
    assert load_profile(str(tmp_path / "etc/edge-asd/pump.toml")) == load_profile("raspberry-pi-5")
    assert read_env((tmp_path / "etc/edge-asd/pump.env").read_text()) == {
        "EDGE_ASD_BUNDLE": str(mini_bundle),
        "EDGE_ASD_MACHINE": "pump",
    }
    assert str(below(tmp_path, WANTS / "edge-asd@pump.service").readlink()) == str(UNITS / UNIT)


def test_installing_twice_does_nothing_the_second_time(installed: Path, mini_bundle: Path) -> None:
    result = edge_asd("install", "--bundle", str(mini_bundle), "--root", str(installed))

    assert (result.exit_code, result.stdout) == (0, "nothing to do: all of it is in place\n")


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path: Path, mini_bundle: Path) -> None:
    arguments = ("install", "--bundle", str(mini_bundle), "--root", str(tmp_path))

    dry = edge_asd(*arguments, "--dry-run")

    assert list(tmp_path.iterdir()) == []
    real = edge_asd(*arguments)
    assert dry.stdout == "".join(f"would {line}\n" for line in real.stdout.splitlines())


def test_secrets_and_site_edits_outlive_an_installation(installed: Path, mini_bundle: Path) -> None:
    env = below(installed, SETUP.env)
    env.write_text('EDGE_ASD_BUNDLE="/gone"\nMQTT_PASSWORD="s3cret"\n', encoding="utf-8")
    profile = below(installed, SETUP.profile)
    profile.write_text("[alarm]\nholdoff_s = 60\n", encoding="utf-8")

    edge_asd("install", "--bundle", str(mini_bundle), "--root", str(installed))

    assert profile.read_text() == "[alarm]\nholdoff_s = 60\n"
    assert 'MQTT_PASSWORD="s3cret"' in env.read_text()
    assert read_env(env.read_text())["EDGE_ASD_BUNDLE"] == str(mini_bundle)
    assert stat.S_IMODE(env.stat().st_mode) == 0o600


def test_a_replaced_profile_is_kept_aside(installed: Path, mini_bundle: Path) -> None:
    below(installed, SETUP.profile).write_text("[alarm]\nholdoff_s = 60\n", encoding="utf-8")

    edge_asd(
        *("install", "--bundle", str(mini_bundle), "--profile", "x86-64"),
        *("--root", str(installed)),
    )

    assert load_profile(str(below(installed, SETUP.profile))) == load_profile("x86-64")
    kept = below(installed, SERVICE_CONFIG / "pump.toml.old")
    assert kept.read_text() == "[alarm]\nholdoff_s = 60\n"


def test_a_profile_that_cannot_be_obeyed_stops_it_before_anything_is_written(
    tmp_path: Path, mini_bundle: Path
) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[alarm]\nholdof_s = 60\n", encoding="utf-8")
    root = tmp_path / "root"

    result = edge_asd(
        *("install", "--bundle", str(mini_bundle), "--profile", str(bad), "--root", str(root))
    )

    assert result.exit_code == 1
    assert "did you mean 'alarm.holdoff_s'" in result.stderr
    assert not root.exists()


def test_without_root_rights_it_says_what_to_do(
    mini_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    result = edge_asd("install", "--bundle", str(mini_bundle))

    assert result.exit_code == 2
    assert result.stderr == (
        "error: this changes /etc: run it with sudo, or with --dry-run or --root DIR\n"
    )


def test_what_the_service_user_cannot_reach_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "home"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(service_setup, "_TEMPORARY", ())

    with pytest.raises(UsageError, match=rf"{closed} is closed to other users"):
        service_setup.require_reach([closed / "venv/bin/edge-asd"], "edge-asd")


@pytest.mark.parametrize("folder", ["/tmp/bundle", "/var/tmp/x/bundle"])
def test_what_the_unit_hides_is_refused(folder: str) -> None:
    with pytest.raises(UsageError, match="is a temporary file, which the service does not see"):
        service_setup.require_reach([Path(folder)], "edge-asd")


def test_a_machine_that_the_bundle_does_not_know_is_installed_with_a_note(
    tmp_path: Path, mini_bundle: Path
) -> None:
    result = edge_asd(
        *("install", "--bundle", str(mini_bundle), "--machine", "fan 7"),
        *("--root", str(tmp_path)),
    )

    assert result.exit_code == 0
    assert "edge-asd enroll --bundle" in result.stderr
    assert "--machine 'fan 7' --state /var/lib/edge-asd" in result.stderr
    (env,) = (tmp_path / "etc/edge-asd").glob("*.env")
    assert read_env(env.read_text())["EDGE_ASD_MACHINE"] == "fan 7"


def test_uninstall_keeps_profile_and_secrets(installed: Path) -> None:
    result = edge_asd("uninstall", "--root", str(installed))

    assert result.exit_code == 0, result.output
    files = {str(p.relative_to(installed)) for p in installed.rglob("*") if not p.is_dir()}
    assert files == {
        "etc/edge-asd/pump.toml",
        "etc/edge-asd/pump.env",
        "etc/sysusers.d/edge-asd.conf",
    }


def test_uninstall_leaves_the_unit_to_the_other_machines(
    installed: Path, mini_bundle: Path
) -> None:
    edge_asd(
        *("install", "--bundle", str(mini_bundle), "--machine", "fan", "--root", str(installed))
    )

    edge_asd("uninstall", "--machine", "pump", "--root", str(installed))

    assert below(installed, UNITS / UNIT).is_file()
    assert systemd.enabled_instances(installed) == ["fan"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze here")
def test_systemd_accepts_the_installed_unit(installed: Path) -> None:
    unit = below(installed, UNITS / "edge-asd@pump.service")
    unit.symlink_to(UNIT)

    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze here")
def test_the_unit_is_hardened(installed: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=25"]

    rated = subprocess.run(
        [*command, str(below(installed, UNITS / UNIT))], capture_output=True, text=True, check=False
    )

    assert rated.returncode == 0, rated.stdout.splitlines()[-1]


@pytest.mark.skipif(not shutil.which("systemd-sysusers"), reason="no systemd-sysusers here")
def test_systemd_makes_the_user(installed: Path) -> None:
    (installed / "etc/group").write_text("audio:x:29:\n", encoding="utf-8")

    subprocess.run(
        ["systemd-sysusers", f"--root={installed}"], check=True, capture_output=True, timeout=300
    )

    users = (installed / "etc/passwd").read_text()
    assert ":edge-asd monitor:/var/lib/edge-asd:/usr/sbin/nologin" in users
    assert "audio:x:29:edge-asd" in (installed / "etc/group").read_text()


def test_a_step_that_cannot_be_done_is_one_line() -> None:
    with pytest.raises(EdgeAsdError, match="'false' failed: exit code 1"):
        systemd.run("false")


def test_the_command_is_this_interpreters() -> None:
    command = service_setup.edge_asd_command()

    assert Path(command[0]).parent == Path(sys.executable).parent


def test_a_file_with_secrets_is_closed_from_the_first_byte_on(tmp_path: Path) -> None:
    file = PlannedFile(Path("/etc/x.env"), "SECRET=1\n", 0o600)
    (step,) = service_setup._writing(file, tmp_path)

    previous = os.umask(0)
    try:
        step.perform()
    finally:
        os.umask(previous)

    assert stat.S_IMODE((tmp_path / "etc/x.env").stat().st_mode) == 0o600


@pytest.fixture
def booted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A system with a running systemd; the commands that it was given."""
    commands: list[str] = []
    shown = "ActiveState=active\nSubState=running\nNRestarts=0\nWatchdogUSec=3min\n"

    def run(*command: str) -> str:
        commands.append(" ".join(command))
        return shown if command[1] == "show" else ""

    monkeypatch.setattr(systemd, "running", lambda root: True)
    monkeypatch.setattr(systemd, "run", run)
    return commands


def test_a_running_systemd_hears_of_the_new_service(
    tmp_path: Path, mini_bundle: Path, booted: list[str]
) -> None:
    result = edge_asd(
        *("install", "--bundle", str(mini_bundle), "--root", str(tmp_path)),
        *("--usb", "0d8c:0014", "--now"),
    )

    assert result.exit_code == 0, result.output
    assert booted == [
        "systemctl daemon-reload",
        "udevadm control --reload",
        "udevadm trigger --action=add --subsystem-match=sound",
        "systemctl restart edge-asd@pump.service",
    ]
    assert 'its sound card is called "hw:pump"' in result.stdout


def test_without_now_it_says_how_to_start(
    tmp_path: Path, mini_bundle: Path, booted: list[str]
) -> None:
    result = edge_asd("install", "--bundle", str(mini_bundle), "--root", str(tmp_path))

    assert booted == ["systemctl daemon-reload"]
    assert result.stdout.splitlines()[-1] == "next: systemctl start edge-asd@pump.service"


def test_uninstall_stops_it_first(installed: Path, booted: list[str]) -> None:
    edge_asd("uninstall", "--root", str(installed))

    assert booted == [
        "systemctl disable --now edge-asd@pump.service",
        "systemctl daemon-reload",
    ]
