from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from device.listening import of, run_in_process, write
from device.mini_bundle import RATE_HZ, machine_sound
from device.site_sounds import whistle, write_alarm
from typer.testing import CliRunner, Result

from edge_asd.bundle.bundle import Bundle
from edge_asd.cli import app
from edge_asd.clips.folder import EVENT_FILE, ClipGap
from edge_asd.control.control_socket import ControlServer
from edge_asd.errors import StateError
from edge_asd.learn.event_sound import find_event, read_event
from edge_asd.learn.store import LearnedStore
from edge_asd.state.folder import StateFolder

START = "2026-11-22T08:30:00Z"


def invoke(*args: str) -> Result:
    return CliRunner().invoke(app, list(args))


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state", "pump")


@pytest.fixture
def alarm(state: StateFolder) -> str:
    """A false alarm: four seconds of a whistle, after five of the normal machine."""
    audio = np.concatenate([machine_sound(5, seed=3), whistle(4, seed=4)], axis=1)
    write_alarm(state, "pump-a", audio, since_s=106.0, until_s=109.0, start_s=100.0)
    return "pump-a"


def teach(bundle: Path, state: StateFolder, *args: str) -> Result:
    return invoke("teach", "--bundle", str(bundle), "--state", str(state.path.parent), *args)


def forget(bundle: Path, state: StateFolder, *args: str) -> Result:
    return invoke("forget", "--bundle", str(bundle), "--state", str(state.path.parent), *args)


def alarms(bundle: Path, state: StateFolder, tmp_path: Path, sound: object) -> int:
    """How many alarms a recording raises, judged by what was learned."""
    day = write(tmp_path / "day.wav", sound)  # type: ignore[arg-type]
    code, events, stderr = run_in_process(
        bundle, "--input", day, "--state", str(state.path.parent), "--start", START
    )
    assert code == 0, stderr
    return len(of(events, "alarm_raised"))


def noisy_day(seed: int) -> object:
    normal = machine_sound(4, seed=seed)
    return np.concatenate([normal, whistle(4, seed=seed + 1), normal], axis=1)


def faulty_day(seed: int) -> object:
    normal = machine_sound(4, seed=seed)
    return np.concatenate([normal, machine_sound(4, seed=seed + 1, faulty=True), normal], axis=1)


def test_a_false_alarm_is_heard_taught_silent_and_forgotten(
    mini_bundle: Path, state: StateFolder, tmp_path: Path
) -> None:
    assert alarms(mini_bundle, state, tmp_path, noisy_day(10)) == 1
    (folder,) = [path for path in state.events.iterdir() if path.is_dir()]

    taught = teach(mini_bundle, state, folder.name)

    assert taught.exit_code == 0, taught.stderr
    assert f"of {folder.name} are normal from now on (v0001)" in taught.stdout
    shutil.rmtree(state.events)
    assert alarms(mini_bundle, state, tmp_path, noisy_day(20)) == 0  # another recording of it
    assert alarms(mini_bundle, state, tmp_path, faulty_day(30)) == 1
    shutil.rmtree(state.events)
    assert forget(mini_bundle, state, "--last").exit_code == 0
    assert alarms(mini_bundle, state, tmp_path, noisy_day(20)) == 1


def test_an_alarm_is_taught_by_its_folder_too(
    mini_bundle: Path, state: StateFolder, alarm: str
) -> None:
    result = teach(mini_bundle, state, str(state.events / alarm), "--json")

    content = json.loads(result.stdout)
    assert (content["event"], content["version"], content["machine"]) == (alarm, "v0001", "pump")
    assert content["windows"] == 13  # a quarter of a window apart, from 106 s to 109 s


@pytest.mark.parametrize("name", ["pump-b", "../pump-a", "/etc", "../../../state", ""])
def test_names_from_outside_are_no_paths(
    mini_bundle: Path, state: StateFolder, alarm: str, name: str
) -> None:
    result = teach(mini_bundle, state, name)

    assert result.exit_code == 1
    assert f"no alarm {name!r} is kept; there are: {alarm}" in result.stderr


def test_an_alarm_folder_outside_the_state_is_refused(
    mini_bundle: Path, state: StateFolder, alarm: str, tmp_path: Path
) -> None:
    shutil.copytree(state.events / alarm, tmp_path / "pump-c")

    assert "no alarm" in teach(mini_bundle, state, str(tmp_path / "pump-c")).stderr


def test_an_alarm_whose_sound_was_removed_cannot_be_taught(
    mini_bundle: Path, state: StateFolder, alarm: str
) -> None:
    (state.events / alarm / "audio.flac").unlink()

    result = teach(mini_bundle, state, alarm)

    assert result.exit_code == 1
    assert "the sound of pump-a cannot be used" in result.stderr


@pytest.mark.parametrize("record", ["{}", "[]", '{"alarm": {"alarm_id": "pump-a"}}', "{"])
def test_a_damaged_record_is_one_line(
    mini_bundle: Path, state: StateFolder, alarm: str, record: str
) -> None:
    (state.events / alarm / EVENT_FILE).write_text(record)

    result = teach(mini_bundle, state, alarm)

    assert (result.exit_code, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1


def test_an_alarm_is_taught_once(mini_bundle: Path, state: StateFolder, alarm: str) -> None:
    teach(mini_bundle, state, alarm)

    result = teach(mini_bundle, state, alarm)

    assert result.exit_code in (1, 2)
    assert "taught before" in result.stderr or "nothing to teach" in result.stderr
    assert LearnedStore(state).versions == ["v0001"]


def test_forgetting_one_alarm_keeps_the_others(
    mini_bundle: Path, state: StateFolder, alarm: str
) -> None:
    other = whistle(4, seed=8, hz=2625)
    write_alarm(state, "pump-b", other, since_s=1.0, until_s=None)
    assert teach(mini_bundle, state, alarm).exit_code == 0
    assert teach(mini_bundle, state, "pump-b").exit_code == 0

    assert forget(mini_bundle, state, alarm).exit_code == 0

    learned = LearnedStore(state).load()
    assert learned is not None
    assert [one.event for one in learned.site.taught] == ["pump-b"]
    listed = forget(mini_bundle, state, "--list", "--json").stdout.splitlines()
    assert [json.loads(line)["in_use"] for line in listed] == [False, False, True]
    assert json.loads(listed[2])["change"] == "forgot pump-a"


def test_everything_taught_can_be_forgotten_and_a_version_taken_back(
    mini_bundle: Path, state: StateFolder, alarm: str
) -> None:
    teach(mini_bundle, state, alarm)
    assert "(v0002)" in forget(mini_bundle, state, "--all").stdout

    result = forget(mini_bundle, state, "--to", "v0001")

    assert result.stdout == "pump: v0001 is in use\n"
    assert LearnedStore(state).current == "v0001"
    result = forget(mini_bundle, state, "--to", "bundle", "--machine", "pump")

    assert result.stdout == "pump: what the bundle says, if it knows this machine, is in use\n"
    assert "forget --machine pump --to v0001" in result.stderr
    assert LearnedStore(state).current is None


def test_the_command_that_a_damaged_version_names_mends_it(
    mini_bundle: Path, state: StateFolder, alarm: str, tmp_path: Path
) -> None:
    teach(mini_bundle, state, alarm)
    (state.learned / "v0001" / "site.json").write_text("{}")
    day = write(tmp_path / "day.wav", machine_sound(3, seed=1))
    listen = ["--input", day, "--state", str(state.path.parent)]
    code, _, stderr = run_in_process(mini_bundle, *listen)
    (command,) = re.findall(r"'edge-asd (forget .*?)'", stderr)

    result = invoke(*command.split(), "--state", str(state.path.parent))

    assert code == 1
    assert result.exit_code == 0, result.stderr
    assert run_in_process(mini_bundle, *listen)[0] == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "say what to forget"),
        (["--last", "--all"], "say what to forget"),
        (["--last"], "was learned in"),
        (["--list", "--machine", "fan"], "nothing of 'fan' was learned"),
    ],
)
def test_what_cannot_be_forgotten_is_said(
    mini_bundle: Path, state: StateFolder, args: list[str], message: str
) -> None:
    result = forget(mini_bundle, state, *args)

    assert result.exit_code == 2
    assert message in result.stderr


def test_forgetting_what_was_never_taught_names_what_was(
    mini_bundle: Path, state: StateFolder, alarm: str
) -> None:
    teach(mini_bundle, state, alarm)

    result = forget(mini_bundle, state, "pump-z")

    assert result.exit_code == 2
    assert "pump-z was not taught to 'pump'; taught: pump-a" in result.stderr


def test_a_running_monitor_takes_it_over(mini_bundle: Path, state: StateFolder, alarm: str) -> None:
    import threading

    server = ControlServer(state.control_socket)
    asked: list[str] = []
    done = threading.Event()

    def answer() -> None:
        while not done.wait(0.02):
            if request := server.poll():
                asked.append(request.command)
                request.reply({"learned": "v0001"})

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        result = teach(mini_bundle, state, alarm)
    finally:
        done.set()
        thread.join()
        server.close()

    assert asked == ["reload"]
    assert "the running monitor uses it from now on" in result.stderr


def test_a_monitor_that_refuses_is_quoted(
    mini_bundle: Path, state: StateFolder, alarm: str
) -> None:
    import threading

    server = ControlServer(state.control_socket)
    done = threading.Event()

    def answer() -> None:
        while not done.wait(0.02):
            if request := server.poll():
                request.refuse("windows have another length")

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        result = teach(mini_bundle, state, alarm)
    finally:
        done.set()
        thread.join()
        server.close()

    assert result.exit_code == 0
    assert "did not take it over (windows have another length)" in result.stderr


def test_no_taught_window_spans_a_gap(mini_bundle: Path, state: StateFolder) -> None:
    ramp = np.arange(8 * RATE_HZ) / (8 * RATE_HZ)
    audio = np.tile(ramp, (2, 1)).astype(np.float32)
    gap = ClipGap(at_s=3.5, lost_s=2.0)
    write_alarm(state, "pump-g", audio, since_s=1.0, until_s=9.0, gaps=(gap,))

    windows = list(read_event(state, "pump-g").windows(Bundle.open(mini_bundle).detector()))

    starts = [round(float(window[0, 0]) * 8, 2) for window in windows]  # seconds of the clip
    assert starts[:11] == [i / 4 for i in range(11)]
    assert starts[11:] == [3.5 + i / 4 for i in range(len(starts) - 11)]
    assert starts[-1] == 6.0  # ends at 9 s of the stream


def test_sound_of_another_rate_is_resampled(mini_bundle: Path, state: StateFolder) -> None:
    audio = machine_sound(4, seed=1, rate_hz=48_000)
    write_alarm(state, "pump-r", audio, since_s=2.0, until_s=3.0, rate_hz=48_000)

    windows = list(read_event(state, "pump-r").windows(Bundle.open(mini_bundle).detector()))

    assert [window.shape for window in windows] == [(2, RATE_HZ)] * 5


def test_an_alarm_is_found_among_those_of_several_machines(
    tmp_path: Path, state: StateFolder, alarm: str
) -> None:
    fan = StateFolder(state.path.parent, "fan")
    write_alarm(fan, "fan-a", machine_sound(2, seed=1), since_s=1.0, until_s=2.0)

    found, alarm_id = find_event([fan, state], alarm)

    assert (found, alarm_id) == (state, alarm)
    with pytest.raises(StateError, match="there are: fan-a, pump-a"):
        find_event([fan, state], "pump-z")
