"""Whatever ends a run that nobody wanted to end: outputs hear of it, the next start knows it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from device.listening import ENVIRONMENT, Events, of, parse, run

from edge_asd.errors import AudioError, EdgeAsdError
from edge_asd.events.fault import FaultChange
from edge_asd.monitor import one_run
from edge_asd.monitor.session import Session
from edge_asd.monitor.stop import Stop
from edge_asd.profile import readable_profile
from edge_asd.service.notify import wait_to_restart
from edge_asd.state.folder import StateFolder

MEND = "[sinks.jsonl]\npath = '{log}'\n"


class Device:
    """A machine's profile, state and events; `listen` is what a run does."""

    def __init__(self, folder: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bundle = bundle
        self.log = folder / "events.jsonl"
        self.profile = folder / "site.toml"
        self.state = folder / "state"
        self.write(MEND)
        self._monkeypatch = monkeypatch

    def write(self, text: str) -> None:
        self.profile.write_text(text.format(log=self.log))

    def start(
        self, listen: Callable[..., Any], stop: Stop | None = None, **environment: str
    ) -> None:
        self._monkeypatch.setattr(one_run, "listen", listen)
        profile, mistake = readable_profile(str(self.profile))
        Session(
            profile=profile,
            mistake=mistake,
            bundle=self.bundle,
            machine="pump",
            recording=None,
            state=self.state,
            duration_s=None,
            as_json=True,
            environment=environment,
            stop=stop or Stop(),
        ).run()

    @property
    def told(self) -> Events:
        return of(parse(self.log.read_text()), "fault_raised") if self.log.is_file() else []

    @property
    def record(self) -> dict[str, Any]:
        content = json.loads(StateFolder(self.state, "pump").start_file.read_text())
        assert isinstance(content, dict)
        return content


@pytest.fixture
def device(tmp_path: Path, mini_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    return Device(tmp_path, mini_bundle, monkeypatch)


def fails_with(error: BaseException) -> Callable[..., None]:
    def listen(*_: object) -> None:
        raise error

    return listen


def ends_well(*_: object) -> None:
    """A run whose end is wanted."""


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (MemoryError(), "MemoryError"),
        (ImportError("libonnxruntime.so.1"), "ImportError: libonnxruntime.so.1"),
        (RuntimeError("a kernel\nfailed"), "RuntimeError: a kernel failed"),
        (FileNotFoundError(2, "No such file or directory", "/x"), "/x: No such file or directory"),
        (AudioError("the wait is over"), "the wait is over"),
    ],
)
def test_every_error_is_a_fault_that_outputs_hear_and_the_record_keeps(
    device: Device, error: Exception, detail: str
) -> None:
    with pytest.raises(type(error)):
        device.start(fails_with(error))

    (told,) = device.told
    assert (told["fault"], told["severity"], told["detail"]) == ("start", "deaf", detail)
    assert (device.record["running"], device.record["error"]) == (False, detail)


def test_a_damaged_journal_is_told_by_a_start_that_fails_too(device: Device) -> None:
    journal = StateFolder(device.state, "pump").journal
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"no database " * 100)

    with pytest.raises(RuntimeError):
        device.start(fails_with(RuntimeError("broken")))

    assert [told["fault"] for told in device.told] == ["events_lost:journal", "start"]


@pytest.mark.parametrize("code", [0, 1])
def test_a_part_that_exits_the_program_fails_it(device: Device, code: int) -> None:
    with pytest.raises(EdgeAsdError, match="it ended by SystemExit"):
        device.start(fails_with(SystemExit(code)))

    assert device.told[0]["detail"].startswith("SystemExit")


def test_the_same_failure_is_told_once_and_counted(device: Device) -> None:
    for _ in range(3):
        with pytest.raises(RuntimeError):
            device.start(fails_with(RuntimeError("broken")))

    assert len(device.told) == 1
    assert device.record["failures"] == 3


def test_ctrl_c_and_a_stop_that_was_asked_for_are_wanted(device: Device) -> None:
    with pytest.raises(KeyboardInterrupt):
        device.start(fails_with(KeyboardInterrupt()))
    stop = Stop()
    stop.set()
    with pytest.raises(AudioError):
        device.start(fails_with(AudioError("the card is gone")), stop)

    assert device.told == []
    assert (device.record["running"], device.record["failures"]) == (False, 0)


@pytest.mark.parametrize(
    ("mistake", "detail"),
    [
        ("[alarm]\nholdof_s = 3\n", "unknown key 'alarm.holdof_s'"),
        ("[alarm]\nholdoff_s = 'long'\n", "alarm.holdoff_s is 'long'"),
        ("alarms = 3\n", "unknown key 'alarms'"),
        ("[sinks.mqtt]\nhost = 'localhost'\nprot = 1883\n", "unknown key 'sinks.mqtt.prot'"),
    ],
)
def test_a_typo_in_the_profile_is_told_by_the_outputs_that_it_names(
    device: Device, mistake: str, detail: str
) -> None:
    device.write(f"{mistake}{MEND}")

    with pytest.raises(EdgeAsdError, match=r"profile .*site"):
        device.start(ends_well)

    assert detail in device.told[0]["detail"]


def test_a_profile_that_cannot_be_read_is_told_by_the_outputs_of_the_last_one(
    device: Device,
) -> None:
    device.start(ends_well)
    device.write("[sinks.jsonl\npath = '{log}'\n")

    with pytest.raises(EdgeAsdError, match="not valid TOML"):
        device.start(ends_well)

    assert "is not valid TOML" in device.told[0]["detail"]


def test_a_profile_that_was_mended_is_obeyed_at_the_next_start(device: Device) -> None:
    device.write(f"[alarm]\nholdof_s = 3\n{MEND}")
    with pytest.raises(EdgeAsdError):
        device.start(ends_well)
    device.write(f"[alarm]\nholdoff_s = 3\n{MEND}")
    began: list[object] = []

    device.start(lambda *parts: began.append(parts))

    assert len(began) == 1


def test_a_machine_that_nobody_has_enrolled_yet_is_told(device: Device) -> None:
    args = ["--device", "hw:1", "--machine", "mill", "--profile", str(device.profile)]

    exit_code, _, stderr = run(device.bundle, args)

    assert exit_code == 2
    assert "mill" in stderr
    assert "mill" in device.told[0]["detail"]


@pytest.mark.parametrize("library", ["onnxruntime", "soundfile", "soxr"])
def test_a_library_that_cannot_be_loaded_is_told(device: Device, library: str) -> None:
    broken = device.state.parent / "broken" / library
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('libgomp.so.1: cannot open')")
    environment = {"PYTHONPATH": f"{broken.parent}:{ENVIRONMENT['PYTHONPATH']}"}
    args = ["--device", "hw:1", "--machine", "pump", "--profile", str(device.profile)]

    exit_code, _, stderr = run(device.bundle, args, env=environment)

    assert exit_code == 1
    assert "libgomp.so.1" in stderr
    assert "libgomp.so.1: cannot open" in device.told[0]["detail"]


def test_starts_that_crash_are_told_before_the_next_one_tries(device: Device) -> None:
    crash = (
        "import os, pytest\nfrom pathlib import Path\n"
        "from device.monitor.test_ends import Device\n"
        f"folder, bundle = Path({str(device.state.parent)!r}), Path({str(device.bundle)!r})\n"
        "Device(folder, bundle, pytest.MonkeyPatch()).start(lambda *_: os.abort())\n"
    )
    for _ in range(3):
        subprocess.run(
            [sys.executable, "-c", crash], env=ENVIRONMENT, capture_output=True, check=False
        )

    assert "it crashed" in device.told[0]["detail"]
    device.start(ends_well)
    assert len(device.told) == 1


def test_a_state_folder_that_cannot_be_used_is_told(device: Device) -> None:
    device.state.write_text("a file")

    with pytest.raises(EdgeAsdError, match="cannot use the state folder"):
        device.start(ends_well)

    assert "cannot use the state folder" in device.told[0]["detail"]


def test_a_second_monitor_of_a_machine_is_refused_and_the_first_is_not_said_to_fail(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_asd.monitor.session.runs", lambda folder: True)

    with (
        StateFolder(device.state, "pump").lock(),
        pytest.raises(EdgeAsdError, match="another monitor"),
    ):
        device.start(ends_well)

    assert device.told == []


def test_a_bundle_that_cannot_be_opened_is_told_without_a_name_of_the_machine(
    device: Device,
) -> None:
    args = ["--device", "hw:1", "--profile", str(device.profile)]

    exit_code, _, _ = run(device.bundle.parent / "nothing", args)

    assert exit_code == 1
    assert (device.told[0]["machine"], device.told[0]["fault"]) == ("unknown", "start")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_with_an_error_is_a_fault() -> None:
    reports: list[FaultChange] = []
    thread = threading.Thread(target=lambda: 1 / 0, name="http")

    with one_run.threads_that_end(reports.append):
        thread.start()
        thread.join()

    assert [(change.key, change.detail) for change in reports] == [
        ("part:http", "it ended: ZeroDivisionError: division by zero")
    ]


def test_it_waits_before_it_is_started_again_says_so_and_ends_when_asked(tmp_path: Path) -> None:
    stop = threading.Event()
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))

        def listen() -> None:
            heard.extend(manager.recv(4096).decode().splitlines())
            stop.set()

        listener = threading.Thread(target=listen)
        listener.start()
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        wait_to_restart(environment, stop, 300.0, "the monitor cannot start: no bundle")
        listener.join()

    assert heard == [
        "EXTEND_TIMEOUT_USEC=60000000",
        "WATCHDOG=1",
        "STATUS=the monitor cannot start: no bundle",
    ]


@pytest.mark.parametrize(("failures", "pause_s"), [(1, 0.0), (2, 10.0), (3, 30.0), (7, 290.0)])
def test_the_wait_grows_with_every_failure(
    device: Device, monkeypatch: pytest.MonkeyPatch, failures: int, pause_s: float
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(
        "edge_asd.monitor.session.wait_to_restart",
        lambda environment, stop, seconds, why: waited.append(seconds),
    )

    for _ in range(failures):
        with pytest.raises(AudioError):
            device.start(fails_with(AudioError("no card")))

    assert waited[-1] == pause_s


def test_somebody_at_a_terminal_need_not_wait(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}

    wait_to_restart(environment, threading.Event(), 300.0, "no bundle")
