"""How strong the faults of the synthetic machines are at the near microphone.

    python -m benchmarks.fault_strengths

Two recordings of each machine differ by the fault alone. What the fault adds is their difference;
what it does to the long-term spectrum is the change of third-octave bands, background included.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.signal import welch

from edge_asd.recordings.clip_name import SAMPLE_RATE_HZ
from edge_asd_export.synth.catalogue import MACHINES
from edge_asd_export.synth.dataset import SEVERITIES
from edge_asd_export.synth.machine import Machine
from edge_asd_export.synth.scene import Draws, Scene, render

LENGTH_S = 20.0  # healthy, then faulty
SETTLED_S = 0.2  # of the fault's start are left out
CENTRES_HZ = 50.0 * 2.0 ** (np.arange(22) / 3)  # 50 Hz to 6.4 kHz


def main() -> None:
    """Print a row for each fault."""
    table = Table("machine", "fault", title="strength of faults, dB: subtle / strong")
    table.add_column("difference by machine", justify="right")
    table.add_column("largest change of a band", justify="right")
    for machine in MACHINES.values():
        healthy = rendered(machine, machine.faults[0], 0.0)
        for fault in machine.faults:
            figures = [
                strength(rendered(machine, fault, float(np.mean(severity))), healthy)
                for severity in SEVERITIES.values()
            ]
            added, changed = zip(*figures, strict=True)
            table.add_row(
                *(machine.name, fault),
                " / ".join(f"{value:+.0f}" for value in added),
                " / ".join(f"{value:+.1f}" for value in changed),
            )
    Console().print(table)


def rendered(machine: Machine, fault: str, severity: float) -> Scene:
    """The machine at its first operating point, faulty in the second half."""
    severities = np.zeros(round(LENGTH_S * SAMPLE_RATE_HZ))
    severities[len(severities) // 2 :] = severity
    draws = Draws(0, (machine.name, "strength"))
    return render(machine, machine.source[0], "source", draws, severities, fault=fault)


def strength(faulty: Scene, healthy: Scene) -> tuple[float, float]:
    """Power of the difference by that of the machine, and the largest change of a band, in dB."""
    start = round((LENGTH_S / 2 + SETTLED_S) * SAMPLE_RATE_HZ)
    machine = healthy.machine[0, start:]
    added = decibels(np.mean((faulty.machine[0, start:] - machine) ** 2) / np.mean(machine**2))
    change = decibels(bands(faulty, start) / bands(healthy, start))
    return float(added), float(change[np.abs(change).argmax()])


def bands(scene: Scene, start: int) -> NDArray[np.float64]:
    """Power of everything in third-octave bands."""
    hz, power = welch(scene.recording[0, start:], SAMPLE_RATE_HZ, nperseg=4096)
    edges = CENTRES_HZ[:, None] * 2.0 ** (np.array([-1, 1]) / 6)
    inside = (hz >= edges[:, :1]) & (hz < edges[:, 1:])
    return np.asarray(inside @ power)


def decibels(ratio: NDArray[np.float64] | np.floating) -> NDArray[np.float64]:
    """Of a ratio of powers."""
    return np.asarray(10 * np.log10(ratio))


if __name__ == "__main__":
    main()
