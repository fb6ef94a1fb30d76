"""What is wrong with the sound of clips: which findings exclude a clip, and which only warn."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import soundfile
from device.faulty_sound import (
    Audio,
    Spoil,
    constant,
    far_hears_its_converter,
    floats_in_16_bit_scale,
    mono,
    near_unplugged,
    offset,
    repeated_block,
    room,
    silence,
    too_loud,
)
from places import SHARED
from typer.testing import CliRunner

from edge_asd.cli import app
from edge_asd.events.fault import FAULTS
from edge_asd_export.data.clips import Inventory, scan
from edge_asd_export.data.problems import ClipFinding, finding_lines

NAME = "section_00_source_{split}_normal_{i:04d}_spd_1.wav"
N_CLIPS = 6
REAL_RECORDINGS = SHARED / "data"


def exchanged(sound: Audio) -> Audio:
    return sound[::-1]


def short_drop_out(sound: Audio) -> Audio:
    changed = sound.copy()
    changed[:, 8000:11_000] = 0
    return changed


def one_sample_far_beyond(sound: Audio) -> Audio:
    changed = sound.copy()
    changed[1, 12_345] = 900.0
    return changed


def much_louder(sound: Audio) -> Audio:
    return 10 * sound


EXCLUDED: dict[Spoil, str] = {
    silence: "signal_silent",
    short_drop_out: "signal_silent",
    constant: "signal_stuck",
    repeated_block: "signal_stuck",
    near_unplugged: "signal_near_dead",
    far_hears_its_converter: "signal_far_dead",
    floats_in_16_bit_scale: "signal_scale",
    one_sample_far_beyond: "signal_scale",
    mono: "signal_identical",
    exchanged: "signal_swapped",
}
DOUBTED: dict[Spoil, str] = {
    too_loud: "signal_clipping",
    offset: "signal_dc",
    much_louder: "signal_level",
}


def write(path: Path, sound: Audio) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound.T, 16_000, subtype="FLOAT")
    return path


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A machine of six train clips of 2 s, and a test clip."""
    root = tmp_path_factory.mktemp("recordings")
    for i in range(N_CLIPS):
        write(root / "fan" / "train" / NAME.format(split="train", i=i), room(2, seed=i))
    write(root / "fan" / "test" / NAME.format(split="test", i=0), room(2, seed=N_CLIPS))
    return root


@pytest.fixture
def recordings(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(clean, tmp_path / "recordings"))


def spoilt(root: Path, spoil: Spoil, split: str = "train") -> Path:
    i = 2 if split == "train" else 0
    path = root / "fan" / split / NAME.format(split=split, i=i)
    return write(path, spoil(room(2, seed=i)))


def meanings(inventory: Inventory) -> list[tuple[Path, str, bool]]:
    return [(one.path, one.text.partition(" (")[0], one.excluded) for one in inventory.findings]


def test_clean_clips_have_no_findings(clean: Path) -> None:
    assert scan([clean]).findings == ()


@pytest.mark.parametrize("spoil", EXCLUDED, ids=lambda spoil: spoil.__name__)
def test_a_train_clip_that_the_monitor_would_not_trust_is_excluded(
    recordings: Path, spoil: Spoil
) -> None:
    path = spoilt(recordings, spoil)

    found = scan([recordings])

    assert meanings(found) == [(path, FAULTS[EXCLUDED[spoil]].meaning, True)]
    assert path not in {clip.path for clip in found.machines["fan"].clips}
    assert len(found.machines["fan"].train) == N_CLIPS - 1
    assert not found.problems


@pytest.mark.parametrize("spoil", DOUBTED, ids=lambda spoil: spoil.__name__)
def test_a_train_clip_in_which_the_machine_is_heard_is_used_with_a_warning(
    recordings: Path, spoil: Spoil
) -> None:
    path = spoilt(recordings, spoil)

    found = scan([recordings])

    assert (path, FAULTS[DOUBTED[spoil]].meaning, False) in meanings(found)
    assert len(found.machines["fan"].train) == N_CLIPS


@pytest.mark.parametrize("spoil", [silence, mono, floats_in_16_bit_scale])
def test_test_clips_are_never_excluded(recordings: Path, spoil: Spoil) -> None:
    path = spoilt(recordings, spoil, "test")

    found = scan([recordings])

    assert meanings(found) == [(path, FAULTS[EXCLUDED[spoil]].meaning, False)]
    assert len(found.machines["fan"].test) == 1


def test_a_machine_whose_clips_are_all_excluded_is_a_problem(tmp_path: Path) -> None:
    for i in range(3):
        write(tmp_path / "fan/train" / NAME.format(split="train", i=i), mono(room(2, seed=i)))

    found = scan([tmp_path])

    assert [one.reason for one in found.problems] == ["no usable train clip: all 3 are excluded"]


def test_among_few_clips_nobody_knows_which_are_exchanged(tmp_path: Path) -> None:
    for i in range(4):
        sound = room(2, seed=i)[:: -1 if i % 2 else 1]
        write(tmp_path / "fan/train" / NAME.format(split="train", i=i), sound)

    assert scan([tmp_path]).findings == ()


def test_data_check_names_what_it_excludes_and_counts_it(recordings: Path) -> None:
    path = spoilt(recordings, floats_in_16_bit_scale)
    spoilt(recordings, too_loud, "test")

    result = CliRunner().invoke(app, ["data", "check", str(recordings)])

    lines = result.stdout.splitlines()
    assert any(
        line.startswith(f"{path}: excluded: the samples are far beyond full scale (near reaches")
        for line in lines
    )
    assert lines[-1] == "no problems, 1 clip excluded from training, 1 warning"
    assert result.exit_code == 1


def test_warnings_alone_are_no_failure(recordings: Path) -> None:
    path = spoilt(recordings, too_loud, "test")

    result = CliRunner().invoke(app, ["data", "check", str(recordings), "--json"])

    (finding,) = json.loads(result.stdout)["findings"]
    assert (finding["path"], finding["excluded"]) == (str(path), False)
    assert result.exit_code == 0


def test_a_training_says_how_many_clips_it_leaves_out_and_not_more_than_twenty_names() -> None:
    findings = [ClipFinding(Path(f"{i}.wav"), "silent", excluded=True) for i in range(23)]
    doubt = ClipFinding(Path("a.wav"), "it clips", excluded=False)

    lines = list(finding_lines([doubt, *findings]))

    assert lines[:2] == ["23 train clips are excluded:", "0.wav: excluded: silent"]
    assert lines[-2:] == ["and 3 more", "a.wav: warning: it clips"]


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_RECORDINGS.is_dir(), reason="needs the shared folder")
@pytest.mark.parametrize("name", ["tiny", pytest.param("dev", marks=pytest.mark.slow)])
def test_no_real_recording_is_excluded_or_doubted(name: str) -> None:
    found = scan([REAL_RECORDINGS / name])

    assert found.findings == ()
    assert list(found.notes) == []


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_RECORDINGS.is_dir(), reason="needs the shared folder")
@pytest.mark.parametrize("i", [0, 3, 7])
def test_one_real_clip_with_exchanged_channels_is_found(tmp_path: Path, i: int) -> None:
    train = Path(shutil.copytree(REAL_RECORDINGS / "tiny" / "uavA", tmp_path / "uavA")) / "train"
    path = sorted(train.glob("*.flac"))[i]
    sound, rate_hz = soundfile.read(path)
    soundfile.write(path, sound[:, ::-1], rate_hz)

    (finding,) = scan([tmp_path]).findings

    assert (finding.path, finding.excluded) == (path, True)
    assert finding.text.startswith(FAULTS["signal_swapped"].meaning)
