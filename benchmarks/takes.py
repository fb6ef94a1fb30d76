"""How well and how fast clips that share sound are found.

On cuts made on purpose from long synthetic recordings of every machine, and on recordings::

    python benchmarks/takes.py
    python benchmarks/takes.py --data recordings

A pair of cuts is *hidden* where their places in one recording overlap, or one background lies
under two recordings of the machine. Every second cut is changed: another gain, channels exchanged,
noise added as loud as the sound. Of recordings only training clips are read, no takes file is
read or written; the share of a pair is 0.5 where half of a clip is the same. Seconds are those of
all processors together, decoding included.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

from edge_asd.audio.decode import read_audio
from edge_asd.audio.takes import Audio, SharedSound, joined, most_of, shared_sound, whitened
from edge_asd_export.data.clips import scan
from edge_asd_export.synth.catalogue import MACHINES
from edge_asd_export.synth.machine import Machine
from edge_asd_export.synth.scene import Draws, Scene, render
from edge_asd_export.table import Row, Table, as_rich

RATE_HZ = 16_000
CLIP_S = 10
RECORDING_S = 60
N_RECORDINGS = 4
N_CUTS = 12  # of each recording
# Least and greatest part of a clip that two cuts have in common.
OVERLAPS = {"below 0.1": (0.0, 0.1), "0.1 to 0.3": (0.1, 0.3), "above 0.3": (0.3, 1.0)}
BACKGROUND = "background"
UNRELATED = "unrelated"
FIND_KINDS = (*OVERLAPS, BACKGROUND)


@dataclass(frozen=True, slots=True)
class Cut:
    """A clip, and what of it is hidden elsewhere."""

    audio: Audio
    recording: int
    start: int
    background: tuple[int, int]  # recording that the background is of, and where it begins

    def kind(self, other: Cut) -> str:
        """What the two have in common."""
        parts = {
            what: max(0.0, 1 - abs(a - b) / (CLIP_S * RATE_HZ)) if of == its else 0.0
            for what, (of, a), (its, b) in (
                ("machine", (self.recording, self.start), (other.recording, other.start)),
                (BACKGROUND, self.background, other.background),
            )
        }
        if parts["machine"] == 0:
            return BACKGROUND if parts[BACKGROUND] else UNRELATED
        return next(
            name for name, (low, high) in OVERLAPS.items() if low < parts["machine"] <= high
        )


def cuts_of(machine: Machine, rng: np.random.Generator) -> list[Cut]:
    """Cuts of the long recordings of a machine; the first of each has a foreign background."""
    scenes = [_scene(machine, i) for i in range(N_RECORDINGS)]
    n = CLIP_S * RATE_HZ
    cuts = []
    for i, scene in enumerate(scenes):
        for k, start in enumerate(rng.integers(0, (RECORDING_S - CLIP_S) * RATE_HZ, N_CUTS)):
            of = (i + 1) % N_RECORDINGS if k == 0 else i
            part = slice(start, start + n)
            other = scenes[of]
            audio = (scene.machine + scene.sensors + other.background)[:, part]
            if k % 2:
                audio = 0.3 * audio[::-1]
                audio = audio + audio.std() * rng.standard_normal(audio.shape)
            cuts.append(Cut(audio.astype(np.float32), i, int(start), (of, int(start))))
    return cuts


def _scene(machine: Machine, i: int) -> Scene:
    conditions = machine.source
    draws = Draws(0, (machine.name, "takes", i))
    n_samples = RECORDING_S * RATE_HZ
    return render(machine, conditions[i % len(conditions)], "source", draws, np.zeros(n_samples))


def purposeful_row(machine: Machine, rng: np.random.Generator) -> Row:
    """Pairs found of each kind, on cuts of a synthetic machine."""
    cuts = cuts_of(machine, rng)
    began_s = time.process_time()
    _, shared = shared_sound(whitened([cut.audio], RATE_HZ) for cut in cuts)
    took_s = time.process_time() - began_s
    found = {(pair.first, pair.second) for pair in shared}
    kinds = {pair: cuts[pair[0]].kind(cuts[pair[1]]) for pair in combinations(range(len(cuts)), 2)}
    n_pairs = Counter(kinds.values())
    n_found = Counter(kinds[pair] for pair in found)
    true = sum(n_found[kind] for kind in FIND_KINDS)
    return Row(
        {
            "machine": machine.name,
            **{kind: f"{n_found[kind]}/{n_pairs[kind]}" for kind in (*FIND_KINDS, UNRELATED)},
            "precision": f"{true / max(1, len(found)):.3f}",
            "recall": f"{true / sum(n_pairs[kind] for kind in FIND_KINDS):.3f}",
            "seconds": f"{took_s:.1f}",
        }
    )


def recordings_rows(folders: list[Path]) -> Iterator[Row]:
    """Takes of each machine's training clips."""
    for name, machine in scan(folders, read_samples=False).machines.items():
        clips = machine.train
        began_s = time.process_time()
        n_clips, shared = shared_sound(
            whitened([read_audio(clip.path)[0]], machine.sample_rate_hz) for clip in clips
        )
        took_s = time.process_time() - began_s
        domains = [clip.domain for clip in clips]
        capped = joined(n_clips, shared, parts=domains, most=most_of)
        all_joined = joined(n_clips, shared)
        across = [pair.share for pair in shared if capped[pair.first] != capped[pair.second]]
        yield Row(
            {
                "machine": name,
                "clips": str(n_clips),
                "pairs that share": str(len(shared)),
                "clips that share": f"{_share(n_clips, shared):.0%}",
                "joined without limit": str(len(set(all_joined))),
                "takes": str(len(set(capped))),
                "largest": str(max(Counter(capped).values())),
                "pairs across takes": str(len(across)),
                "their share": f"{np.median(across) if across else 0:.2f}",
                "seconds": f"{took_s:.1f}",
            }
        )


def _share(n_clips: int, shared: Iterable[SharedSound]) -> float:
    return len({i for pair in shared for i in (pair.first, pair.second)}) / n_clips


def speed_row(n_clips: int, rng: np.random.Generator) -> Row:
    """So many unrelated clips of noise."""
    clips = (rng.standard_normal((1, 2, CLIP_S * RATE_HZ), np.float32) for _ in range(n_clips))
    began_s = time.process_time()
    _, shared = shared_sound(whitened(clip, RATE_HZ) for clip in clips)
    took_s = time.process_time() - began_s
    return Row(
        {
            "clips": f"{n_clips}",
            "pairs that share": f"{len(shared)}",
            "seconds": f"{took_s:.1f}",
        }
    )


def _table(title: str, rows: Iterable[Row]) -> Table:
    return Table("takes", title, (list(rows),), ("machine",))


def main(
    data: Annotated[
        list[Path] | None, typer.Option(help="Folder of machine folders; repeatable.")
    ] = None,
    clips: Annotated[int, typer.Option(help="Unrelated clips, to measure the time.")] = 1000,
) -> None:
    """Measure how well and how fast clips that share sound are found."""
    rng = np.random.default_rng(0)
    if data:
        table = _table("training clips", recordings_rows(data))
    else:
        rows = (purposeful_row(machine, rng) for machine in MACHINES.values())
        table = _table("pairs found, of all there are, by what they have in common", rows)
    console = Console(width=110)
    console.print(as_rich(table))
    if not data:
        console.print(as_rich(_table("time", [speed_row(clips, rng)])))


if __name__ == "__main__":
    typer.run(main)
