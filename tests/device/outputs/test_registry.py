"""A profile's outputs are opened as it says, or not at all."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from device.made_events import SCORE
from device.reports import a_notice, a_status
from device.waiting import wait_until
from device.web_server import answers, web_server

from edge_asd.errors import ProfileError
from edge_asd.events.fault import FaultChange, Report
from edge_asd.outputs import Output
from edge_asd.outputs.outbox import Outbox
from edge_asd.outputs.output_section import OutputContext
from edge_asd.outputs.registry import open_outputs
from edge_asd.profile import load_profile
from edge_asd.state.folder import StateFolder


@contextmanager
def opened(
    folder: Path, toml: str, *, state: StateFolder | None = None, **environment: str
) -> Iterator[dict[str, Output]]:
    with closing(Outbox(state.journal if state else None, lambda _: None)) as outbox:
        outputs = outputs_of(folder, toml, outbox, environment)
        try:
            yield {output.name: output for output in outputs}
        finally:
            for output in outputs:
                output.close()


def outputs_of(
    folder: Path,
    toml: str,
    outbox: Outbox | None = None,
    environment: Mapping[str, str] | None = None,
    report: Report = lambda _: None,
) -> list[Output]:
    profile = folder / "site.toml"
    profile.write_text(toml)
    context = OutputContext(
        machine="pump",
        status=a_status,
        report=report,
        environment=environment or {},
        outbox=outbox,
    )
    return open_outputs(load_profile(str(profile)).sinks, context)


def test_the_default_profile_has_no_outputs(tmp_path: Path) -> None:
    assert outputs_of(tmp_path, "") == []


def test_every_output_that_the_profile_names_is_opened(tmp_path: Path) -> None:
    toml = f"""
        [sinks]
        jsonl.path = "{tmp_path}/events.jsonl"
        mqtt.host = "127.0.0.1"
        mqtt.port = 1
        webhook.url = "http://127.0.0.1:1/"
        http.port = {free_port()}
    """
    with opened(tmp_path, toml) as outputs:
        assert list(outputs) == ["jsonl", "mqtt", "webhook", "http"]
        assert all(
            output.counters().keys() >= {"sent", "dropped", "waiting"}
            for output in outputs.values()
        )


def free_port() -> int:
    with web_server() as server:
        return server.server_port


def test_the_file_is_rotated_as_the_profile_says(tmp_path: Path) -> None:
    toml = f'[sinks.jsonl]\npath = "{tmp_path}/events.jsonl"\nmax_bytes = 10_000\nbackups = 1'
    with opened(tmp_path, toml) as outputs:
        for number in range(100):
            outputs["jsonl"].emit(a_notice(number))

    assert (tmp_path / "events.jsonl.1").stat().st_size <= 10_000
    assert not (tmp_path / "events.jsonl.2").exists()


def test_the_webhook_gets_the_events_that_the_profile_names_and_its_secrets(
    tmp_path: Path,
) -> None:
    with web_server() as server:
        (tmp_path / "address").write_text(f"{server.url}/secret\n")
        (tmp_path / "address").chmod(0o600)
        toml = f"""
            [sinks.webhook]
            url_file = "{tmp_path}/address"
            token_env = "TOKEN"
            events = ["notice"]
        """
        with opened(tmp_path, toml, TOKEN="t0ken") as outputs:
            outputs["webhook"].emit(SCORE)
            outputs["webhook"].emit(a_notice(1))
            wait_until(lambda: server.taken)

        ((path, headers, content),) = server.requests
    assert path == "/hook/secret"
    assert headers["Authorization"] == "Bearer t0ken"
    assert content["event"] == "notice"


def test_undelivered_events_wait_in_the_state_folder(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state", "pump")
    with web_server(answers(500), answers(500)) as server:
        toml = f'[sinks.webhook]\nurl = "{server.url}"'
        with opened(tmp_path, toml, state=state) as outputs:
            outputs["webhook"].emit(a_notice(1))
            wait_until(lambda: server.requests)

        journal = state.journal.read_bytes()
        assert b"notice 1" in journal

        with opened(tmp_path, toml, state=state) as outputs:
            wait_until(lambda: server.taken)
            wait_until(lambda: not outputs["webhook"].counters()["waiting"])


def test_health_is_served_where_the_profile_says(tmp_path: Path) -> None:
    port = free_port()
    with opened(tmp_path, f"[sinks.http]\nport = {port}"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        connection.request("GET", "/health")
        content = json.loads(connection.getresponse().read())
        connection.close()

    assert content["machine"] == "pump"


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        (
            'events = ["alarm_rised"]',
            "sinks.webhook.events: unknown event 'alarm_rised'; did you mean 'alarm_raised'?",
        ),
        ('token_env = "TOKEN"', "sinks.webhook.token_env: the environment variable 'TOKEN' is"),
        ('token_file = "/no/such"', "sinks.webhook.token_file: cannot read /no/such: No such"),
        ('url_env = "URL"', "sinks.webhook.url and sinks.webhook.url_file or"),
    ],
)
def test_an_impossible_webhook_is_one_line_that_names_the_key(
    toml: str, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(ProfileError) as seen:
        outputs_of(tmp_path, f'[sinks.webhook]\nurl = "http://127.0.0.1:1/"\n{toml}')

    assert str(seen.value).startswith(complaint)


def test_a_secret_address_that_is_none_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"address of sinks\.webhook") as seen:
        outputs_of(tmp_path, '[sinks.webhook]\nurl_env = "URL"', environment={"URL": "s3cret"})

    assert "s3cret" not in str(seen.value)


def test_a_port_that_is_taken_is_a_fault_and_no_reason_not_to_listen(tmp_path: Path) -> None:
    faults: list[FaultChange] = []
    with web_server() as server:
        toml = f"""
            [sinks]
            webhook.url = "{server.url}"
            http.port = {server.server_port}
        """
        outputs = outputs_of(tmp_path, toml, report=faults.append)
        for output in outputs:
            output.close()

    assert [output.name for output in outputs] == ["webhook"]
    (fault,) = faults
    assert (fault.key, fault.active) == ("output:http", True)
    assert "cannot serve" in fault.detail


def test_when_one_output_cannot_be_opened_the_others_are_closed_again(tmp_path: Path) -> None:
    before = threading.active_count()

    with pytest.raises(ProfileError, match="URL"):
        outputs_of(
            tmp_path, '[sinks]\nmqtt.host = "127.0.0.1"\nmqtt.port = 1\nwebhook.url_env = "URL"'
        )

    wait_until(lambda: threading.active_count() == before)
