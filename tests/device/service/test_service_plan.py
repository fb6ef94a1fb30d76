"""The files of a machine's service, from its names and its profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_asd.errors import UsageError
from edge_asd.profile import load_profile
from edge_asd.service.plan import (
    UNIT,
    UNITS,
    Setup,
    env_text,
    planned_files,
    read_env,
    usb_card,
)

SETUP = Setup(machine="pump", bundle=Path("/opt/bundles/pumps"), command=("/opt/bin/edge-asd",))


def planned(setup: Setup = SETUP, profile_text: str = "", folder: Path | None = None) -> dict:
    profile = load_profile()
    if folder is not None:
        path = folder / "site.toml"
        path.write_text(profile_text, encoding="utf-8")
        profile = load_profile(str(path))
    files = planned_files(setup, profile, profile_text=profile_text, env="")
    return {file.path: file for file in files}


def test_the_unit_calls_the_program_that_installed_it() -> None:
    command = ("/opt/my venv/bin/python", "-m", "edge_asd")
    setup = Setup(machine="pump", bundle=Path("/b"), command=command, user="pi")

    unit = planned(setup)[UNITS / UNIT].content

    assert 'ExecStart="/opt/my venv/bin/python" -m edge_asd listen --json ' in unit
    assert "User=pi\n" in unit
    assert "/opt/edge-asd" not in unit


def test_a_setup_for_another_user_makes_no_user() -> None:
    setup = Setup(machine="pump", bundle=Path("/b"), command=("/bin/true",), user="pi")

    assert Path("/etc/sysusers.d/edge-asd.conf") in planned()
    assert Path("/etc/sysusers.d/edge-asd.conf") not in planned(setup)


def test_folders_that_the_profile_writes_to_are_opened_for_it(tmp_path: Path) -> None:
    profile = '[site]\nstate_dir = "/mnt/ssd/asd"\n[sinks.jsonl]\npath = "/srv/events/a.jsonl"\n'

    drop_in = planned(profile_text=profile, folder=tmp_path)[SETUP.drop_in].content

    assert "RequiresMountsFor=/mnt/ssd/asd /srv/events\n" in drop_in
    assert "ReadWritePaths=/mnt/ssd/asd /srv/events\n" in drop_in


def test_folders_that_are_open_anyway_need_nothing(tmp_path: Path) -> None:
    profile = '[sinks.jsonl]\npath = "/var/log/edge-asd/events.jsonl"\n'

    assert SETUP.drop_in not in planned(profile_text=profile, folder=tmp_path)


@pytest.mark.parametrize("name", ["pump 3", "../../etc", "a/b", 'q"uote', "$HOME`id`", "pümp"])
def test_a_machine_name_from_outside_never_becomes_a_path_or_a_command(name: str) -> None:
    setup = Setup(machine=name, bundle=Path("/b"), command=("/bin/true",))

    files = planned(setup)

    assert all(".." not in path.parts and len(path.parts) <= 6 for path in files)
    assert read_env(files[setup.env].content)["EDGE_ASD_MACHINE"] == name
    assert name not in files[UNITS / UNIT].content


@pytest.mark.parametrize("user", ["", "x y", "-x", "pi\nExecStartPre=/bin/true"])
def test_what_is_no_name_of_a_user_is_refused(user: str) -> None:
    setup = Setup(machine="pump", bundle=Path("/b"), command=("/bin/true",), user=user)

    with pytest.raises(UsageError, match="is no name of a user"):
        planned(setup)


def test_a_line_break_in_a_machine_name_is_refused() -> None:
    with pytest.raises(UsageError, match="line break"):
        env_text("", Setup(machine="a\nB=1", bundle=Path("/b"), command=()))


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("0d8c:0014", ['ATTRS{idVendor}=="0d8c"', 'ATTRS{idProduct}=="0014"']),
        ("usb:0D8C:0014:A-1", ['ATTRS{idVendor}=="0d8c"', 'ATTRS{serial}=="A-1"']),
    ],
)
def test_a_usb_card_gets_a_name_that_lasts(text: str, conditions: list[str]) -> None:
    setup = Setup(machine="pump-3", bundle=Path("/b"), command=("x",), usb=usb_card(text))

    rule = planned(setup)[Path("/etc/udev/rules.d/70-edge-asd-pump-3.rules")].content

    assert all(condition in rule for condition in conditions)
    assert rule.endswith('ATTR{id}="pump_3"\n')


@pytest.mark.parametrize("text", ["", "0d8c", "0d8c:14", '0d8c:0014:"', "0d8c:0014:a\nb"])
def test_what_is_no_usb_card_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="VENDOR:PRODUCT"):
        usb_card(text)
