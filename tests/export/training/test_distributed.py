"""One training by two processes, as ``torchrun`` starts them."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from export.conftest import new_run

from edge_asd.errors import UsageError
from edge_asd_export.training import train_run as training
from edge_asd_export.training.config import TrainConfig
from edge_asd_export.training.distributed import Processes
from edge_asd_export.training.run import Run
from edge_asd_export.training.train import train_network

pytestmark = pytest.mark.timeout(900)  # each process imports torch; a busy computer needs minutes

# Two processes normalise each half of a batch by its own statistics and draw their own mixup;
# the mean loss of an epoch of seven batches moves by a tenth at most.
LOSS_NOISE = 0.1  # relative; 0.02 to 0.06 were seen
LEARNED = 0.1  # nats that the loss falls at least; 0.2 were seen
SETTINGS = (
    *("--system", "system4", "--folds", "0"),
    *("--batch-size", "8", "--set", "fkie.n_subclusters=2"),
)

# The command, made to fail at a chosen place in a chosen process.
SABOTAGE = textwrap.dedent(
    """
    import os, sys
    from edge_asd_export.training import train
    run_epoch = train._run_epoch
    def sabotaged(session, epoch, *args):
        if epoch == int(os.environ["FAIL_EPOCH"]) and os.environ["RANK"] == os.environ["FAIL_RANK"]:
            raise {"data": train.DataError("sabotage"), "bug": ZeroDivisionError("sabotage"),
                   "interrupt": KeyboardInterrupt()}[os.environ["FAIL_KIND"]]
        return run_epoch(session, epoch, *args)
    train._run_epoch = sabotaged
    from edge_asd.cli import main
    main()
    """
)


def command(*words: object, script: Path | None = None, processes: int = 2) -> list[str]:
    program = [str(script)] if script else ["-m", "edge_asd"]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    alone = [
        "--rdzv-backend",
        "c10d",
        "--rdzv-endpoint",
        "127.0.0.1:0",
        "--local-addr",
        "127.0.0.1",
    ]
    return [sys.executable, *torchrun, *alone, *program, "train", *map(str, words)]


def torchrun(
    *words: object, cwd: Path, script: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words, script=script),
        capture_output=True, text=True, cwd=cwd, check=False, timeout=800,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
    )  # fmt: skip


def losses(run: Path) -> list[float]:
    with (run / "fkie" / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, len(rows) + 1))
    return [float(row["loss"]) for row in rows]


@pytest.fixture(scope="module")
def shared(small_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A run that two processes trained, interrupted in its second epoch and gone on with.

    The folder, and standard output and error of the second part.
    """
    folder = tmp_path_factory.mktemp("shared")
    script = folder / "sabotaged.py"
    script.write_text(SABOTAGE)
    stopped = torchrun(
        small_data, "--out", "run", "--epochs", 3, "--device", "cpu", *SETTINGS,
        cwd=folder, script=script, FAIL_EPOCH="1", FAIL_RANK="1", FAIL_KIND="data",
    )  # fmt: skip
    assert stopped.returncode == 1, stopped.stderr
    assert "error: sabotage" in stopped.stderr
    assert len(losses(folder / "run")) == 1
    resumed = torchrun("--resume", "run", "--device", "cpu", cwd=folder)
    assert resumed.returncode == 0, resumed.stderr
    return folder / "run", resumed.stdout, resumed.stderr


def test_two_processes_learn_like_one(
    shared: tuple[Path, str, str], small_data: Path, tmp_path: Path
) -> None:
    own = {"epochs": 3, "batch_size": 8, "n_subclusters": 2}
    run, tasks = new_run(tmp_path / "run", small_data, fkie=own)
    train_network(run, "fkie", tasks["fkie"].items, device=torch.device("cpu"))

    together, alone = losses(shared[0]), losses(run.path)
    assert together == pytest.approx(alone, rel=LOSS_NOISE)
    assert together[0] - together[-1] > LEARNED


def test_one_process_writes_and_speaks(shared: tuple[Path, str, str]) -> None:
    run, stdout, stderr = shared

    assert stdout == f"{run}\n"
    assert stderr.count("2 processes; run folder") == 1
    assert stderr.count("epoch 3:") == 1
    assert sorted(path.name for path in (run / "fkie").iterdir()) == [
        "checkpoint.pt",
        "log.csv",
        "loss.png",
    ]
    assert sorted(path.name for path in run.parent.iterdir()) == [
        "latest",
        "run",
        "sabotaged.py",
    ]


def test_an_interrupted_shared_training_goes_on_to_its_end(
    shared: tuple[Path, str, str],
) -> None:
    run, _, _ = shared

    assert Run.open(run).is_complete("fkie")
    assert len(losses(run)) == 3


def test_processes_need_a_run_folder_that_all_of_them_know(
    small_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "as torchrun sets it")

    with pytest.raises(UsageError, match="several processes need one run folder: name it with"):
        training.new_run(None, TrainConfig(), [small_data])


@pytest.mark.parametrize(("batch_size", "n"), [(3, 2), (8, 5)])
def test_a_batch_that_is_too_small_to_be_shared_is_refused(
    small_data: Path, tmp_path: Path, batch_size: int, n: int
) -> None:
    run, tasks = new_run(tmp_path / "run", small_data, fkie={"batch_size": batch_size})

    with pytest.raises(UsageError, match=f"a batch of {batch_size} cannot be shared by {n}"):
        train_network(
            run, "fkie", tasks["fkie"].items, device=torch.device("cpu"), processes=Processes(0, n)
        )


@pytest.mark.slow
def test_a_usage_error_ends_every_process(small_data: Path, tmp_path: Path) -> None:
    done = torchrun(small_data, "--epochs", 1, "--device", "cpu", cwd=tmp_path)

    assert done.returncode != 0
    assert "error: several processes need one run folder" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["0", "1"])
@pytest.mark.parametrize("kind", ["bug", "interrupt"])
def test_a_process_that_fails_takes_the_other_along(
    small_data: Path, tmp_path: Path, rank: str, kind: str
) -> None:
    (tmp_path / "sabotaged.py").write_text(SABOTAGE)

    done = torchrun(
        small_data, "--out", "run", "--epochs", 3, "--device", "cpu", *SETTINGS,
        cwd=tmp_path, script=tmp_path / "sabotaged.py",
        FAIL_EPOCH="1", FAIL_RANK=rank, FAIL_KIND=kind,
    )  # fmt: skip

    assert done.returncode != 0
    assert Run.open(tmp_path / "run").checkpoint("fkie") is not None


@pytest.mark.slow
def test_ctrl_c_stops_all_processes_and_keeps_the_last_epoch(
    small_data: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        command(small_data, "--out", "run", "--epochs", 200, "--device", "cpu", *SETTINGS),
        cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
        # A shell that runs the tests in the background has children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    log = tmp_path / "run" / "fkie" / "log.csv"
    deadline = time.monotonic() + 400
    while not log.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, stderr = process.communicate(timeout=400)

    assert process.returncode != 0
    assert "go on with: edge-asd train --resume" in stderr
    state = Run.open(tmp_path / "run").checkpoint("fkie")
    assert state is not None
    assert state["epoch"] >= 1
