"""The support archive: what is in it, and what never is."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
from device.installations import installation_of, written
from typer.testing import CliRunner

from edge_asd.cli import app
from edge_asd.doctor import (
    archive,
)
from edge_asd.doctor.examination import to_dict
from edge_asd.doctor.installation import Installation
from edge_asd.doctor.verdict import problem
from edge_asd.errors import StateError
from edge_asd.outputs.journal import Journal

SECRETS = (
    "p4ssw0rd-in-file",
    "p4ssw0rd-in-env",
    "t0ken-in-env",
    "hook-s3cret-path",
    "env-f1le-key",
)


@pytest.fixture
def leaky(tmp_path: Path) -> Installation:
    """A installation whose secrets were written into everything that an archive is made of."""
    everything = " ".join(SECRETS)
    written(tmp_path / "password", f"{SECRETS[0]}\n")
    written(tmp_path / "root/etc/edge-asd/pump.env", f'API_KEY="{SECRETS[4]}"\nPLAIN=word\n')
    event = tmp_path / "state/pump/events/20261122T000000000Z"
    written(event / "event.json", json.dumps({"note": everything, "score": 1.0}))
    written(event / "audio.flac", "sound")
    journal = Journal(tmp_path / "state/pump/journal.sqlite3")
    journal.write((), (), {"alarm": json.dumps({"note": everything}).encode()})
    journal.close()
    return installation_of(
        tmp_path,
        profile=f"""
[sinks.mqtt]
host = "broker"
username = "somebody"
password_file = "{tmp_path / "password"}"
password_env = "BROKER_WORD"
[sinks.webhook]
url = "http://127.0.0.1:1/{SECRETS[3]}"
token_env = "HOOK_WORD"
""",
        environment={"BROKER_WORD": SECRETS[1], "HOOK_WORD": SECRETS[2]},
    )


def test_a_secret_is_known_however_its_file_spells_it(tmp_path: Path) -> None:
    written(
        tmp_path / "root/etc/edge-asd/pump.env",
        "A_KEY=plain-s3cret\n# OLD_KEY=old-s3cret\nB_KEY = 'single-s3cret'\n"
        'C_KEY="es\\"caped\\$s3cret"\n',
    )

    found = archive.secrets_in(installation_of(tmp_path))

    assert {"plain-s3cret", "old-s3cret", "single-s3cret", 'es"caped$s3cret'} <= found


def unpacked(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        files = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        return {name: file.read() for name, file in files.items() if file is not None}


def packed(
    installation: Installation, tmp_path: Path, *, with_audio: bool = False
) -> dict[str, bytes]:
    path = tmp_path / "support.tar.gz"
    findings = to_dict([("a", problem("x", " ".join(SECRETS), "do"))])
    archive.write_archive(path, archive.members(installation, findings, with_audio=with_audio))
    return unpacked(path)


def test_it_never_holds_a_secret(leaky: Installation, tmp_path: Path) -> None:
    files = packed(leaky, tmp_path, with_audio=True)

    content = b"".join(files.values())
    assert [secret for secret in SECRETS if secret.encode() in content] == []
    assert b"somebody" not in content
    assert b"<removed>" in files["edge-asd-support/pump/alarm.json"]


def test_it_holds_page_profile_packages_and_events(leaky: Installation, tmp_path: Path) -> None:
    files = packed(leaky, tmp_path)

    event = "edge-asd-support/pump/events/20261122T000000000Z/event.json"
    assert set(files) == {
        "edge-asd-support/doctor.json",
        "edge-asd-support/profile.json",
        "edge-asd-support/packages.txt",
        "edge-asd-support/pump/alarm.json",
        event,
    }
    assert json.loads(files["edge-asd-support/doctor.json"])["problems"] == 1
    profile = json.loads(files["edge-asd-support/profile.json"])
    assert profile["removed"] == ["sinks.mqtt.username", "sinks.webhook.url"]
    assert profile["sinks"]["mqtt"]["host"] == "broker"
    assert b"numpy==" in files["edge-asd-support/packages.txt"]
    assert json.loads(files[event])["score"] == 1.0


def test_sound_goes_in_only_when_asked_for(leaky: Installation, tmp_path: Path) -> None:
    without = packed(leaky, tmp_path)
    with_audio = packed(leaky, tmp_path, with_audio=True)

    assert not any(name.endswith(".flac") for name in without)
    assert b"sound" in with_audio.values()


def test_links_and_pipes_are_not_followed(leaky: Installation, tmp_path: Path) -> None:
    private = written(tmp_path / "elsewhere/event.json", "PRIVATE")
    events = leaky.state / "pump/events"
    (events / "link").symlink_to(private.parent, target_is_directory=True)
    (events / "file").mkdir()
    (events / "file/event.json").symlink_to(private)
    (events / "pipe").mkdir()
    os.mkfifo(events / "pipe/event.json")
    (leaky.state / "fan").symlink_to(leaky.state / "pump", target_is_directory=True)
    (leaky.state / "saw").mkdir()
    (leaky.state / "saw/events").symlink_to(private.parent.parent, target_is_directory=True)

    files = packed(leaky, tmp_path, with_audio=True)

    assert b"PRIVATE" not in b"".join(files.values())
    assert not any("fan" in name or "pipe" in name for name in files)


def test_its_owner_alone_can_read_it(leaky: Installation, tmp_path: Path) -> None:
    packed(leaky, tmp_path)

    assert (tmp_path / "support.tar.gz").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file or directory; name another"):
        archive.write_archive(tmp_path / "gone/support.tar.gz", [])


def test_sound_without_an_archive_is_refused() -> None:
    result = CliRunner().invoke(app, ["doctor", "--with-audio"])

    assert result.exit_code == 2
    assert "give --archive" in result.stderr
