from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from device.mini_bundle import RATE_HZ, machine_sound
from device.site_sounds import whistle, write_alarm
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from edge_asd.cli import app
from edge_asd.clips.folder import ClipGap
from edge_asd.learn.event_sound import read_event
from edge_asd.recordings.takes_file import read_takes
from edge_asd.state.folder import StateFolder


@pytest.fixture
def state(tmp_path: Path, mini_bundle: Path) -> StateFolder:
    """A machine to which one alarm was taught: a whistle from 5 s on, an alarm from 6 s to 9 s."""
    state = StateFolder(tmp_path / "state", "pump")
    write_alarm(state, "pump-a", sound(), since_s=106.0, until_s=109.0, start_s=100.0)
    taught = teach(state, "pump-a", "--bundle", str(mini_bundle))
    assert taught.exit_code == 0, taught.stderr
    return state


def sound() -> NDArray[np.float32]:
    return np.concatenate([machine_sound(5, seed=3), whistle(4, seed=4)], axis=1)


def teach(state: StateFolder, *args: str) -> Result:
    return CliRunner().invoke(app, ["teach", "--state", str(state.path.parent), *args])


def export(state: StateFolder, out: Path, *args: str) -> Result:
    return teach(state, "--export", str(out), "--clip-s", "2", *args)


def clips(out: Path) -> list[Path]:
    return sorted((out / "pump/train").iterdir())


def test_a_taught_alarm_becomes_clips_of_one_take(tmp_path: Path, state: StateFolder) -> None:
    result = export(state, tmp_path / "out", "--attribute", "door=open")

    assert result.exit_code == 0, result.stderr
    assert result.stdout == "pump: 2 clips of pump-a, 2 of them new\n"
    names = [path.name for path in clips(tmp_path / "out")]
    assert names[1] == "section_00_target_train_normal_0001_door_open.flac"
    assert read_takes(tmp_path / "out/pump/takes.csv") == dict.fromkeys(names, "pump-a")
    heard = np.concatenate([soundfile.read(path)[0] for path in clips(tmp_path / "out")])
    expected = sound()[:, 4 * RATE_HZ : 8 * RATE_HZ]
    assert np.abs(heard.T - expected).max() < 1 / 32768


def test_it_is_not_exported_twice(tmp_path: Path, state: StateFolder) -> None:
    export(state, tmp_path / "out")

    again = export(state, tmp_path / "out", "--json")

    assert json.loads(again.stdout) == {
        "machine": "pump", "alarm_id": "pump-a", "n_new": 0, "n_known": 2, "problem": "",
    }  # fmt: skip
    assert len(clips(tmp_path / "out")) == 2


def test_only_what_is_taught_is_exported(tmp_path: Path, state: StateFolder) -> None:
    write_alarm(state, "pump-b", sound(), since_s=6.0, until_s=9.0)

    unknown = export(state, tmp_path / "out", "--event", "pump-b")
    everything = export(state, tmp_path / "out")

    assert unknown.exit_code == 2
    assert "'pump-b' is not taught; taught: pump-a" in unknown.stderr
    assert everything.stdout == "pump: 2 clips of pump-a, 2 of them new\n"


@pytest.mark.parametrize(("args", "code"), [([], 0), (["--event", "pump-a"], 1)])
def test_sound_that_is_gone_is_named(
    tmp_path: Path, state: StateFolder, args: list[str], code: int
) -> None:
    (state.events / "pump-a/audio.flac").unlink()

    result = export(state, tmp_path / "out", *args)

    assert (result.exit_code, result.stdout) == (code, "")
    assert "nothing of pump-a: the sound of pump-a cannot be used" in result.stderr
    assert not (tmp_path / "out/pump").exists()


def test_sound_that_is_too_short_is_named(tmp_path: Path, state: StateFolder) -> None:
    result = teach(state, "--export", str(tmp_path / "out"))

    assert "nothing of pump-a: its sound is shorter than a clip of 10 s" in result.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "name the alarm"),
        (["pump-a", "--export", "out"], "name one by --event pump-a"),
        (["pump-a", "--event", "pump-a"], "go with --export"),
        (["--export", "out", "--machine", "fan"], "no alarm is taught"),
    ],
)
def test_what_cannot_be_exported_is_said(state: StateFolder, args: list[str], message: str) -> None:
    result = teach(state, *args)

    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_no_clip_of_an_alarm_spans_a_gap(state: StateFolder) -> None:
    ramp = np.tile(np.arange(8 * RATE_HZ) / (8 * RATE_HZ), (2, 1)).astype(np.float32)
    gap = ClipGap(at_s=3.5, lost_s=2.0)
    write_alarm(state, "pump-g", ramp, since_s=2.0, until_s=9.0, gaps=(gap,))

    cut = list(read_event(state, "pump-g").clips(RATE_HZ, RATE_HZ))

    starts = [round(float(clip[0, 0]) * 8, 2) for clip in cut]  # seconds of the clip
    assert starts == [1.0, 2.0, 3.5, 4.5, 5.5, 6.5]
