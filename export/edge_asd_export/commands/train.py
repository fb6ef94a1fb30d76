"""``edge-asd train``: learn what normal sound is made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_asd.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from edge_asd_export.clips import MachineClips
    from edge_asd_export.config import TrainConfig
    from edge_asd_export.run import Run
    from edge_asd_export.training_set import ClassName, Item

__all__ = ["train"]


def train(
    data: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of machine folders with `train` clips.", show_default=False),
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="Detection system to train.  [default: system4]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder.  [default: runs/SYSTEM-DATE-TIME]")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this run, such as `runs/latest`.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file of settings; options given here win over it."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the clips.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=2, help="Clips in a step.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Of every random draw.")
    ] = None,
    fkie_input: Annotated[
        str | None, typer.Option(help="Spectrogram that FKIE sees: `linear` or `mel`.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="`cpu`, `cuda`, ...  [default: CUDA when there is one]")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.  [default: all cores]")
    ] = None,
) -> None:
    """Train a system's extractors on recordings of normal sound.

    All machines of all folders train one network: it learns to tell machines, domains and
    operating conditions apart, and thereby what matters in their sound. Every clip is read and
    checked first.

    The run folder gets the settings, a log (CSV) and a loss curve (PNG) per extractor, and a
    checkpoint after each epoch. Ctrl-C stops; `--resume` goes on as if nothing had happened.

    Examples

        edge-asd train recordings

        edge-asd train dev_data eval_data --system system4 --epochs 10 --seed 1 --out runs/dev

        edge-asd train --resume runs/latest
    """
    import torch

    from edge_asd_export.run import Run, point_latest_at

    where = _device(device)
    torch.set_num_threads(threads or torch.get_num_threads())
    overrides: dict[str, object] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "seed": seed,
        "system": system,
    }
    fkie = {"input": fkie_input} if fkie_input else {}
    if resume is not None:
        if data or out or config or fkie or any(value is not None for value in overrides.values()):
            raise UsageError("--resume takes data and settings from the run; give it alone")
        run = Run.open(resume.resolve())
        machines = _scan([Path(folder) for folder in run.record.data])
        _require_same(run, machines)
    else:
        if not data:
            raise UsageError("no data: 'edge-asd train DATA', or 'edge-asd train --resume RUN'")
        settings = _settings(config, overrides, fkie)
        machines = _scan(data)
        run = _new_run(out, settings, machines, data)
    point_latest_at(run.path)
    _train_all(run, machines, where)


def _device(name: str | None) -> torch.device:
    """The device called `name`, once it has held a number."""
    import torch

    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch raises either, by kind of device
        reason = str(error).splitlines()[0]
        raise UsageError(f"--device {name}: this PyTorch cannot use it: {reason}") from error
    return device


def _settings(path: Path | None, overrides: dict[str, object], fkie: dict[str, str]) -> TrainConfig:
    import tomllib

    from pydantic import ValidationError

    from edge_asd.system import system_named
    from edge_asd_export.config import TrainConfig

    values: dict[str, object] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{path} is not valid TOML: {error}") from error
    values |= {key: value for key, value in overrides.items() if value is not None}
    own_fkie = values.get("fkie", {})
    values["fkie"] = {**own_fkie, **fkie} if isinstance(own_fkie, dict) else own_fkie
    try:
        settings = TrainConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"setting {where!r}: {first['msg']}, found {first['input']!r}") from error
    system_named(settings.system)
    return settings


def _scan(data: list[Path]) -> dict[str, MachineClips]:
    """Read every training clip; all problems are told before anything is trained."""
    from edge_asd_export.clips import require_clean_train, scan
    from edge_asd_export.progress import progress_bar

    with progress_bar("checking clips") as advance:
        inventory = scan(data, progress=advance)
    for problem in require_clean_train(inventory):
        typer.echo(f"warning: {problem.path}: {problem.reason} (not trained on)", err=True)
    return inventory.machines


def _new_run(
    out: Path | None, settings: TrainConfig, machines: dict[str, MachineClips], data: list[Path]
) -> Run:
    from datetime import datetime
    from importlib.metadata import version

    from edge_asd_export.run import RECORD_NAME, Run, RunRecord

    rates = {machine.sample_rate_hz for machine in machines.values()}
    rate = rates.pop()
    windows = {name: machine.window_samples for name, machine in machines.items()}
    clip_s = settings.clip_s or max(windows.values()) / rate
    items, classes = _items(settings, machines)
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    path = (out or Path("runs") / f"{settings.system}-{stamp}").resolve()
    if (path / RECORD_NAME).exists():
        raise UsageError(f"{path} is a run already: go on with --resume {path}, or choose --out")
    record = RunRecord(
        config=settings,
        data=tuple(str(folder.resolve()) for folder in data),
        n_samples=round(clip_s * rate),
        sample_rate_hz=rate,
        machines=windows,
        classes=tuple(classes),
        n_items=len(items),
        tools={name: version(name) for name in ("edge-asd", "torch", "numpy")},
    )
    return Run.create(path, record)


def _require_same(run: Run, machines: dict[str, MachineClips]) -> None:
    """Refuse other data than the run began with: classes and batches would be numbered anew."""
    record = run.record
    windows = {name: machine.window_samples for name, machine in machines.items()}
    if windows != record.machines:
        raise DataError(
            f"the data of {run.path} has changed: found machines {_lengths(windows)}, "
            f"trained on {_lengths(record.machines)}; start a new run"
        )
    items, classes = _items(record.config, machines)
    if len(items) != record.n_items or tuple(classes) != record.classes:
        raise DataError(
            f"the data of {run.path} has changed: found {len(items)} items in {len(classes)} "
            f"classes, trained on {record.n_items} in {len(record.classes)}; start a new run"
        )


def _items(
    settings: TrainConfig, machines: dict[str, MachineClips]
) -> tuple[list[Item], list[ClassName]]:
    """Every clip through every view of the system, and the classes."""
    from edge_asd.system import system_named
    from edge_asd_export.training_set import training_items

    clips = [clip for machine in machines.values() for clip in machine.train]
    views = list(dict.fromkeys(b.view for b in system_named(settings.system).branches))
    return training_items(clips, views, view_classes=settings.view_classes)


def _lengths(windows: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({n} samples)" for name, n in sorted(windows.items()))


def _train_all(run: Run, machines: dict[str, MachineClips], device: torch.device) -> None:
    from edge_asd.system import system_named
    from edge_asd_export.training_set import training_items

    system = system_named(run.record.config.system)
    clips = [clip for machine in machines.values() for clip in machine.train]
    typer.echo(
        f"{system.name}: {len(machines)} machines, {len(clips)} clips, "
        f"{len(run.record.classes)} classes, on {device}; run folder {run.path}",
        err=True,
    )
    for name in system.extractors:
        views = [branch.view for branch in system.branches if branch.extractor == name]
        items, _ = training_items(clips, views, view_classes=run.record.config.view_classes)
        _train_one(run, name, items, device)
    typer.echo(str(run.path))
    typer.echo(f"next: edge-asd export --run {run.path}", err=True)


def _train_one(run: Run, name: str, items: list[Item], device: torch.device) -> None:
    from edge_asd_export.loss_curve import draw_loss_curve
    from edge_asd_export.progress import training_bars
    from edge_asd_export.train import train_extractor

    if run.is_complete(name):
        typer.echo(f"{name}: already trained", err=True)
        return
    state = run.checkpoint(name)
    done = 0 if state is None else int(state["epoch"])
    try:
        with training_bars(name, done, run.record.config.epochs) as bars:
            train_extractor(
                run,
                name,
                items,
                device=device,
                n_workers=0 if device.type == "cpu" else 8,
                on_batch=bars.on_batch,
                on_epoch=lambda log, _: bars.on_epoch(log),
            )
    except KeyboardInterrupt:
        typer.echo(f"stopped; go on with: edge-asd train --resume {run.path}", err=True)
        raise
    finally:
        draw_loss_curve(run.folder(name) / "log.csv", run.folder(name) / "loss.png")
