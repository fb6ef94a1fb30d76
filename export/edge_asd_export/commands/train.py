"""``edge-asd train``: learn what normal sound is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_asd.errors import UsageError

__all__ = ["train"]


def train(
    data: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of machine folders with `train` clips.", show_default=False),
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option(help="Detection system to train; may be repeated.  [default: system5]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder.  [default: runs/SYSTEM-DATE-TIME]")
    ] = None,
    takes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV of file, take: which clips are of one recording.  [default: found]",
        ),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of other machines to learn from as well; may be repeated. They are told "
            "apart from yours, and nothing else: not exported, not evaluated."
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=5,
            help="How often a network is trained again without a fifth of the takes, to set "
            "thresholds by; 0 halves the time, and thresholds come out too low.  [default: 1]",
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this run, such as `runs/latest`.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML file of settings; options given here win over it."),
    ] = None,
    beats_checkpoint: Annotated[
        Path | None,
        typer.Option(help="Published BEATs checkpoint; without it `beats-mini` is trained."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the clips, of every network.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=2, help="Clips in a step, of every network.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**32 - 1, help="Of every random draw.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any setting, such as `resnet.width=64`; repeatable."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="`cpu`, `cuda`, ...  [default: CUDA when there is one]")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads.  [default: all cores]")
    ] = None,
) -> None:
    """Train a system's extractors on recordings of normal sound.

    All machines of all folders train one network for each extractor (the autoencoder of the
    baselines: one for each machine): it learns to tell machines, domains and operating
    conditions apart, and thereby what matters in their sound. Every clip is read and checked
    first.

    A network knows what it was trained with better than new sound. So each is trained once more
    without a fifth of the takes (`ltas` is made of such networks anyway), which the bundle does
    not get: the export sets thresholds by what this one says of sound that it has not heard.

    Clips that share sound, cut from one recording or with one noise under them, are a take. Takes
    are found once and written beside the clips as `takes.csv`, and never divided between what is
    learned and what is held out of it.

    The run folder gets the settings, a log (CSV) and a loss curve (PNG) per network, and a
    checkpoint after each epoch. Ctrl-C stops; `--resume` goes on as if nothing had happened.
    Several processes share the work under `torchrun`.

    Examples

        edge-asd train recordings

        edge-asd train my_pump --beside dev_data

        edge-asd train recordings --system system3 --system baseline-mse --set resnet.width=64

        edge-asd train dev_data eval_data --system system1 --beats-checkpoint BEATs.pt

        edge-asd train --resume runs/latest

        torchrun --nproc-per-node 4 -m edge_asd train dev_data --system system3
    """
    import torch

    from edge_asd_export.training.config import read_settings
    from edge_asd_export.training.distributed import local_device, process_group
    from edge_asd_export.training.train_run import new_run, resumed_run, train_all

    torch.set_num_threads(threads or torch.get_num_threads())
    torch.backends.cudnn.deterministic = True
    # TF32 rounds the factors of a front-end's convolution to ten bits: 60 dB, and a log-mel of
    # the device is deeper. The encoders compute in bfloat16 anyway.
    torch.backends.cudnn.allow_tf32 = False
    where = local_device(device)
    overrides = {
        "systems": list(dict.fromkeys(system or [])) or None,
        "seed": seed,
        "folds": folds,
    }
    if beats_checkpoint is not None:
        set_ = [*(set_ or []), f"beats.checkpoint={beats_checkpoint.resolve()}"]
    if resume is not None:
        given = (data, out, beside, takes, config, set_, epochs, batch_size, *overrides.values())
        if any(value is not None for value in given):
            raise UsageError("--resume takes data and settings from the run; give it alone")
        plan = resumed_run(resume.resolve())
    else:
        if not data:
            raise UsageError("no data: 'edge-asd train DATA', or 'edge-asd train --resume RUN'")
        settings = read_settings(
            config, overrides, set_ or [], epochs=epochs, batch_size=batch_size
        )
        plan = new_run(out, settings, data, takes, beside or [])
    with process_group(where) as processes:
        train_all(plan, where, processes)
