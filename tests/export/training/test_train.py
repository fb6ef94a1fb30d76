"""Training: logs, resuming, reproducibility, refusals."""

from __future__ import annotations

import csv
import io
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from export.conftest import new_run

from edge_asd.errors import DataError, UsageError
from edge_asd_export.data.clips import scan
from edge_asd_export.data.folds import NO_FOLD
from edge_asd_export.extractors.fkie.learner import FkieLearner
from edge_asd_export.training.config import TrainConfig
from edge_asd_export.training.run import Run, point_latest_at, save_checkpoint
from edge_asd_export.training.train import load_learner, train_network
from edge_asd_export.training.train_run import new_run as planned_run
from edge_asd_export.training.train_run import resumed_run
from edge_asd_export.training.training_log import EpochLog, append_log, draw_loss_curve

if TYPE_CHECKING:
    from typing_extensions import Buffer

CPU = torch.device("cpu")


class InterruptedTrainingError(Exception):
    """Stands in for Ctrl-C."""


def stop_after(epoch: int):
    def on_epoch(log: EpochLog) -> None:
        if log.epoch == epoch:
            raise InterruptedTrainingError

    return on_epoch


def weights(run: Run) -> torch.Tensor:
    state = run.checkpoint("fkie")
    assert state is not None
    return torch.cat([value.float().flatten() for value in state["learner"].values()])


def test_log_has_a_row_for_every_epoch(small_run: Run) -> None:
    with (small_run.folder("fkie") / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    assert [int(row["epoch"]) for row in rows] == [1, 2]
    assert all(float(row["loss"]) > 0 and float(row["scale"]) > 0 for row in rows)


def test_loss_falls_on_machines_that_differ(small_data: Path, tmp_path: Path) -> None:
    run, tasks = new_run(tmp_path / "run", small_data, fkie={"epochs": 6})
    losses: list[float] = []

    train_network(
        run,
        "fkie",
        tasks["fkie"].items,
        device=CPU,
        on_epoch=lambda log: losses.append(log.loss),
    )

    assert losses[-1] < losses[0] - 0.2


def test_interrupted_training_ends_with_the_weights_of_an_uninterrupted_one(
    small_run: Run, small_data: Path, tmp_path: Path
) -> None:
    run, tasks = new_run(tmp_path / "run", small_data)
    with pytest.raises(InterruptedTrainingError):
        train_network(run, "fkie", tasks["fkie"].items, device=CPU, on_epoch=stop_after(1))

    train_network(Run.open(run.path), "fkie", tasks["fkie"].items, device=CPU)

    torch.testing.assert_close(weights(run), weights(small_run), rtol=1e-4, atol=1e-5)


def test_another_seed_gives_other_weights(small_run: Run, small_data: Path, tmp_path: Path) -> None:
    run, tasks = new_run(tmp_path / "run", small_data, seed=1)

    train_network(run, "fkie", tasks["fkie"].items, device=CPU)

    assert not torch.allclose(weights(run), weights(small_run), atol=1e-2)


def test_unfinished_extractor_is_not_loaded(small_data: Path, tmp_path: Path) -> None:
    run, tasks = new_run(tmp_path / "run", small_data)
    with pytest.raises(InterruptedTrainingError):
        train_network(run, "fkie", tasks["fkie"].items, device=CPU, on_epoch=stop_after(1))

    with pytest.raises(DataError, match=r"1 of 2 epochs.*--resume"):
        load_learner(run, "fkie")


def test_one_clip_is_too_few(small_data: Path, tmp_path: Path) -> None:
    run, tasks = new_run(tmp_path / "run", small_data)

    with pytest.raises(DataError, match="at least 2"):
        train_network(run, "fkie", tasks["fkie"].items[:1], device=CPU)


# Fourteen items: a batch of one is left out, because it cannot be normalised.
@pytest.mark.parametrize(("batch_size", "n_batches"), [(4, 4), (7, 2), (13, 1), (99, 1)])
def test_the_schedule_knows_how_many_steps_there_will_be(
    small_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    batch_size: int,
    n_batches: int,
) -> None:
    run, tasks = new_run(tmp_path / "run", small_data, fkie={"batch_size": batch_size})
    promised: list[int] = []
    monkeypatch.setattr(FkieLearner, "schedule", lambda _, __, n_steps: promised.append(n_steps))
    steps: list[int] = []

    train_network(
        run,
        "fkie",
        tasks["fkie"].items[:14],
        device=CPU,
        on_batch=lambda done, total, loss: steps.append(total),
    )

    assert promised == [2 * n_batches]
    assert steps == [n_batches] * (2 * n_batches)


def test_rows_of_a_log_that_are_repeated_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for epoch, loss in ((1, 3.0), (2, 2.0), (3, 1.0), (2, 1.5)):
        append_log(path, EpochLog(epoch, loss, 1e-3, 1.0, {"scale": 2.0}))

    with path.open(newline="") as file:
        rows = [(row["epoch"], float(row["loss"]), row["scale"]) for row in csv.DictReader(file)]
    assert rows == [("1", 3.0, "2"), ("2", 1.5, "2")]


def test_checkpoint_loads_without_unpickling_objects(small_run: Run) -> None:
    path = small_run.folder("fkie") / "checkpoint.pt"

    assert torch.load(path, weights_only=True)["epoch"] == 2


def test_loss_curve_is_drawn(small_run: Run, tmp_path: Path) -> None:
    picture = tmp_path / "loss.png"

    draw_loss_curve(small_run.folder("fkie") / "log.csv", picture)

    assert picture.read_bytes().startswith(b"\x89PNG")


def test_missing_run_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no run at"):
        Run.open(tmp_path)


def test_broken_run_record_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"config": 3}')

    with pytest.raises(DataError, match="not a run record") as caught:
        Run.open(tmp_path)

    assert "\n" not in str(caught.value)


def test_latest_points_at_the_newest_run(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        point_latest_at(tmp_path / name)

    assert (tmp_path / "latest").resolve() == tmp_path / "b"


def test_a_real_folder_called_latest_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "a").mkdir()

    point_latest_at(tmp_path / "a")

    assert not (tmp_path / "latest").is_symlink()


def test_a_new_run_never_divides_a_take_and_records_takes_and_folds(
    small_data: Path, tmp_path: Path
) -> None:
    table = tmp_path / "takes.csv"
    files = sorted(small_data.glob("*/train/*.wav"))
    rows = [f"{file.relative_to(small_data)},day {i % 3}\n" for i, file in enumerate(files)]
    table.write_text("file,take\n" + "".join(rows))

    run = planned_run(tmp_path / "run", TrainConfig(), [small_data], table).run

    clips = [clip for machine in scan([small_data]).machines.values() for clip in machine.train]
    takes, folds = run.takes(clips), run.folds(clips)
    assert len({(clip.machine, takes[clip]) for clip in clips}) == 6
    assert len({(clip.machine, takes[clip], folds[clip]) for clip in clips}) == 6


def test_folds_and_takes_are_those_of_the_sound_and_not_of_its_name(
    small_data: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(small_data, tmp_path / "copy")
    table = tmp_path / "takes.csv"
    files = sorted(copy.glob("*/train/*.wav"))
    table.write_text("file,take\n" + "".join(f"{f.relative_to(copy)},{f.stem}\n" for f in files))
    plan = planned_run(tmp_path / "run", TrainConfig(), [copy], table)
    plan.run.write()
    other, moved = files[0], files[1]
    shutil.copy(files[-1], other)
    moved.rename(moved.with_name(moved.name.replace("normal_0", "normal_9")))

    clips = [clip for machine in scan([copy]).machines.values() for clip in machine.train]
    takes, folds = plan.run.takes(clips), plan.run.folds(clips)

    (new,) = set(clips) - takes.keys()
    assert (new.path, folds[new]) == (other, NO_FOLD)
    assert moved.stem in takes.values()
    with pytest.raises(DataError, match="clips hold other sound"):
        resumed_run(plan.run.path)


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_ends_the_writing_of_a_checkpoint_is_told_as_it_is(
    tmp_path: Path, fault: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(io.FileIO):
        """Fails in the middle of the archive, where torch raises an error of its own."""

        n_writes = 0

        def write(self, content: Buffer) -> int:
            self.n_writes += 1
            if self.n_writes == 3:
                raise fault
            return super().write(content)

    monkeypatch.setattr(os, "fdopen", lambda descriptor, mode: Interrupted(descriptor, mode))

    with pytest.raises(type(fault)):
        save_checkpoint(tmp_path / "checkpoint.pt", {"weights": torch.zeros(100_000)})

    assert not list(tmp_path.iterdir())
