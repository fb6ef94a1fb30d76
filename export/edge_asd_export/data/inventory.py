"""An inventory as people read it (a table) and as programs read it (JSON)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from edge_asd.recordings.clip_name import NO_ATTRIBUTE
from edge_asd_export.data.clips import Clip, Inventory, MachineClips
from edge_asd_export.table import Row, Table

__all__ = ["inventory_json", "inventory_table", "takes_table"]

_COLUMNS = {
    "train source/target": (("train", "source", "normal"), ("train", "target", "normal")),
    "test source normal/anomaly": (("test", "source", "normal"), ("test", "source", "anomaly")),
    "test target normal/anomaly": (("test", "target", "normal"), ("test", "target", "anomaly")),
    "test anonymous": (("test", None, None),),
}
_ALL = "all"  # domains


def inventory_table(inventory: Inventory) -> Table:
    """One row per machine: clip length, attribute classes (of train clips), clips of each kind."""
    machines = inventory.machines.values()
    counts = {machine.name: _counts(machine) for machine in machines}
    columns = {
        title: cells
        for title, cells in _COLUMNS.items()
        if any(counts[name][cell] for name in counts for cell in cells)
    }
    rows = [
        Row(
            {
                "machine": machine.name,
                "clip s": f"{_clip_s(machine):g}",
                "attribute classes": str(_n_attribute_classes(machine)),
                **{
                    title: "/".join(str(counts[machine.name][cell]) for cell in cells)
                    for title, cells in columns.items()
                },
            }
        )
        for machine in machines
    ]
    return Table("inventory", "", (rows,), ("machine",))


def takes_table(inventory: Inventory, takes: Mapping[Clip, str]) -> Table:
    """How many takes the training clips are: of each domain, and of all."""
    rows = [
        Row(
            {
                "machine": machine.name,
                "domain": domain,
                "train clips": str(sum(n_clips)),
                "takes": str(len(n_clips)),
                "largest": str(max(n_clips)),
                "least rate heard": f"{100 / (len(n_clips) + 1):.1f} %",
            }
        )
        for machine in inventory.machines.values()
        for domain, n_clips in _take_sizes(machine, takes).items()
    ]
    note = (
        "A take is a continuous recording: clips that share sound, cut from one recording or with "
        "one noise under them, are one take and count once. Normal sound "
        "rarer than the least rate, one in takes + 1, may not have been heard yet: a threshold for "
        "fewer false alarms is extrapolated."
    )
    return Table("takes", "", (rows,), ("machine", "domain"), note)


def inventory_json(inventory: Inventory, takes: Mapping[Clip, str]) -> dict[str, Any]:
    """The tables and the problems as values that `json.dumps` takes."""
    return {
        "machines": {
            machine.name: {
                "clip_s": _clip_s(machine),
                "sample_rate_hz": machine.sample_rate_hz,
                "attribute_classes": _n_attribute_classes(machine),
                "clips": {
                    "_".join(part for part in cell if part): n_clips
                    for cell, n_clips in sorted(_counts(machine).items(), key=str)
                },
                "takes": {
                    domain: len(n_clips) for domain, n_clips in _take_sizes(machine, takes).items()
                },
            }
            for machine in inventory.machines.values()
        },
        "problems": [
            {"path": str(problem.path), "reason": problem.reason} for problem in inventory.problems
        ],
        "findings": [
            {"path": str(one.path), "reason": one.text, "excluded": one.excluded}
            for one in inventory.findings
        ],
        "ignored": [{"path": str(one.path), "reason": one.reason} for one in inventory.ignored],
    }


def _counts(machine: MachineClips) -> Counter[tuple[str, str | None, str | None]]:
    return Counter((clip.split, clip.domain, clip.label) for clip in machine.clips)


def _take_sizes(machine: MachineClips, takes: Mapping[Clip, str]) -> dict[str, list[int]]:
    """Clips of each take, by domain and in all."""
    sizes: dict[str, Counter[str]] = {}
    for clip in machine.train:
        for domain in (clip.domain or "", _ALL):
            sizes.setdefault(domain, Counter())[takes[clip]] += 1
    return {domain: list(sizes[domain].values()) for domain in sorted(sizes)}


def _clip_s(machine: MachineClips) -> float:
    return machine.window_samples / machine.sample_rate_hz


def _n_attribute_classes(machine: MachineClips) -> int:
    """Distinct attribute texts; 0 where the machine has no attributes."""
    return len({clip.attribute_text for clip in machine.train} - {NO_ATTRIBUTE})
