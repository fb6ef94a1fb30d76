"""Requests to a running monitor over a real socket, and clients that behave badly."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from device.answering import control_threads, echo, monitor
from device.waiting import wait_until

from edge_asd.control.control_socket import ControlServer, Request, ask, plain_text
from edge_asd.errors import ControlError


@contextmanager
def raw_client(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(300)
        client.connect(str(path))
        yield client


def raw_answer(client: socket.socket) -> Any:
    return json.loads(client.makefile().readline())


def test_a_request_reaches_the_monitor_and_its_reply_the_asker(path: Path) -> None:
    with monitor(path, echo):
        reply = ask(path, "ack", note="bearing ordered", count=3)

    assert reply == {"command": "ack", "arguments": {"note": "bearing ordered", "count": 3}}


def test_a_refusal_is_an_error_on_the_other_side(path: Path) -> None:
    with (
        monitor(path, lambda request: request.refuse("no alarm is on")),
        pytest.raises(ControlError, match=r"^no alarm is on$"),
    ):
        ask(path, "ack")


def test_only_the_first_answer_counts(path: Path) -> None:
    def twice(request: Request) -> None:
        request.reply({"answer": 1})
        request.refuse("changed its mind")

    with monitor(path, twice):
        assert ask(path, "status") == {"answer": 1}


def test_a_monitor_without_requests_polls_nothing(path: Path) -> None:
    with closing(ControlServer(path)) as server:
        assert server.poll() is None


def test_many_askers_get_their_own_replies(path: Path) -> None:
    replies: dict[int, object] = {}

    def client(i: int) -> None:
        replies[i] = ask(path, "status", i=i)["arguments"]

    with monitor(path, echo):
        threads = [threading.Thread(target=client, args=(i,)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert replies == {i: {"i": i} for i in range(6)}


def test_numbers_that_json_does_not_know_arrive_as_null(path: Path) -> None:
    with monitor(path, lambda request: request.reply({"level": float("-inf"), "path": path})):
        assert ask(path, "status") == {"level": None, "path": str(path)}


def test_text_is_one_short_line_when_it_reaches_the_monitor(path: Path) -> None:
    with monitor(path, echo):
        reply = ask(path, "ack", note="red\x1b[31m\nline " + "x" * 300)

    note = reply["arguments"]["note"]
    assert note.startswith("red[31m line xxx")
    assert len(note) == 200


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  two\r\n lines\t", "two lines"),
        ("bell\a \x1b]0;title\a", "bell ]0;title"),
        ("right\u202eto left\u200b", "rightto left"),
        ("Lager läuft heiß, 轴承", "Lager läuft heiß, 轴承"),
        ("\ud800", ""),
    ],
)
def test_plain_text_has_no_control_characters(text: str, expected: str) -> None:
    assert plain_text(text) == expected


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"hello\n",
        b"\xff\xfe\x00\n",
        b"[1, 2]\n",
        b"{}\n",
        b'{"command": "ack"}\n',
        b'{"command": 7, "arguments": {}}\n',
        b'{"command": "ack", "arguments": []}\n',
        b"[" * 60_000 + b"\n",
        b"9" * 60_000 + b"\n",
        b"x" * 70_000 + b"\n",
        b"x" * 1_000_000,
    ],
)
def test_garbage_is_refused_and_does_no_harm(path: Path, line: bytes) -> None:
    with monitor(path, echo):
        with raw_client(path) as client:
            try:
                client.sendall(line)
            except (BrokenPipeError, ConnectionResetError):
                assert len(line) > 64 * 1024
            assert "request" in raw_answer(client)["error"]
        assert ask(path, "status")["command"] == "status"


def test_a_client_that_says_nothing_is_sent_away(path: Path) -> None:
    with monitor(path, echo), raw_client(path) as client:
        assert "within 0.5 s" in raw_answer(client)["error"]


def test_a_client_that_dribbles_is_sent_away(path: Path) -> None:
    begin = time.monotonic()
    with monitor(path, echo), raw_client(path) as client:
        client.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() < begin + 300:
            client.send(b" ")
            try:
                answer = client.recv(1000)
            except TimeoutError:
                continue

    assert b"within 0.5 s" in answer


def test_clients_that_leave_early_do_no_harm(path: Path) -> None:
    with monitor(path, echo):
        for part in (b"", b'{"command"', b'{"command": "status", "arguments": {}}\n'):
            with raw_client(path) as client:
                client.sendall(part)

        assert ask(path, "status")["command"] == "status"


def test_slow_clients_do_not_keep_others_out(path: Path) -> None:
    with monitor(path, echo, request_timeout_s=60), raw_client(path), raw_client(path):
        assert ask(path, "status", timeout_s=300)["command"] == "status"


def test_too_many_clients_at_once_are_told_so(path: Path) -> None:
    with monitor(path, echo, request_timeout_s=60):
        clients = [socket.socket(socket.AF_UNIX) for _ in range(8)]
        for client in clients:
            client.connect(str(path))
        wait_until(lambda: control_threads() == 9)

        with pytest.raises(ControlError, match="too many commands"):
            ask(path, "status")

        for client in clients:
            client.close()
        wait_until(lambda: control_threads() == 1)
        assert ask(path, "status")["command"] == "status"


def test_a_monitor_that_does_not_poll_is_said_to_be_busy_and_never_obeys_later(path: Path) -> None:
    with closing(ControlServer(path, reply_timeout_s=0.1)) as server:
        with pytest.raises(ControlError, match="is busy and did nothing"):
            ask(path, "ack")

        assert server.poll() is None


def test_a_monitor_that_took_a_request_but_is_slow_is_said_to_be_busy_with_it(path: Path) -> None:
    taken: list[Request] = []
    with closing(ControlServer(path, reply_timeout_s=0.3)) as server:

        def take() -> bool:
            taken.extend(request for request in [server.poll()] if request is not None)
            return bool(taken)

        thread = threading.Thread(target=wait_until, args=(take,))
        thread.start()
        with pytest.raises(ControlError, match="is busy with the request"):
            ask(path, "ack")
        thread.join()

        taken[0].reply({})  # too late, and harmless


def test_requests_that_pile_up_are_bounded(path: Path) -> None:
    with closing(ControlServer(path, reply_timeout_s=0.01)) as server:
        for _ in range(8):
            with pytest.raises(ControlError, match="did nothing"):
                ask(path, "ack")

        with pytest.raises(ControlError, match="too many requests"):
            ask(path, "ack")

        assert server.poll() is None


def test_without_a_monitor_the_asker_is_told_what_to_do(path: Path) -> None:
    with pytest.raises(ControlError, match=r"no monitor runs: .*start one with 'edge-asd listen'"):
        ask(path, "status")


def test_an_asker_does_not_wait_for_ever(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen(1)

        with pytest.raises(ControlError, match="does not answer"):
            ask(path, "status", timeout_s=0.1)


def reply_with(path: Path, answer: bytes) -> threading.Thread:
    """Something that is not a monitor and answers one request."""
    path.parent.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(1000)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (b"", "cannot be asked: the connection ended"),
        (b"hello\n", "not a monitor of this version"),
        (b'{"result": 7}\n', "not a monitor of this version"),
        (b'{"error": "bad\\u001b[31m"}\n', r"^bad\[31m$"),
    ],
)
def test_a_strange_answer_is_one_clear_line(path: Path, answer: bytes, complaint: str) -> None:
    thread = reply_with(path, answer)

    with pytest.raises(ControlError, match=complaint):
        ask(path, "status")

    thread.join()


def test_a_monitor_that_stops_refuses_what_waits(path: Path) -> None:
    server = ControlServer(path)
    errors: list[str] = []

    def client() -> None:
        try:
            ask(path, "status")
        except ControlError as error:
            errors.append(str(error))

    thread = threading.Thread(target=client)
    thread.start()
    wait_until(lambda: server._waiting.qsize() == 1)
    server.close()
    thread.join()

    assert errors == ["the monitor is stopping"]


def test_a_listener_that_fails_is_told_once_and_tried_again(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_asd.control.control_socket._PAUSE_S", 0.01)
    failures = iter([OSError(24, "Too many open files")] * 3)
    welcome = ControlServer._welcome

    def failing_at_first(server: ControlServer, connection: socket.socket) -> None:
        for failure in failures:
            connection.close()
            raise failure
        welcome(server, connection)

    monkeypatch.setattr(ControlServer, "_welcome", failing_at_first)
    with caplog.at_level(logging.WARNING), monitor(path, echo):
        for _ in range(3):
            with pytest.raises(ControlError):
                ask(path, "status")
        assert ask(path, "status")["command"] == "status"

    assert [record.message for record in caplog.records] == [
        "requests of other commands cannot be heard: [Errno 24] Too many open files"
    ]


def test_what_was_asked_for_is_answered_once_it_will_survive_and_a_status_at_once(
    path: Path,
) -> None:
    on_disk = threading.Event()
    answers: list[dict[str, Any]] = []
    with monitor(path, echo, settled=lambda: on_disk.wait(600)):
        asking = threading.Thread(target=lambda: answers.append(ask(path, "ack")))
        asking.start()
        assert ask(path, "status")["command"] == "status"
        assert answers == []

        on_disk.set()
        asking.join()

    assert answers[0]["command"] == "ack"
