"""Secrets come from files or the environment and are shown nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_asd.errors import ProfileError
from edge_asd.outputs.secrets_source import Secret

KEY = "sinks.mqtt.password"


def read(file: Path | str = "", variable: str = "", **environment: str) -> str:
    return Secret(KEY, str(file), variable).read(environment)


def test_the_first_line_of_the_file_is_the_secret(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2 \r\n# the broker's\n")

    assert read(file) == "hunter2"


def test_an_environment_variable_is_the_secret() -> None:
    assert read(variable="MQTT_PASSWORD", MQTT_PASSWORD="hunter2") == "hunter2"


def test_where_none_is_named_there_is_none() -> None:
    assert read() == ""


def test_a_file_that_everybody_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2")
    file.chmod(0o640)
    read(file)
    assert caplog.text == ""
    file.chmod(0o644)

    assert read(file) == "hunter2"

    assert f"every user can read {file}" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "No such file or directory"),
        (b"", "is empty"),
        (b"\nhunter2", "is empty"),
        ("hünter2".encode(), "not plain ASCII"),
        (b"hunter\x002", "not plain ASCII"),
    ],
)
def test_a_file_without_a_usable_secret_is_an_error_that_names_the_key(
    content: bytes | None, complaint: str, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ProfileError, match=complaint) as seen:
        read(file)

    assert str(seen.value).startswith(f"{KEY}_file")
    assert "nter" not in str(seen.value)


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        ({}, "'MQTT_PASSWORD' is not set"),
        ({"MQTT_PASSWORD": " "}, "is empty"),
        ({"MQTT_PASSWORD": "hun\nter2"}, "not plain ASCII"),
    ],
)
def test_a_variable_without_a_usable_secret_is_an_error_that_names_the_key(
    environment: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ProfileError, match=complaint) as seen:
        read(variable="MQTT_PASSWORD", **environment)

    assert str(seen.value).startswith(f"{KEY}_env")
    assert "ter2" not in str(seen.value)


def test_a_file_and_a_variable_together_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=f"{KEY}_file and {KEY}_env are both set"):
        read(tmp_path / "password", "MQTT_PASSWORD", MQTT_PASSWORD="hunter2")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="Is a directory"):
        read(tmp_path)
