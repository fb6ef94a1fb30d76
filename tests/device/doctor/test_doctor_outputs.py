"""Verdicts about outputs and their secrets, with real sockets and files."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest
from device.installations import installation_of, states, written

from edge_asd.doctor import reach
from edge_asd.outputs.output_section import reach_server
from edge_asd.outputs.secrets_source import Secret


def test_a_profile_without_outputs_says_so(tmp_path: Path) -> None:
    assert states(reach.outputs(installation_of(tmp_path))) == {"outputs": "not checked"}


def test_a_server_that_listens_answers() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]

        assert reach_server("MQTT", "127.0.0.1", port, shown="it").state == "ok"

    assert reach_server("MQTT", "127.0.0.1", port, shown="it").state == "problem"


def test_a_secret_address_is_reached_but_not_shown(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/hooks/h0okk3y"
        installation = installation_of(
            tmp_path,
            profile='[sinks.webhook]\nurl_env = "HOOK"\n',
            environment={"HOOK": url},
        )

        verdicts = list(reach.outputs(installation))

    assert [(v.check, v.state) for v in verdicts] == [
        ("webhook.url", "ok"),
        ("webhook", "ok"),
    ]
    assert "h0okk3y" not in repr(verdicts)
    assert "127.0.0.1" not in repr(verdicts)


@pytest.mark.parametrize(
    ("mode", "content", "state"),
    [
        (0o600, "s3cret\n", "ok"),
        (0o644, "s3cret\n", "warning"),
        (0o600, "\n", "problem"),
        (None, "", "problem"),
    ],
)
def test_a_secret_is_there_and_for_its_owner_alone(
    tmp_path: Path, mode: int | None, content: str, state: str
) -> None:
    file = tmp_path / "password"
    if mode is not None:
        written(file, content).chmod(mode)

    verdict = reach.secret_verdict(Secret("sinks.mqtt.password", str(file), ""), {})

    assert verdict.state == state
    assert "s3cret" not in repr(verdict)


def test_a_variable_of_the_service_is_not_expected_here() -> None:
    verdict = reach.secret_verdict(Secret("sinks.mqtt.password", "", "MQTT_PASSWORD"), {})

    assert verdict.state == "not checked"


def test_endpoints_that_are_open_to_the_network_are_a_warning(tmp_path: Path) -> None:
    installation = installation_of(
        tmp_path, profile='[sinks.http]\nport = 9000\nhost = "0.0.0.0"\n'
    )

    assert states(reach.outputs(installation)) == {"http": "warning"}


def test_a_file_in_a_missing_folder_is_a_problem(tmp_path: Path) -> None:
    def verdicts(file: str) -> dict[str, str]:
        profile = f'[sinks.jsonl]\npath = "{tmp_path}/{file}"\n'
        return states(reach.outputs(installation_of(tmp_path, profile=profile)))

    assert verdicts("events.jsonl") == {"file": "ok"}
    assert verdicts("gone/events.jsonl") == {"file": "problem"}
