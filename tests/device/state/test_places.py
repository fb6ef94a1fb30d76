"""Where a monitor keeps its state, and where commands look for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_asd.profile import Profile, load_profile
from edge_asd.state.folder import StateFolder
from edge_asd.state.places import (
    SERVICE_CONFIG,
    below,
    machine_root,
    state_root,
    state_roots,
    states_in,
)

HOME = {"HOME": "/home/ann"}


def profile(state_dir: str = "") -> Profile:
    return load_profile().with_values(site={"state_dir": state_dir})


def install(system: Path, machine: str, text: str) -> None:
    """Put a service's profile in place."""
    folder = below(system, SERVICE_CONFIG)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{machine}.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("state", "state_dir", "environment", "expected"),
    [
        (Path("here"), "/mnt/ssd", {"STATE_DIRECTORY": "/var/lib/x"}, "here"),
        (None, "/mnt/ssd", {"STATE_DIRECTORY": "/var/lib/x"}, "/mnt/ssd"),
        (None, "", {"STATE_DIRECTORY": "/var/lib/x:/var/lib/y"}, "/var/lib/x"),
        (None, "", {"XDG_STATE_HOME": "/home/ann/state"}, "/home/ann/state/edge-asd"),
        (None, "", {}, "/home/ann/.local/state/edge-asd"),
    ],
)
def test_the_command_line_counts_more_than_the_profile_and_that_more_than_the_system(
    state: Path | None, state_dir: str, environment: dict[str, str], expected: str
) -> None:
    assert state_root(state, profile(state_dir), HOME | environment) == Path(expected)


def test_only_the_folder_that_is_named_is_looked_at(tmp_path: Path) -> None:
    install(tmp_path, "pump", '[site]\nstate_dir = "/mnt/ssd"\n')

    roots = state_roots(Path("here"), profile("/mnt/other"), HOME, system=tmp_path)

    assert roots == [Path("here")]


def test_a_relative_folder_of_the_profile_may_be_that_of_a_service(tmp_path: Path) -> None:
    roots = state_roots(None, profile("pumps"), HOME, system=tmp_path)

    assert roots == [Path("pumps"), tmp_path / "var/lib/edge-asd/pumps"]


def test_services_are_found_where_their_installed_profiles_say(tmp_path: Path) -> None:
    install(tmp_path, "fan", "")
    install(tmp_path, "mill", "this is no TOML")
    install(tmp_path, "pump", '[site]\nstate_dir = "/mnt/ssd"\n')

    roots = state_roots(None, profile(), HOME, system=tmp_path)

    assert roots == [
        *(Path("/home/ann/.local/state/edge-asd"), tmp_path / "var/lib/edge-asd"),
        tmp_path / "mnt/ssd",
    ]


def test_machines_are_listed_place_by_place_and_nothing_is_made(tmp_path: Path) -> None:
    for name in ("b/pump", "a/mill", "a/fan"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a/notes.txt").touch()

    found = states_in([tmp_path / "none", tmp_path / "a", tmp_path / "b"])

    assert [folder.path.relative_to(tmp_path) for folder in found] == [
        *(Path("a/fan"), Path("a/mill"), Path("b/pump"))
    ]
    assert isinstance(found[0], StateFolder)
    assert not (tmp_path / "none").exists()


def test_what_is_known_of_a_machine_decides_where_its_state_is(tmp_path: Path) -> None:
    (tmp_path / "var/lib/edge-asd/pumps/pump").mkdir(parents=True)

    roots = state_roots(None, profile("pumps"), HOME, system=tmp_path)

    assert machine_root("pump", roots) == tmp_path / "var/lib/edge-asd/pumps"
    assert machine_root("fan", roots) == Path("pumps")
