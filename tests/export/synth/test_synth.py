"""Synthetic recordings: layout, reproducibility, honest labels, audible faults."""

from __future__ import annotations

import csv
import functools
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from scipy.signal import stft
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from edge_asd.bundle.manifest import Domain
from edge_asd.cli import app
from edge_asd.errors import UsageError
from edge_asd_export.data.clips import scan
from edge_asd_export.data.problems import require_clean
from edge_asd_export.synth.catalogue import MACHINES, find_fault, find_machine
from edge_asd_export.synth.dataset import (
    DataSetSettings,
    PlannedClip,
    planned_clips,
    synthesize,
)
from edge_asd_export.synth.machine import Operation
from edge_asd_export.synth.scene import Draws, render
from edge_asd_export.synth.stream import render_stream, write_stream

RATE_HZ = 16_000
SMALL = DataSetSettings(n_train_source=4, n_train_target=2, n_test=3, clip_s=0.5)
STRONG = DataSetSettings(18, 6, 12, clip_s=1.2, fault_levels=("strong",))
# Two standard errors of the AUC of 24 against 24 clips around 0.5 are 0.16.
UNINFORMATIVE = (0.35, 0.65)
AUDIBLE_AUC = 0.8
CONVOLUTION_ROUNDING = 1e-5  # an FFT spreads the rounding of a later fault over the whole stream
FAULTS = [(name, fault) for name, machine in MACHINES.items() for fault in machine.faults]


@functools.cache
def rendered(machine_name: str) -> list[tuple[PlannedClip, NDArray[np.float32]]]:
    """Every clip of a machine with its audio; all faults strong, which would leak the most."""
    machine = MACHINES[machine_name]
    return [(clip, clip.render(machine, STRONG)) for clip in planned_clips(machine, STRONG)]


def log_bands(audio: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean and deviation over time of 40 log band powers of the near microphone, level removed."""
    power = np.abs(stft(audio[0], RATE_HZ, nperseg=1024)[2]) ** 2
    edges = np.unique(np.round(np.geomspace(3, 512, 41)).astype(int))
    bands = np.log(np.add.reduceat(power, edges[:-1], axis=0) + 1e-12)
    return np.concatenate([bands.mean(1) - bands.mean(), bands.std(1)])


LEVEL_FEATURES = {
    "rms near": lambda audio: audio[0].std(),
    "rms far": lambda audio: audio[1].std(),
    "peak near": lambda audio: np.abs(audio[0]).max(),
    "peak far": lambda audio: np.abs(audio[1]).max(),
    "dc": lambda audio: audio.mean(),
}


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthetic") / "set"
    synthesize(out, list(MACHINES), SMALL)
    return out


def tree(folder: Path) -> dict[Path, bytes]:
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_data_set_reads_cleanly_in_the_layout_of_the_challenge(data_set: Path) -> None:
    inventory = scan([data_set])

    require_clean(inventory.problems)
    assert set(inventory.machines) == {f"synthetic-{name}" for name in MACHINES}
    for machine in inventory.machines.values():
        assert machine.window_samples == SMALL.n_samples
        kinds = [(clip.split, clip.domain, clip.label) for clip in machine.clips]
        assert {kind: kinds.count(kind) for kind in kinds} == {
            ("train", "source", "normal"): 4,
            ("train", "target", "normal"): 2,
            ("test", "source", "normal"): 3,
            ("test", "source", "anomaly"): 3,
            ("test", "target", "normal"): 3,
            ("test", "target", "anomaly"): 3,
        }


def test_clips_are_16_bit_stereo_at_16_khz_and_never_clip(data_set: Path) -> None:
    for path in data_set.rglob("*.wav"):
        info = soundfile.info(path)
        assert (info.subtype, info.channels, info.samplerate) == ("PCM_16", 2, RATE_HZ)
        assert np.abs(soundfile.read(path)[0]).max() < 0.99


def test_attribute_tables_agree_with_the_file_names(data_set: Path) -> None:
    with (data_set / "synthetic-gearbox" / "attributes_00.csv").open() as file:
        rows = list(csv.DictReader(file))

    assert list(rows[0]) == ["file_name", "d1p", "d1v", "d2p", "d2v"]
    assert len(rows) == SMALL.n_clips
    for row in rows:
        pairs = f"_{row['d1p']}_{row['d1v']}_{row['d2p']}_{row['d2v']}.wav"
        assert row["file_name"].endswith(pairs)
        assert (data_set / row["file_name"]).is_file()


def test_the_fault_table_names_every_anomalous_clip_and_no_other(data_set: Path) -> None:
    with (data_set / "synthetic-valve" / "faults_00.csv").open() as file:
        listed = {row["file_name"]: row["fault"] for row in csv.DictReader(file)}

    anomalous = {
        str(path.relative_to(data_set)) for path in data_set.glob("*-valve/test/*anomaly*")
    }
    assert set(listed) == anomalous
    assert set(listed.values()) == set(MACHINES["valve"].faults)


def test_every_machine_says_that_it_is_synthetic(data_set: Path) -> None:
    for machine in MACHINES.values():
        note = data_set / machine.recorded_as / "synthetic.json"
        assert "Synthetic recordings" in note.read_text()


def test_the_same_seed_gives_the_same_bytes(data_set: Path, tmp_path: Path) -> None:
    synthesize(tmp_path / "again", ["fan", "valve"], SMALL)

    for name in ("synthetic-fan", "synthetic-valve"):
        assert tree(tmp_path / "again" / name) == tree(data_set / name)


def test_another_seed_gives_other_recordings(data_set: Path, tmp_path: Path) -> None:
    other = DataSetSettings(n_train_source=4, n_train_target=2, n_test=3, clip_s=0.5, seed=1)
    synthesize(tmp_path / "other", ["fan"], other)

    name = "train/section_00_source_train_normal_0000_spd_1.wav"
    first, second = (folder / "synthetic-fan" / name for folder in (data_set, tmp_path / "other"))
    assert first.read_bytes() != second.read_bytes()


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("feature", LEVEL_FEATURES)
def test_levels_do_not_tell_the_label(machine: str, feature: str) -> None:
    test = [(clip, audio) for clip, audio in rendered(machine) if clip.split == "test"]

    values = [LEVEL_FEATURES[feature](audio) for _, audio in test]
    auc = roc_auc_score([clip.label == "anomaly" for clip, _ in test], values)

    assert UNINFORMATIVE[0] <= auc <= UNINFORMATIVE[1]


@pytest.mark.parametrize("machine", MACHINES)
def test_running_number_order_and_operating_point_do_not_tell_the_label(machine: str) -> None:
    test = [clip for clip in planned_clips(MACHINES[machine], STRONG) if clip.split == "test"]

    def seen(label: str) -> list[tuple[str, int, str]]:
        return sorted(
            (clip.domain, clip.index, clip.condition.attribute_text)
            for clip in test
            if clip.label == label
        )

    assert seen("normal") == seen("anomaly")
    order_auc = roc_auc_score([clip.label == "anomaly" for clip in test], range(len(test)))
    assert UNINFORMATIVE[0] <= order_auc <= UNINFORMATIVE[1]


@pytest.mark.parametrize("machine", MACHINES)
def test_a_normal_and_an_anomalous_clip_of_one_number_share_background_and_noise(
    machine: str,
) -> None:
    kind = MACHINES[machine]
    healthy, faulty = (
        render(kind, kind.source[0], "source", Draws(0, ("pair",)), severity, fault=fault)
        for severity, fault in ((np.zeros(8000), None), (np.ones(8000), kind.faults[0]))
    )

    np.testing.assert_array_equal(healthy.background, faulty.background)
    np.testing.assert_array_equal(healthy.sensors, faulty.sensors)
    assert not np.array_equal(healthy.machine, faulty.machine)


@pytest.mark.parametrize("domain", ["source", "target"])
@pytest.mark.parametrize("machine", MACHINES)
def test_the_machine_is_louder_near_and_the_background_louder_far(
    machine: str, domain: Domain
) -> None:
    kind = MACHINES[machine]
    parts = render(kind, kind.source[0], domain, Draws(0, ("levels",)), np.zeros(RATE_HZ))

    machine_db, background_db = (
        20 * np.log10(image[1].std() / image[0].std())
        for image in (parts.machine, parts.background)
    )
    assert -18 < machine_db < -4
    assert 0 < background_db < 8


@pytest.mark.parametrize("machine", MACHINES)
def test_the_machine_arrives_at_the_far_microphone_later(machine: str) -> None:
    kind = MACHINES[machine]
    parts = render(kind, kind.source[0], "source", Draws(0, ("delay",)), np.zeros(RATE_HZ))

    near, far = np.fft.rfft(parts.machine, 2 * RATE_HZ)
    # The phase transform sharpens the direct arrival against tones and reverberation.
    lag = np.fft.irfft(far * np.conj(near) / (np.abs(far * near) + 1e-9))
    delay_s = np.argmax(lag[: RATE_HZ // 20]) / RATE_HZ
    assert 0.0035 < delay_s < 0.008  # 1.2 m to 2.6 m further away


@pytest.mark.parametrize("machine", MACHINES)
def test_source_and_target_differ(machine: str) -> None:
    train = [(clip, audio) for clip, audio in rendered(machine) if clip.split == "train"]

    features = np.array([log_bands(audio) for _, audio in train])
    is_target = np.array([clip.domain == "target" for clip, _ in train])
    z = (features - features[~is_target].mean(0)) / features[~is_target].std(0)
    distance = np.linalg.norm(z, axis=1)
    assert roc_auc_score(is_target, distance) > 0.9
    source, target = (
        {clip.condition.attribute_text for clip, _ in train if clip.domain == domain}
        for domain in ("source", "target")
    )
    assert not source & target


@pytest.mark.parametrize("machine", MACHINES)
def test_strong_faults_are_audible_to_nearest_neighbours_of_normal_spectra(machine: str) -> None:
    clips = rendered(machine)
    features = np.array([log_bands(audio) for _, audio in clips])
    is_train = np.array([clip.split == "train" for clip, _ in clips])
    is_anomaly = np.array([clip.label == "anomaly" for clip, _ in clips])

    z = (features - features[is_train].mean(0)) / features[is_train].std(0)
    score = np.linalg.norm(z[~is_train, None] - z[None, is_train], axis=-1).min(1)

    assert roc_auc_score(is_anomaly[~is_train], score) > AUDIBLE_AUC


@pytest.mark.parametrize(("machine", "fault"), FAULTS)
def test_each_fault_changes_the_sound_and_a_strong_one_more_than_a_subtle_one(
    machine: str, fault: str
) -> None:
    kind = MACHINES[machine]

    def bands(severity: float, seed: int) -> NDArray[np.float64]:
        level = np.full(6 * RATE_HZ, severity)
        run = Operation(kind.source[0], fault, level, np.random.default_rng(seed))
        return log_bands(kind.sound(run)[None])

    subtle, strong = (
        np.mean([np.linalg.norm(bands(severity, n) - bands(0.0, n)) for n in range(2)])
        for severity in (0.35, 1.0)
    )

    assert 0.1 < subtle < strong


@pytest.mark.parametrize("machine", MACHINES)
def test_every_pair_of_fault_and_level_occurs(machine: str) -> None:
    kind = MACHINES[machine]
    planned = planned_clips(kind, DataSetSettings(1, 0, 2 * len(kind.faults), clip_s=1.0))

    pairs = {(clip.fault, clip.level) for clip in planned if clip.label == "anomaly"}

    assert pairs == set(itertools.product(kind.faults, ("subtle", "strong")))


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")

    with pytest.raises(UsageError, match="not empty"):
        synthesize(tmp_path, ["fan"], SMALL)


def test_force_replaces_machine_folders_and_leaves_the_rest(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    (tmp_path / "synthetic-fan" / "train").mkdir(parents=True)
    (tmp_path / "synthetic-fan" / "train" / "old.wav").touch()

    synthesize(tmp_path, ["fan"], SMALL, force=True)

    require_clean(scan([tmp_path / "synthetic-fan"]).problems)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious.txt", "synthetic-fan"]


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt(n_done: int, n_all: int) -> None:
        if n_done == SMALL.n_clips + 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesize(tmp_path / "new", ["fan", "valve"], SMALL, progress=interrupt)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [{"n_train_source": 0}, {"n_test": -1}, {"clip_s": 0.1}, {"clip_s": math.nan}, {"seed": -1}],
)
def test_impossible_recipes_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} is .*, expected at least"):
        DataSetSettings(**wrong)


def test_unknown_machines_and_faults_are_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="there are fan, gearbox, bearing, valve, slider"):
        find_machine("toaster")
    with pytest.raises(UsageError, match="it has chipped_tooth, wear"):
        find_fault(MACHINES["gearbox"], "leak")


def test_a_stream_is_healthy_outside_its_fault_and_unbroken_at_its_edges() -> None:
    fan = MACHINES["fan"]
    faulty = render_stream(fan, "rubbing", normal_s=2.0, fault_s=2.0)
    subtle = render_stream(fan, "rubbing", normal_s=2.0, fault_s=2.0, level="subtle")

    assert (faulty.fault_start_s, faulty.fault_end_s, faulty.length_s) == (2.0, 4.0, 6.0)
    before = slice(0, 2 * RATE_HZ)
    np.testing.assert_allclose(
        faulty.audio[:, before], subtle.audio[:, before], atol=CONVOLUTION_ROUNDING
    )
    during = slice(2 * RATE_HZ, 4 * RATE_HZ)
    assert np.abs(faulty.audio - subtle.audio)[:, during].mean() > 0.001
    steps = np.abs(np.diff(faulty.audio[0]))
    assert steps[2 * RATE_HZ - 80 : 2 * RATE_HZ + 80].max() <= steps[before].max()


def test_a_stream_can_be_made_at_the_rate_of_the_microphones(tmp_path: Path) -> None:
    stream = render_stream(
        MACHINES["valve"], "leak", normal_s=1.0, fault_s=1.0, sample_rate_hz=48_000
    )

    write_stream(tmp_path / "stream.wav", stream)

    info = soundfile.info(tmp_path / "stream.wav")
    assert (info.samplerate, info.channels, info.frames) == (48_000, 2, 144_000)
    assert [path.name for path in tmp_path.iterdir()] == ["stream.wav"]


def test_the_command_writes_a_data_set(tmp_path: Path) -> None:
    arguments = "--machines fan --clips-train-source 2 --clips-train-target 1 --clips-test 1"
    result = CliRunner().invoke(
        app, ["synth", str(tmp_path / "set"), *arguments.split(), "--clip-s", "0.5"]
    )

    assert result.exit_code == 0
    assert "7 synthetic clips of fan" in result.stdout
    require_clean(scan([tmp_path / "set"]).problems)


def test_the_command_writes_a_stream_and_says_where_the_fault_is(tmp_path: Path) -> None:
    path = tmp_path / "stream.wav"
    options = "--machine slider --fault squeal --normal-s 1.5 --fault-s 1 --seed 1"
    result = CliRunner().invoke(app, ["synth", "--stream", str(path), *options.split()])

    assert result.exit_code == 0
    assert "fault squeal from 1.5 s to 2.5 s of 4 s" in result.stdout
    assert soundfile.info(path).frames == 4 * RATE_HZ


@pytest.mark.parametrize("arguments", [[], ["set", "--stream", "stream.wav"]])
def test_the_command_wants_either_a_folder_or_a_stream(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["synth", *arguments])

    assert result.exit_code == 2
    assert "either a folder" in result.stderr


def test_microphones_that_stay_as_they_are_hear_the_machine_at_one_level() -> None:
    settings = DataSetSettings(4, 0, 0, clip_s=1.0, gain_jitter_db=0.0)
    fan = MACHINES["fan"]

    clips = [clip.scene(fan, settings).machine[0] for clip in planned_clips(fan, settings)]

    assert np.ptp([20 * np.log10(clip.std()) for clip in clips]) < 0.1


def test_without_training_clips_there_is_no_target_domain() -> None:
    settings = DataSetSettings(2, 0, 3, clip_s=0.5)

    clips = list(planned_clips(MACHINES["fan"], settings))

    assert {clip.domain for clip in clips} == {"source"}
    assert len(clips) == settings.n_clips == 2 + 2 * 3
