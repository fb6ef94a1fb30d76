"""`edge-asd synth`: synthetic recordings with known faults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edge_asd.errors import UsageError

__all__ = ["synth"]

_STREAM = "One long recording instead of a data set"


def synth(
    out: Annotated[
        Path | None, typer.Argument(metavar="OUT", help="New folder for the data set.")
    ] = None,
    machines: Annotated[
        str, typer.Option(help="Machines, separated by commas.")
    ] = "fan,gearbox,bearing,valve,slider",
    clips_train_source: Annotated[
        int, typer.Option(help="Normal training clips in the source domain.")
    ] = 100,
    clips_train_target: Annotated[
        int,
        typer.Option(help="Normal training clips in the target domain; 0 for no such domain."),
    ] = 10,
    clips_test: Annotated[
        int, typer.Option(help="Test clips for each of normal and anomaly in each domain.")
    ] = 20,
    clip_s: Annotated[float, typer.Option(help="Length of a clip in seconds.")] = 10.0,
    fault_level: Annotated[
        Literal["subtle", "strong", "both"], typer.Option(help="How pronounced the faults are.")
    ] = "both",
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    gain_jitter_db: Annotated[
        float,
        typer.Option(min=0, help="Gain of each recording, plus or minus; 0: as at one site."),
    ] = 6.0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace machine folders and files in OUT.")
    ] = False,
    stream: Annotated[
        Path | None,
        typer.Option(metavar="FILE.wav", help="Write this recording.", rich_help_panel=_STREAM),
    ] = None,
    machine: Annotated[str, typer.Option(help="What runs.", rich_help_panel=_STREAM)] = "fan",
    fault: Annotated[
        str | None,
        typer.Option(help="What breaks; the machine's first if absent.", rich_help_panel=_STREAM),
    ] = None,
    normal_s: Annotated[
        float,
        typer.Option(help="Seconds before, and again after, the fault.", rich_help_panel=_STREAM),
    ] = 30.0,
    fault_s: Annotated[
        float, typer.Option(help="Seconds of the fault.", rich_help_panel=_STREAM)
    ] = 20.0,
    rate: Annotated[
        int, typer.Option(help="Sample rate in Hz, 16000 or more.", rich_help_panel=_STREAM)
    ] = 16_000,
) -> None:
    """Make synthetic recordings of machines with known faults.

    They show that the whole path works; they say nothing about real machines. Two microphones
    (near, far), 16 kHz, 16-bit WAV, in the layout and naming of the DCASE challenge.

    Machines: fan, gearbox, bearing, valve, slider; their folders, and with them everything that is
    made from them, are called synthetic-fan and so on. A data set appears complete or not at all.
    With `--stream` it writes one unbroken recording that is normal, then faulty, then normal
    again, and prints when the fault starts and ends.

    Examples

    `edge-asd synth synthetic`

    `edge-asd synth small --machines fan,valve --clips-train-source 30 --clip-s 4`

    `edge-asd synth --stream demo.wav --machine fan --fault rubbing --rate 48000`
    """
    if (out is None) == (stream is None):
        raise UsageError("give either a folder for a data set or --stream FILE.wav for a recording")
    from edge_asd_export.progress import progress_bar
    from edge_asd_export.synth.dataset import DataSetSettings, FaultLevel, synthesize

    levels: tuple[FaultLevel, ...] = (
        ("subtle", "strong") if fault_level == "both" else (fault_level,)
    )
    if out:
        settings = DataSetSettings(
            clips_train_source,
            clips_train_target,
            clips_test,
            clip_s,
            seed,
            gain_jitter_db,
            fault_levels=levels,
        )
        names = list(dict.fromkeys(name.strip() for name in machines.split(",")))
        with progress_bar("synthesizing", transient=True) as advance:
            synthesize(out, names, settings, force=force, progress=advance)
        n_clips = len(names) * settings.n_clips
        typer.echo(f"{out}: {n_clips} synthetic clips of {', '.join(names)}")
    elif stream:
        from edge_asd_export.synth.catalogue import find_fault, find_machine
        from edge_asd_export.synth.stream import render_stream, write_stream

        kind = find_machine(machine)
        recording = render_stream(
            kind,
            find_fault(kind, fault),
            normal_s=normal_s,
            fault_s=fault_s,
            level=levels[-1],
            seed=seed,
            sample_rate_hz=rate,
            gain_jitter_db=gain_jitter_db,
        )
        write_stream(stream, recording, force=force)
        typer.echo(
            f"{stream}: synthetic {machine}, fault {recording.fault} from "
            f"{recording.fault_start_s:g} s to {recording.fault_end_s:g} s of "
            f"{recording.length_s:g} s"
        )
