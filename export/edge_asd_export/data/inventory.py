"""An inventory as people read it (a table) and as programs read it (JSON)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from edge_asd.recordings.clip_name import NO_ATTRIBUTE
from edge_asd_export.data.clips import Inventory, MachineClips
from edge_asd_export.table import Row, Table

__all__ = ["inventory_json", "inventory_table"]

_COLUMNS = {
    "train source/target": (("train", "source", "normal"), ("train", "target", "normal")),
    "test source normal/anomaly": (("test", "source", "normal"), ("test", "source", "anomaly")),
    "test target normal/anomaly": (("test", "target", "normal"), ("test", "target", "anomaly")),
    "test anonymous": (("test", None, None),),
}


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


def inventory_json(inventory: Inventory) -> dict[str, Any]:
    """The table and the problems as values that `json.dumps` takes."""
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
            }
            for machine in inventory.machines.values()
        },
        "problems": [
            {"path": str(problem.path), "reason": problem.reason} for problem in inventory.problems
        ],
    }


def _counts(machine: MachineClips) -> Counter[tuple[str, str | None, str | None]]:
    return Counter((clip.split, clip.domain, clip.label) for clip in machine.clips)


def _clip_s(machine: MachineClips) -> float:
    return machine.window_samples / machine.sample_rate_hz


def _n_attribute_classes(machine: MachineClips) -> int:
    """Distinct attribute texts; 0 where the machine has no attributes."""
    return len({clip.attribute_text for clip in machine.train} - {NO_ATTRIBUTE})
