"""``train``, ``export``, ``evaluate`` and ``score`` as a user runs them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from export.conftest import machine_noise, new_run, write_clip

from edge_asd.bundle.bundle import Bundle
from edge_asd_export.bundling.bundle_writer import WrittenBundle
from edge_asd_export.commands import export
from edge_asd_export.commands.train import train
from edge_asd_export.training import train_run as training
from edge_asd_export.training.run import Run

AGREEMENT = 1e-5


def edge_asd(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge_asd", *map(str, words)],
        capture_output=True, text=True, cwd=cwd, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ``train`` and ``export`` ran with their defaults."""
    folder = tmp_path_factory.mktemp("user")
    done = edge_asd("train", small_data, "--epochs", 1, "--threads", 1, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_train_prints_the_run_and_links_latest(trained: Path) -> None:
    (run,) = [path for path in (trained / "runs").iterdir() if not path.is_symlink()]

    assert (trained / "runs" / "latest").resolve() == run
    assert sorted(path.name for path in (run / "ltas").iterdir()) == [
        "checkpoint.pt",
        "log.csv",
        "loss.png",
    ]


def test_a_gpu_computes_front_ends_in_full_and_repeats_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cudnn = torch.backends.cudnn
    seen = []
    monkeypatch.setattr(training, "resumed_run", lambda path: None)
    monkeypatch.setattr(
        training, "train_all", lambda *_: seen.append((cudnn.allow_tf32, cudnn.deterministic))
    )

    with cudnn.flags(enabled=True, allow_tf32=True, deterministic=False):
        train(resume=tmp_path, device="cpu")

    assert seen == [(False, True)]


def test_finished_run_is_not_trained_again(trained: Path) -> None:
    done = edge_asd("train", "--resume", "runs/latest", cwd=trained)

    assert done.returncode == 0
    assert "already trained" in done.stderr


def test_export_with_defaults_makes_a_bundle_that_opens(trained: Path) -> None:
    done = edge_asd("export", cwd=trained)

    assert done.returncode == 0, done.stderr
    assert "int8 weights" in re.sub(r"\s+", " ", done.stdout) or "encoders" in done.stdout
    assert sorted(Bundle.open(trained / "bundles" / "latest").manifest.machines) == ["fan", "pump"]


def test_interrupted_training_says_how_to_go_on(small_data: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_asd", "train", str(small_data), "--epochs", "200",
         "--threads", "1", "--out", "run"],
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        # A shell that runs the tests in the background has children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    log = tmp_path / "run" / "ltas" / "log.csv"
    deadline = time.monotonic() + 400
    while not log.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=400)

    assert process.returncode == 130
    assert "--resume" in stderr
    assert "Traceback" not in stderr
    state = Run.open(tmp_path / "run").checkpoint("ltas")
    assert state is not None
    assert state["epoch"] >= 1


def spoil(data: Path, kind: str) -> None:
    clip = sorted((data / "fan" / "train").iterdir())[0]
    if kind == "mono":
        write_clip(clip, machine_noise(100, 0)[:1])
    elif kind == "truncated":
        clip.write_bytes(clip.read_bytes()[:5000])
    elif kind == "empty":
        clip.write_bytes(b"")
    else:
        clip.rename(clip.with_name("recording-17.wav"))


@pytest.mark.parametrize("kind", ["mono", "truncated", "empty", "misnamed"])
def test_bad_training_clip_is_told_before_anything_is_trained(
    small_data: Path, tmp_path: Path, kind: str
) -> None:
    shutil.copytree(small_data, tmp_path / "data")
    spoil(tmp_path / "data", kind)

    done = edge_asd("train", "data", cwd=tmp_path)

    assert done.returncode == 1
    assert "fan/train/" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train"], "no data"),
        (["train", "nowhere"], "nowhere"),
        (["train", "DATA", "--system", "system9"], "known systems: system1"),
        (["train", "DATA", "--set", "fkie.input=cepstrum"], "fkie.input"),
        (["train", "DATA", "--set", "fkie.width=3"], "fkie.width"),
        (["train", "DATA", "--set", "fkie.width"], "KEY=VALUE"),
        (["train", "DATA", "--system", "system1", "--set", "beats.layer=9"], "beats.layer = 9"),
        (["train", "--resume", "runs/latest", "--set", "seed=1"], "--resume"),
        (["train", "DATA", "--resume", "runs/latest"], "--resume"),
        (["export", "--run", "nowhere"], "no run at"),
        (["export", "--weights", "coin"], "known rules"),
        (["export", "--model-weights", "coin"], "known rules"),
        (["export", "--system", "system2"], "system2 needs resnet"),
        (["export", "--scorer", "knn"], "known scorers"),
        (["export", "--scorer", "beats=nearest"], "system5 has no extractor 'beats'"),
        (["export", "--scorer", "mse"], "ltas cannot be scored by 'mse', only by: dldn-mean"),
        (["export", "--scorer", "ltas=centres"], "ltas cannot be scored by 'centres'"),
        (["export", "--hop-s", "-1"], "--hop-s"),
        (["export", "--hop-s", "nan"], "--hop-s"),
        (["train", "DATA", "--device", "abacus"], "--device abacus"),
        (["train", "DATA", "--seed", str(2**32)], "--seed"),
        (["train", "--resume", "runs/latest", "--system", "system4"], "--resume"),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(
    trained: Path, small_data: Path, words: list[str], message: str
) -> None:
    done = edge_asd(*[small_data if w == "DATA" else w for w in words], cwd=trained)

    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_come_from_a_file_and_options_win(small_data: Path, tmp_path: Path) -> None:
    (tmp_path / "fast.toml").write_text(
        'seed = 3\n[fkie]\nepochs = 7\ninput = "linear"\nn_mels = 64\n'
    )

    done = edge_asd(
        "train", small_data, "--config", "fast.toml", "--epochs", 1, "--out", "run",
        "--set", "fkie.input=mel", "--threads", 1, cwd=tmp_path,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    config = Run.open(tmp_path / "run").record.config
    fkie = config.fkie
    assert (fkie.epochs, config.seed, fkie.input, fkie.n_mels) == (1, 3, "mel", 64)


def test_the_system_of_a_settings_file_counts(small_data: Path, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text('systems = ["system9"]\n')

    done = edge_asd("train", small_data, "--config", "other.toml", cwd=tmp_path)

    assert done.returncode == 2
    assert "unknown system 'system9'" in done.stderr


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ([], {}),
        (["nearest"], {"": "nearest"}),
        (["fkie=varmin", "nearest"], {"fkie": "varmin", "": "nearest"}),
        (["nearest", "varmin"], {"": "varmin"}),
    ],
)
def test_a_scorer_is_named_for_one_extractor_or_for_all(
    choices: list[str], expected: dict[str, str]
) -> None:
    assert export._scorers(choices) == expected


def leave_one_train_clip(data: Path) -> None:
    for clip in sorted((data / "fan" / "train").iterdir())[1:]:
        clip.unlink()


def halve_clips(data: Path) -> None:
    for clip in (data / "fan").rglob("*.wav"):
        write_clip(clip, machine_noise(100, 0)[:, :8000])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: spoil(data, "mono"), "is mono"),
        (leave_one_train_clip, "has 1 train clip"),
        (halve_clips, "8000 samples long"),
    ],
)
def test_export_refuses_recordings_unlike_those_of_the_run(
    small_run: Run, small_data: Path, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    shutil.copytree(small_data, tmp_path / "data")
    change(tmp_path / "data")

    done = edge_asd("export", "--run", small_run.path, "--data", "data", cwd=tmp_path)

    assert done.returncode == 1, done.stderr
    assert message in done.stderr
    assert not (tmp_path / "bundles").exists()


def test_labels_of_some_machines_only_are_refused_before_anything_is_made(
    small_run: Run, small_data: Path, tmp_path: Path
) -> None:
    shutil.copytree(small_data / "fan", tmp_path / "labels" / "fan")

    done = edge_asd("export", "--run", small_run.path, "--dev-labels", "labels", cwd=tmp_path)

    assert done.returncode == 1
    assert "no labelled test clips of pump" in done.stderr
    assert "graphs" not in done.stderr


def test_resume_refuses_data_with_other_classes(small_data: Path, tmp_path: Path) -> None:
    shutil.copytree(small_data, tmp_path / "data")
    run, _ = new_run(tmp_path / "run", tmp_path / "data")
    clip = sorted((tmp_path / "data" / "fan" / "train").iterdir())[0]
    clip.rename(clip.with_name("section_00_source_train_normal_0000_spd_9.wav"))

    done = edge_asd("train", "--resume", run.path, cwd=tmp_path)

    assert done.returncode == 1
    assert "has changed" in done.stderr
    assert "classes" in done.stderr


def test_unknown_setting_is_refused(small_data: Path, tmp_path: Path) -> None:
    (tmp_path / "typo.toml").write_text("epoch = 7\n")

    done = edge_asd("train", small_data, "--config", "typo.toml", cwd=tmp_path)

    assert done.returncode == 2
    assert "epoch" in done.stderr


def test_listen_score_and_evaluate_agree(
    small_bundle: WrittenBundle, small_data: Path, tmp_path: Path
) -> None:
    bundle = small_bundle.path
    clips = sorted((small_data / "pump" / "test").iterdir())[:3]
    evaluated = edge_asd(
        "evaluate", "--data", small_data, "--bundle", bundle, "--out", "report", cwd=tmp_path
    )
    assert evaluated.returncode == 0, evaluated.stderr
    scored = edge_asd(
        "score", *clips, "--bundle", bundle, "--machine", "pump", "--json", cwd=tmp_path
    )
    assert scored.returncode == 0, scored.stderr
    csv_file = tmp_path / "report" / "anomaly_score_pump_section_00_test.csv"
    by_csv = dict(line.split(",") for line in csv_file.read_text().split())
    by_score = [json.loads(line)["score"] for line in scored.stdout.splitlines()]

    for clip, score in zip(clips, by_score, strict=True):
        listened = edge_asd(
            "listen", "--input", clip, "--bundle", bundle, "--machine", "pump", "--json",
            cwd=tmp_path,
        )  # fmt: skip
        events = [json.loads(line) for line in listened.stdout.splitlines()]
        (by_listen,) = [e["score"] for e in events if e["event"] == "score"]
        assert float(by_csv[clip.name]) == pytest.approx(score, abs=AGREEMENT)
        assert by_listen == pytest.approx(score, abs=AGREEMENT)


def test_full_disk_leaves_no_bundle(small_run: Run, tmp_path: Path) -> None:
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("needs root to mount a small file system; CI shared machines may not")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], check=False
    )
    if mounted.returncode:
        pytest.skip("this container cannot mount; shared kernels forbid it")
    try:
        done = edge_asd("export", "--run", small_run.path, "--out", disk / "bundle", cwd=tmp_path)
        left = list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert left == []


def test_export_finds_takes_that_the_run_does_not_know(
    small_run: Run, small_data: Path, tmp_path: Path
) -> None:
    # Each target clip has the noise of a source clip under it.
    data = shutil.copytree(small_data, tmp_path / "data")
    for table in data.rglob("takes.csv"):
        table.unlink()

    done = edge_asd(
        "export", "--run", small_run.path, "--data", data, "--out", tmp_path / "bundle",
        "--quantize", "none", cwd=tmp_path,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    machines = Bundle.open(tmp_path / "bundle").manifest.machines
    assert [machine.threshold.n_takes for machine in machines.values()] == [10, 10]
    assert "fan 10 of 14 clips" in done.stderr
