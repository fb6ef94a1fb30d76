from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device.bundle_files import edit_manifest
from device.commissioning_steps import begin_commissioning
from device.listening import of, run_in_process, write
from device.mini_bundle import MACHINE, machine_day, machine_sound
from device.parts_bundle import write_parts_bundle
from device.site_sounds import whistle
from typer.testing import CliRunner, Result

from edge_asd.cli import app
from edge_asd.learn.store import LearnedStore
from edge_asd.state.folder import StateFolder


def enroll(bundle: Path, state: Path, *args: str, machine: str = "pump-3") -> Result:
    return CliRunner().invoke(
        app,
        ["enroll", "--bundle", str(bundle), "--state", str(state), "--machine", machine, *args],
    )


@pytest.fixture
def normal(tmp_path: Path) -> str:
    return write(tmp_path / "normal.wav", machine_sound(20, seed=1))


def test_an_enrolled_machine_is_listened_to_by_its_name(
    mini_bundle: Path, tmp_path: Path, normal: str
) -> None:
    day = write(tmp_path / "day.wav", machine_day({"normal": 5, "fault": 4, "normal again": 4}))

    result = enroll(mini_bundle, tmp_path / "state", "--input", normal)

    assert result.exit_code == 0, result.stderr
    assert "pump-3: learned 39 windows of source sound (0.3 min) as v0001" in result.stdout
    assert "no monitor of it runs with its state in" in result.stderr
    code, events, stderr = run_in_process(
        mini_bundle, "--input", day, "--machine", "pump-3", "--state", str(tmp_path / "state")
    )
    assert code == 0, stderr
    assert (events[0]["machine"], events[0]["learned"]) == ("pump-3", "v0001")
    assert len(of(events, "alarm_raised")) == 1
    (raised,) = of(events, "alarm_raised")
    assert 5 < raised["stream_time_s"] < 8
    # The fault is a tone of 3 kHz, and the enrolment knows how normal sounds there.
    assert raised["explanation"]["low_hz"] < 3000 < raised["explanation"]["high_hz"]


def test_all_bad_files_are_named_before_anything_is_learned(
    mini_bundle: Path, tmp_path: Path, normal: str
) -> None:
    (tmp_path / "a.wav").write_text("near,far")
    short = write(tmp_path / "short.wav", machine_sound(0.5, seed=1))
    mono = write(tmp_path / "mono.wav", machine_sound(20, seed=1)[:1])

    paths = (str(tmp_path / "a.wav"), normal, short, mono)
    inputs = [part for path in paths for part in ("--input", path)]
    result = enroll(mini_bundle, tmp_path / "state", *inputs)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "3 of 4 files cannot be used" in result.stderr
    assert "a.wav cannot be decoded" in result.stderr
    assert "short.wav is 0.5 s long, shorter than one window of 1 s" in result.stderr
    assert "mono.wav has 1 channel, expected 2" in result.stderr


def test_sound_without_its_upper_half_is_learned_with_a_warning(
    mini_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    low = write(tmp_path / "low.wav", machine_sound(20, seed=1, rate_hz=8000), 8000)

    result = enroll(mini_bundle, tmp_path / "state", "--input", low)

    assert result.exit_code == 0, result.stderr
    assert caplog.text.count("low.wav: 8000 Hz hold nothing above 4 kHz") == 1


def test_the_bundle_is_not_touched(mini_bundle: Path, tmp_path: Path, normal: str) -> None:
    before = {path.name: path.read_bytes() for path in mini_bundle.iterdir()}

    enroll(mini_bundle, tmp_path / "state", "--input", normal)

    assert {path.name: path.read_bytes() for path in mini_bundle.iterdir()} == before


def test_the_result_can_be_read_by_a_program(
    mini_bundle: Path, tmp_path: Path, normal: str
) -> None:
    enroll(mini_bundle, tmp_path / "state", "--input", normal)
    target = write(tmp_path / "target.wav", whistle(8, seed=2))

    result = enroll(
        mini_bundle, tmp_path / "state",
        *("--input", target, "--domain", "target", "--false-alarm-rate", "0.05", "--json"),
    )  # fmt: skip

    content = json.loads(result.stdout)
    assert (content["version"], content["domain"], content["windows"]) == ("v0002", "target", 15)
    assert (content["like"], content["machine"]) == ("pump", "pump-3")
    assert content["threshold"]["false_alarm_rate"] == 0.05
    assert content["threshold"]["n_scores"] == 54
    assert content["cancelling"] is None


def test_it_says_what_cancelling_does_where_a_branch_hears_the_result(
    mini_bundle: Path, tmp_path: Path, normal: str
) -> None:
    bundle = tmp_path / "cancelling"
    shutil.copytree(mini_bundle, bundle)

    def change(manifest: dict[str, Any]) -> None:
        manifest["branches"][1]["view"] = "clean"
        machine = manifest["machines"]["pump"]
        machine["banks"]["fkie@clean"] = machine["banks"].pop("fkie@far")
        machine["fusion"]["terms"][1]["of"] = "fkie@clean"

    edit_manifest(bundle, change)

    result = enroll(bundle, tmp_path / "state", "--input", normal)

    assert result.exit_code == 0, result.stderr
    learned = LearnedStore(StateFolder(tmp_path / "state", "pump-3")).load()
    assert learned is not None
    gain = learned.site.enrolled["source"].cancelling
    assert gain is not None and gain.machine_db > gain.background_db
    assert gain.sentence in result.stdout
    assert "far hears the machine" in result.stdout


def test_a_name_of_the_bundle_may_be_enrolled(
    mini_bundle: Path, tmp_path: Path, normal: str
) -> None:
    result = enroll(mini_bundle, tmp_path, "--input", normal, machine="pump")

    assert result.exit_code == 0
    _, events, _ = run_in_process(
        mini_bundle, "--input", normal, "--machine", "pump", "--state", str(tmp_path)
    )
    assert events[0]["learned"] == "v0001"


def test_several_files_and_folders_are_recordings_of_their_own(
    mini_bundle: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for i in range(11):
        write(folder / f"{i}.wav", machine_sound(1.5, seed=i))
    (folder / "notes.txt").write_text("not a recording")

    result = enroll(mini_bundle, tmp_path / "state", "--input", str(folder), "--json")

    content = json.loads(result.stdout)
    assert content["windows"] == 22
    assert content["seconds"] == pytest.approx(16.5)
    assert content["heard"].startswith("11 files")


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--input", "{normal}", "--device", "hw:1"], 2, "exclude each other"),
        (["--input", "{normal}", "--minutes", "0.1"], 2, "ask for 0.17 or more"),
        (["--input", "{normal}", "--domain", "target"], 2, "enrol it first"),
        (["--input", "{normal}", "--like", "fan"], 2, "knows: pump"),
        (["--input", "missing.wav"], 1, "no audio file at missing.wav"),
        (["--input", "{folder}"], 1, "holds no .flac or .wav files"),
        (
            ["--input", "{short}"],
            1,
            "heard 3 windows of usable sound, of 1 s each",
        ),
        (["--input", "{mono}"], 1, "the same signal"),
    ],
)
def test_what_cannot_be_enrolled_is_one_line_and_nothing_is_kept(
    mini_bundle: Path, tmp_path: Path, normal: str, args: list[str], code: int, message: str
) -> None:
    sound = machine_sound(30, seed=1)
    names = {
        "normal": normal,
        "short": write(tmp_path / "short.wav", sound[:, :32_000]),
        "mono": write(tmp_path / "mono.wav", np.ascontiguousarray(sound[[0, 0]])),
        "folder": str(tmp_path / "state"),
    }
    (tmp_path / "state").mkdir()

    result = enroll(mini_bundle, tmp_path / "state", *(arg.format(**names) for arg in args))

    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr.splitlines()[-1]
    assert LearnedStore(StateFolder(tmp_path / "state", "pump-3")).versions == []


def test_networks_of_one_machine_are_refused(tmp_path: Path, normal: str) -> None:
    parts = write_parts_bundle(tmp_path / "parts")

    result = enroll(parts, tmp_path / "state", "--input", normal)

    assert result.exit_code == 2
    assert "trained for it alone" in result.stderr


def test_a_damaged_version_does_not_keep_from_enrolling_again(
    mini_bundle: Path, tmp_path: Path, normal: str
) -> None:
    enroll(mini_bundle, tmp_path, "--input", normal)
    (tmp_path / "pump-3" / "learned" / "v0001" / "site.json").write_text("{}")

    assert enroll(mini_bundle, tmp_path, "--input", normal).exit_code == 0
    assert LearnedStore(StateFolder(tmp_path, "pump-3")).current == "v0002"


def test_files_that_share_sound_are_one_take(mini_bundle: Path, tmp_path: Path) -> None:
    day, night = machine_sound(12, seed=1), machine_sound(8, seed=2)
    rate_hz = day.shape[1] // 12
    morning = write(tmp_path / "morning.wav", day[:, : 8 * rate_hz])
    other = write(tmp_path / "night.wav", night)
    noon = write(tmp_path / "noon.wav", day[:, 4 * rate_hz :])

    result = enroll(
        mini_bundle, tmp_path / "state",
        *("--input", morning, "--input", other, "--input", noon, "--json"),
    )  # fmt: skip

    assert result.exit_code == 0, result.stderr
    heard = json.loads(result.stdout)["heard"]
    assert heard == f"3 files (2 takes: some share sound), {morning} first"


def test_what_is_enrolled_at_once_ends_a_commissioning(
    mini_bundle: Path, tmp_path: Path, normal: str
) -> None:
    commissioning = begin_commissioning(mini_bundle, tmp_path, 3600.0)

    result = enroll(mini_bundle, tmp_path, "--input", normal, machine=MACHINE)

    assert result.exit_code == 0, result.stderr
    assert "ends the commissioning that was under way: heard 0 s of 1 h" in result.stderr
    assert commissioning.plan is None


def test_going_to_a_version_ends_a_commissioning(
    mini_bundle: Path, tmp_path: Path, normal: str
) -> None:
    enroll(mini_bundle, tmp_path, "--input", normal, machine=MACHINE)
    commissioning = begin_commissioning(mini_bundle, tmp_path, 3600.0)

    result = CliRunner().invoke(
        app, ["forget", "--machine", MACHINE, "--state", str(tmp_path), "--to", "v0001"]
    )

    assert result.exit_code == 0, result.stderr
    assert "ends the commissioning" in result.stderr
    assert commissioning.plan is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--watch", "3 weeks"], "is not a duration"),
        (["--watch", "5s"], "--watch is too short"),
        (["--watch", "3d", "--minutes", "5"], "--watch listens to a sound card"),
        (["--watch", "3d", "--domain", "target"], "--watch listens to a sound card"),
        (["--then-listen"], "--then-listen goes with --watch"),
    ],
)
def test_a_commissioning_that_cannot_be_is_refused(
    tmp_path: Path, mini_bundle: Path, arguments: list[str], message: str
) -> None:
    result = CliRunner().invoke(
        app,
        [
            *("enroll", "--machine", "pump-3", "--bundle", str(mini_bundle)),
            *("--state", str(tmp_path), *arguments),
        ],
    )

    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(tmp_path.glob("*/commissioning"))
