"""``edge-asd export``: from a trained run to a bundle that a device can obey."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_asd.command_line import as_typed
from edge_asd.commands.options import FalseAlarmRate, FalseAlarmsPerMonth

if TYPE_CHECKING:
    from edge_asd_export.calibration.calibration import LabelledClips
    from edge_asd_export.data.clips import Clip, Inventory
    from edge_asd_export.training.run import Run

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Option(help="Run folder of a finished training.")] = Path(
        "runs/latest"
    ),
    out: Annotated[
        Path, typer.Option(help="Bundle folder; an earlier bundle there is replaced.")
    ] = Path("bundles/latest"),
    system: Annotated[
        str | None,
        typer.Option(help="System to make a bundle of.  [default: the first of the run]"),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Training recordings for the memory banks.  [default: those of the run]",
            show_default=False,
        ),
    ] = None,
    quantize: Annotated[
        Literal["int8", "int8-always", "none"],
        typer.Option(
            help="Precision of encoders: `int8` where it is as good and not slower, `int8-always` "
            "wherever a weight can be quantized, `none` for float32."
        ),
    ] = "int8",
    target: Annotated[
        Literal["x86-64", "arm64"], typer.Option(help="Processor family of the device.")
    ] = "x86-64",
    scorer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[EXTRACTOR=]NAME",
            help="How embeddings become scores: `dldn-mean`, `dldn-sum`, `nearest`, `varmin`, "
            "`centres`; for one extractor or for all whose scores the system leaves open.  "
            "[default: dldn-mean]",
        ),
    ] = None,
    window_hop_frames: Annotated[
        int | None,
        typer.Option(min=1, help="Hop of the ResNet's windows.  [default: as trained, 1]"),
    ] = None,
    false_alarms_per_month: FalseAlarmsPerMonth = 1.0,
    false_alarm_rate: FalseAlarmRate = None,
    hop_s: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=86400,
            help="Default hop of the device.  [default: a quarter of the window]",
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Label-free rule of the channel weights (docs/scoring.md).")
    ] = None,
    model_weights: Annotated[
        str | None, typer.Option(help="The same for the weights of several models.")
    ] = None,
    dev_labels: Annotated[
        list[Path] | None,
        typer.Option(
            help="Recordings whose labelled `test` clips choose the weights by grid search; "
            "the bundle records that labels were used.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a bundle: graphs, memory banks, calibration, golden windows.

    Training clips are read and checked as by `train`; those with sound that the monitor would not
    trust are excluded, and named. When one take decides a machine's threshold, that is said, too.

    Front-ends stay float32. Encoders become int8 when that pays: the export measures size,
    embeddings, scores and (on a host of the target's family) speed, keeps float32 where int8
    falls short of the stated tolerance, and says so. Banks and thresholds come from training
    clips, by the very graphs of the bundle. Threshold and confirmation of the alarm are chosen
    together for the false alarms a month that are acceptable; the export says what it promises.
    The bundle appears whole or not at all.

    Examples

        edge-asd export --quantize int8

        edge-asd export --run runs/dev --out bundles/pumps --target arm64

        edge-asd export --false-alarms-per-month 0.2

        edge-asd export --system system1 --scorer nearest --scorer beats=varmin

        edge-asd export --system system3 --window-hop-frames 8

        edge-asd export --dev-labels recordings --out bundles/tuned
    """
    from edge_asd_export.bundling.bundle_writer import write_bundle
    from edge_asd_export.bundling.export_job import (
        DEFAULT_WEIGHT_RULES,
        ExportOptions,
        ExportProgress,
        training_inventory,
    )
    from edge_asd_export.bundling.export_table import print_export
    from edge_asd_export.calibration.channel_weights import require_rule
    from edge_asd_export.progress import progress_bar
    from edge_asd_export.training.run import Run

    chosen = {"channels": weights, "models": model_weights}
    rules = {over: rule or DEFAULT_WEIGHT_RULES[over] for over, rule in chosen.items()}
    for rule in rules.values():
        require_rule(rule)
    opened = Run.open(run.resolve())
    say = partial(typer.echo, err=True)
    with progress_bar("checking clips", transient=True) as advance:
        inventory = training_inventory(opened, data, say=say, progress=advance)
    clips = {name: machine.train for name, machine in inventory.machines.items()}
    takes = _takes(opened, inventory, say)
    labels = _labelled_clips(opened, dev_labels) if dev_labels else None
    options = ExportOptions(
        system=system,
        quantize=quantize,
        target=target,
        scorers=_scorers(scorer or []),
        window_hop_frames=window_hop_frames,
        false_alarms_per_month=false_alarms_per_month,
        false_alarm_rate=false_alarm_rate,
        hop_s=hop_s,
        weight_rules=rules,
    )
    with progress_bar("embedding clips") as advance:
        progress = ExportProgress(say, advance)
        written = write_bundle(opened, clips, out, options, progress, labels, takes)
    print_export(written)
    say(as_typed(f"next, copied to the device: edge-asd check {out}"))


def _scorers(choices: list[str]) -> dict[str, str]:
    """Scorer names by extractor; "" is for all that the system leaves open."""
    return {extractor: name for extractor, _, name in (c.rpartition("=") for c in choices)}


def _takes(run: Run, inventory: Inventory, say: Callable[[str], None]) -> dict[Clip, str]:
    """The takes that the run knows; found where it does not know those of a machine."""
    from edge_asd_export.data.takes import takes_line, takes_of
    from edge_asd_export.progress import progress_bar

    machines = inventory.machines
    takes = run.takes(clip for machine in machines.values() for clip in machine.train)
    unknown = {
        name: machine
        for name, machine in machines.items()
        if not takes.keys() >= set(machine.train)
    }
    if not unknown:
        return takes
    for name, machine in unknown.items() if run.record.takes else ():
        n_new = len(set(machine.train) - takes.keys())
        say(f"{name}: {n_new} of {len(machine.train)} clips are new to the networks")
    with progress_bar("comparing clips", transient=True) as advance:
        takes |= takes_of(unknown, say=say, progress=advance, white=inventory.white)
    say(takes_line(unknown, takes))
    return takes


def _labelled_clips(run: Run, folders: list[Path]) -> LabelledClips:
    from edge_asd_export.calibration.calibration import LabelledClips
    from edge_asd_export.data.clips import scan

    machines = scan(folders, read_samples=False).machines
    clips = {
        name: tuple(clip for clip in machines[name].test if clip.label is not None)
        for name in run.record.machines
        if name in machines
    }
    names = ", ".join(folder.name for folder in folders)
    return LabelledClips(clips, f"labelled test clips of {names}: {sum(map(len, clips.values()))}")
