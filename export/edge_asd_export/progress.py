"""Progress bars on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

if TYPE_CHECKING:
    from edge_asd_export.training.training_log import EpochLog

__all__ = ["TrainingBars", "download_bars", "progress_bar", "scoring_bar", "training_bars"]


def _progress(*, quiet: bool = False, transient: bool = False) -> Progress:
    console = Console(stderr=True, quiet=quiet)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=transient,
        disable=transient and not console.is_terminal,
    )


@contextmanager
def progress_bar(
    description: str, *, quiet: bool = False, transient: bool = False
) -> Iterator[Callable[[int, int], None]]:
    """A bar that is moved by calling the yielded function with (done, total).

    Parameters
    ----------
    transient : the bar is gone in the end, and not drawn where there is no terminal
    """
    with _progress(quiet=quiet, transient=transient) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def scoring_bar(total: int) -> Iterator[Callable[[str], None]]:
    """A bar that is gone when the clips are scored; call it with what each clip belongs to."""
    with _progress(transient=True) as progress:
        task = progress.add_task("scoring", total=total)
        yield lambda of: progress.update(task, advance=1, description=f"scoring {of}")


@contextmanager
def download_bars() -> Iterator[
    tuple[Callable[[str], None], Callable[[str, int, int | None], None]]
]:
    """A bar for each file: what prints a line above them, and what takes (file, bytes, of all)."""
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    log = Console(stderr=True, highlight=False)
    with Progress(
        TextColumn("{task.description}"), *columns, console=log, disable=not log.is_terminal
    ) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(file: str, done: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bars.add_task(file, completed=done)
            bars.update(tasks[file], completed=done, total=total)

        yield lambda line: log.print(line, markup=False, soft_wrap=True), advance


@dataclass(frozen=True, slots=True)
class TrainingBars:
    """What moves the bars of a training."""

    on_item: Callable[[int, int], None]  # items read, in all
    on_batch: Callable[[int, int, float], None]  # batches done, in all, loss
    on_epoch: Callable[[EpochLog], None]


@contextmanager
def training_bars(
    name: str, done: int, epochs: int, *, quiet: bool = False
) -> Iterator[TrainingBars]:
    """A bar of epochs, of which `done` lie behind, above one of the epoch's batches."""
    with _progress(quiet=quiet) as progress:
        outer = progress.add_task(f"{name}: epoch", total=epochs, completed=done)
        inner = progress.add_task("  batch", total=None)

        def on_item(done: int, total: int) -> None:
            progress.update(inner, completed=done, total=total, description="  reading clips")

        def on_batch(done: int, total: int, loss: float) -> None:
            text = f"  batch, loss {loss:.3f}"
            progress.update(inner, completed=done, total=total, description=text)

        def on_epoch(log: EpochLog) -> None:
            progress.update(outer, completed=log.epoch)
            if not progress.console.is_terminal:  # a bar is no use in a log file
                text = f"epoch {log.epoch}: loss {log.loss:.4f}, {log.seconds:.0f} s"
                progress.console.print(text)

        yield TrainingBars(on_item, on_batch, on_epoch)
