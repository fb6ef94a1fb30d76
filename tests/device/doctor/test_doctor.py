"""``edge-asd doctor``: libraries, bundle, monitors, and one real examination."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from device.bundle_files import edit_manifest
from device.fake_card import FakeCards, require_portaudio
from device.installations import installation_of, states, written
from device.mini_bundle import machine_sound

from edge_asd.child_process import Ending, ask_child, run_python
from edge_asd.control.control_socket import ControlServer
from edge_asd.doctor import (
    bundle,
    child,
    monitors,
    software,
    sound,
)
from edge_asd.doctor.examination import CHECKS, examine, to_dict
from edge_asd.doctor.installation import Installation
from edge_asd.doctor.verdict import Verdict, ok, problem, warning
from edge_asd.service.systemd import UnitState
from edge_asd.state.folder import StateFolder

RATE_HZ = 48000
DIED_OF_SIGILL = Ending(-signal.SIGILL, "", "", 60.0)
FINE = Ending(0, "19.6.0\n", "", 60.0)


def test_a_library_that_imports_is_fine() -> None:
    assert software.library("numpy", "2.4.6", FINE).state == "ok"


def test_a_library_for_another_processor_is_a_problem_with_its_cure() -> None:
    verdict = software.library("onnxruntime", "1.99.0", DIED_OF_SIGILL)

    assert verdict.state == "problem"
    assert "instructions that this processor does not have" in verdict.found
    assert verdict.advice.endswith("pip install 'onnxruntime!=1.99.0'")


def test_a_version_known_to_be_bad_is_a_problem_although_it_imports() -> None:
    verdict = software.library("onnxruntime", "1.21.0", FINE)

    assert (verdict.state, "Raspberry Pi 4" in verdict.found) == ("problem", True)


@pytest.mark.parametrize(
    ("installed", "ending", "found"),
    [
        (None, FINE, "not installed"),
        ("1.0", Ending(None, "", "", 60.0), "did not end within 60 s"),
        ("1.0", Ending(1, "", "ImportError: no", 60.0), "ImportError: no"),
        ("1.0", Ending(-signal.SIGSEGV, "", "", 60.0), "died of SIGSEGV"),
    ],
)
def test_a_library_that_cannot_be_used_is_a_problem(
    installed: str | None, ending: Ending, found: str
) -> None:
    verdict = software.library("numpy", installed, ending)

    assert (verdict.state, found in verdict.found) == ("problem", True)


def test_a_missing_portaudio_names_the_package() -> None:
    verdict = software.portaudio(Ending(1, "", "OSError: PortAudio library not found", 60.0))

    assert verdict.advice == "apt-get install libportaudio2"


def test_an_old_python_is_a_problem() -> None:
    assert software.python_version((3, 10, 4)).state == "problem"
    assert software.python_version((3, 11, 2)).state == "ok"


def test_a_crash_is_an_ending() -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGILL)"

    ending = run_python(["-c", code], timeout_s=300)

    assert ending.illegal_instruction
    assert ending.trouble == "died of SIGILL"


def test_a_child_takes_names_for_utf8_under_any_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)

    ending = run_python(["-c", "import sys; print(sys.getfilesystemencoding())"], timeout_s=300)

    assert ending.output == "utf-8\n"


def test_a_hang_ends_at_the_deadline() -> None:
    ending = run_python(["-c", "import time; time.sleep(600)"], timeout_s=0.2)

    assert ending.trouble == "did not end within 0.2 s"


def test_a_task_that_cannot_be_done_says_why(tmp_path: Path) -> None:
    answer = ask_child(
        child.speed, timeout_s=300, bundle=str(tmp_path / "gone"), machine=None, threads=1,
        search="auto", seconds=1.0,
    )  # fmt: skip

    assert "no bundle at" in answer["error"]


SPEED: dict[str, Any] = {
    "mean_s": 0.1,
    "p95_s": 0.2,
    "hop_s": 1.0,
    "window_s": 2.0,
    "peak_bytes": 1 << 28,
}


def test_without_a_bundle_nothing_is_judged(tmp_path: Path) -> None:
    verdicts = states(bundle.bundle(installation_of(tmp_path)))

    assert verdicts == {"bundle": "not checked", "speed": "not checked"}


@pytest.mark.parametrize(
    ("p95_s", "state"), [(0.2, "ok"), (0.9, "warning"), (6.3, "warning"), (6.5, "problem")]
)
def test_speed_is_judged_by_the_hop_that_it_needs(p95_s: float, state: str) -> None:
    speed = SPEED | {"p95_s": p95_s}

    assert bundle.speed_verdict(speed, hop_s=None, max_hop_s=None).state == state


def test_the_hop_of_the_profile_counts() -> None:
    verdict = bundle.speed_verdict(SPEED, hop_s=0.2, max_hop_s=0.2)

    assert verdict.state == "problem"
    assert "real-time factor 0.500 at a hop of 0.2 s" in verdict.found


def test_a_bundle_whose_manifest_has_no_digest_is_a_warning(
    tmp_path: Path, mini_bundle: Path
) -> None:
    old = shutil.copytree(mini_bundle, tmp_path / "old")
    edit_manifest(old, lambda manifest: manifest.update(format_version=3))
    (old / "manifest.sha256").unlink()

    verdict = next(bundle.bundle(installation_of(tmp_path, bundle=old)))

    assert (verdict.state, verdict.advice) == ("warning", "export the bundle again")


def test_a_damaged_bundle_is_a_problem_and_not_timed(tmp_path: Path) -> None:
    verdicts = states(bundle.bundle(installation_of(tmp_path, bundle=tmp_path / "gone")))

    assert verdicts == {"bundle": "problem", "speed": "not checked"}


FAULT = {"fault": "signal_clipping", "detail": "near clips"}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({"deaf": False, "faults": []}, "ok"),
        ({"deaf": False, "faults": [FAULT]}, "warning"),
        ({"deaf": True, "capture": "lost", "faults": []}, "problem"),
    ],
)
def test_a_monitor_is_judged_by_what_it_says(status: dict[str, Any], state: str) -> None:
    assert monitors.monitor_verdict("pump", status | {"state": "normal"}).state == state


def test_a_monitor_that_runs_is_asked(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "state", "pump")
    folder.make()
    server = ControlServer(folder.control_socket)
    with closing(server):
        findings = _answered(server, installation_of(tmp_path))

    assert [(v.check, v.state) for v in findings] == [("monitor pump", "ok")]


def test_a_monitor_that_ended_is_not_judged(tmp_path: Path) -> None:
    for left_behind in ("state/pump/control.sock", "state/fan/lock"):  # by a crash, by any end
        written(tmp_path / left_behind, "")

    assert states(monitors.monitors(installation_of(tmp_path))) == {
        "monitor fan": "not checked",
        "monitor pump": "not checked",
    }


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        ({"active": None}, "not checked"),
        ({"active": "active", "restarts": 0}, "ok"),
        ({"active": "active", "restarts": 3, "result": "watchdog"}, "warning"),
        ({"active": "failed", "exit_code": 75}, "problem"),
    ],
)
def test_a_service_is_judged_by_what_systemd_says(facts: dict[str, Any], state: str) -> None:
    unit = UnitState(instance="pump", installed=True, enabled=True, **facts)

    assert monitors.service_verdict(unit).state == state


def _answered(server: ControlServer, installation: Installation) -> list[Verdict]:
    """Verdicts of a installation whose monitor is this test."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(lambda: list(monitors.monitors(installation)))
        while not asked.done():
            if request := server.poll():
                request.reply({"status": {"state": "normal", "deaf": False, "faults": []}})
        return asked.result()


def test_a_check_that_fails_is_a_problem_and_stops_no_other(tmp_path: Path) -> None:
    def broken(installation: Installation) -> Iterator[Verdict]:
        yield ok("first", "fine")
        raise ZeroDivisionError("division by zero")

    def fine(installation: Installation) -> Iterator[Verdict]:
        yield ok("last", "fine")

    found = list(examine(installation_of(tmp_path), [("a", broken), ("b", fine)]))

    assert [(verdict.check, verdict.state) for _, verdict in found] == [
        ("first", "ok"),
        ("broken", "problem"),
        ("last", "ok"),
    ]


def test_one_problem_is_enough() -> None:
    findings = [("a", ok("x", "")), ("a", warning("y", "", "do"))]

    assert to_dict(findings)["healthy"]
    assert not to_dict([*findings, ("a", problem("z", "", "do"))])["healthy"]


def test_every_verdict_that_is_not_fine_says_what_to_do(tmp_path: Path) -> None:
    profile = '[sinks.mqtt]\nhost = "127.0.0.1"\nport = 1\n[detector]\nthreads = 256\n'
    installation = installation_of(tmp_path, profile=profile, bundle=tmp_path / "gone")
    skipped = {software.libraries, sound.sound_card}  # seconds each

    checks = [(group, check) for group, check in CHECKS if check not in skipped]
    found = [verdict for _, verdict in examine(installation, checks)]

    wrong = [v for v in found if v.state in ("warning", "problem")]
    assert {"threads", "bundle", "MQTT"} <= {v.check for v in wrong}
    assert all(v.advice and "\n" not in v.advice + v.found for v in wrong)


def test_a_device_with_card_and_bundle_is_examined_for_real(
    tmp_path: Path, mini_bundle: Path
) -> None:
    require_portaudio()
    cards = FakeCards(tmp_path / "cards")
    cards.add_file(1, machine_sound(4.0, seed=3, rate_hz=RATE_HZ))
    support = tmp_path / "support.tar.gz"

    done = subprocess.run(
        [
            *(sys.executable, "-m", "edge_asd", "doctor", "--json", "--device", "hw:1"),
            *("--bundle", str(mini_bundle), "--state", str(tmp_path), "--seconds", "1"),
            *("--archive", str(support), "--with-audio"),
        ],
        env=os.environ | cards.environment | {"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    page = json.loads(done.stdout)
    found = {f["check"]: f for f in page["findings"]}
    fine = ("onnxruntime", "PortAudio", "sound card", "recording", "signal", "bundle", "speed")
    assert {check: found[check]["state"] for check in fine} == dict.fromkeys(fine, "ok"), page
    assert ", 48, 96 kHz" in found["sound card"]["found"]
    assert done.returncode == (0 if page["healthy"] else 1)
    with tarfile.open(support) as tar:
        assert {"edge-asd-support/doctor.json", "edge-asd-support/recording.npy"} <= set(
            tar.getnames()
        )
