"""A day of sound through the real runtime, with everything going wrong now and then.

    python -m benchmarks.soak --bundle demo/bundle --data demo/recordings --machine synthetic-valve

Sound is real files in simulated time (`simulated_card.py`); the bundle, the capture with
its watchdogs, the monitor, the event folders, the journal and the MQTT broker are real. The
card is unplugged and stalls, the broker goes away, the disk runs full. At the end every
alarm must have reached the broker once and in order, and memory, threads and open files
must not have grown. Needs mosquitto; a disk that runs full also needs root.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.simulated_card import Outage, SimulatedCard, SimulatedTime, openings_between
from benchmarks.simulated_monitor import simulated_monitor
from benchmarks.soak_world import Broker, Subscriber, full_disk, resident_mib, small_disk
from edge_asd.audio.decode import read_audio
from edge_asd.bundle.bundle import Bundle
from edge_asd.events.event import Event, StoppedEvent
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher
from edge_asd.profile import Profile, load_profile
from edge_asd.scoring.detector import Detector

HOUR_S = 3600.0
EVERY_S = 900.0  # between two looks at memory
WARM_UP_S = 4 * HOUR_S  # each disturbance has happened once
DELIVERY_DEADLINE_S = 120.0  # real seconds for what waits at the end
MAX_SLOPE_MB = 1.0  # per ten hours
SPARE_THREADS = 3  # those that open or close the card, or write a clip, come and go
SPARE_FILES = 4
OUTAGE_S = 90.0
DISK_MIB = 64


@dataclass(frozen=True, slots=True)
class Look:
    """What the process holds at one moment."""

    hour: float
    resident_mib: float
    threads: int
    files: int


class Inspector(Watcher):
    """Looks at the process, and makes things go wrong at their time."""

    def __init__(self, broker: Broker, disk: Path | None, progress: Progress, hours: float) -> None:
        self.looks: list[Look] = []
        self.durable: list[str] = []
        self.counts: dict[str, int] = {}
        self._broker = broker
        self._disk = disk
        self._progress = progress
        self._task = progress.add_task("hours", total=hours)
        self._due_s = 0.0

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterator[Event]:
        """Look every quarter of an hour."""
        if at.stream_time_s >= self._due_s:
            self._due_s = at.stream_time_s + EVERY_S
            hour = at.stream_time_s / HOUR_S
            self._progress.update(self._task, completed=hour)
            self._disturb(hour)
            self.looks.append(
                Look(
                    round(hour, 2),
                    resident_mib(),
                    threading.active_count(),
                    len(list(Path("/proc/self/fd").iterdir())),
                )
            )
        return iter(())

    def on_event(self, event: Event) -> None:
        """Keep the ids of what must be delivered."""
        self.counts[event.event] = self.counts.get(event.event, 0) + 1
        if event.durable:
            self.durable.append(event.id)

    def _disturb(self, hour: float) -> None:
        """In every four hours the broker is away for one, and the disk is full for one."""
        self._broker.run(hour % 4 < 1 or hour % 4 >= 2)
        if self._disk:
            full_disk(self._disk, 2.5 <= hour % 4 < 3.5)


def main() -> None:
    """Run, print a table, and fail when something grew or was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="recordings of its machines")
    parser.add_argument("--machine", required=True)
    parser.add_argument("--hours", type=float, default=24.0, help="of sound")
    parser.add_argument("--json", type=Path, help="also write all figures there")
    options = parser.parse_args()
    opened = Bundle.open(options.bundle)
    detector = opened.detector(options.machine)
    day = Day(detector, sorted((options.data / options.machine / "test").iterdir()))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        disk = stack.enter_context(small_disk(folder, DISK_MIB))
        broker = stack.enter_context(closing(Broker(folder)))
        subscriber = stack.enter_context(closing(Subscriber(broker.port, "edge-asd/+/event")))
        progress = stack.enter_context(Progress(console=Console(stderr=True)))
        inspector = Inspector(broker, disk, progress, options.hours)
        begun_s = time.monotonic()
        stopped = listen(opened, day, options, broker, disk or folder, inspector, subscriber)
        real_s = time.monotonic() - begun_s
    figures = summary(inspector, stopped, subscriber.ids, real_s) | {
        "sound": day.describe,
        "broker_outages": broker.outages,
        "disk_ran_full": disk is not None,
    }
    show(figures)
    if options.json:
        everything = figures | {"looks": [asdict(look) for look in inspector.looks]}
        options.json.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    raise SystemExit(0 if figures["passed"] else 1)


class Day:
    """Normal sound with a fault every hour; a second at a time."""

    def __init__(self, detector: Detector, clips: list[Path]) -> None:
        normal, faulty = [], []
        for clip in clips:
            audio = read_audio(clip)[0][:, : detector.window_samples]
            score = detector.score(audio).score
            levels = detector.spec.threshold
            if "_normal_" in clip.name and score < levels.clear_threshold:
                normal.append(audio)
            if "_anomaly_" in clip.name and score > levels.threshold:
                faulty.append(audio)
        if not normal or not faulty:
            raise SystemExit("the bundle tells no normal from faulty clip of this machine")
        self._normal = np.concatenate(normal, axis=1)
        self._faulty = np.concatenate(faulty, axis=1)
        self.describe = f"{len(normal)} normal and {len(faulty)} faulty clips"

    def __call__(self, now_s: float) -> NDArray[np.float32]:
        faulty = 0.5 * HOUR_S <= now_s % HOUR_S < 0.5 * HOUR_S + 60.0
        sound = self._faulty if faulty else self._normal
        start = int(now_s) * SimulatedCard.sample_rate_hz % sound.shape[1]
        audio = np.take(
            sound,
            np.arange(start, start + SimulatedCard.sample_rate_hz),
            axis=1,
            mode="wrap",
        )
        return np.ascontiguousarray(audio)


def listen(
    bundle: Bundle,
    day: Day,
    options: argparse.Namespace,
    broker: Broker,
    root: Path,
    inspector: Inspector,
    subscriber: Subscriber,
) -> StoppedEvent:
    """Monitor a day; the same parts as `edge-asd listen`, in simulated time."""
    clock = SimulatedTime()
    with ExitStack() as stack:
        monitor = simulated_monitor(
            stack,
            clock,
            SimulatedCard(clock, openings_between(_outages(options.hours), clock), day),
            bundle=bundle,
            machine=options.machine,
            root=root / "state",
            profile=_profile(root, broker.port),
            duration_s=options.hours * HOUR_S,
            watchers=[inspector],
        )
        stopped = monitor.run()
        broker.run(True)
        subscriber.wait_for(inspector.durable[-1], DELIVERY_DEADLINE_S)
        return stopped


def summary(
    inspector: Inspector, stopped: StoppedEvent, received: list[str], real_s: float
) -> dict[str, Any]:
    """What happened, and whether it may happen."""
    warm = [look for look in inspector.looks if look.hour * HOUR_S >= WARM_UP_S]
    slope = 0.0
    if len(warm) > 2:
        per_hour = np.polyfit([w.hour for w in warm], [w.resident_mib for w in warm], 1)[0]
        slope = float(per_hour * 10 * 2**20 / 1e6)
    delivered = [event_id for event_id in received if event_id in set(inspector.durable)]
    grown = {
        "threads": max((w.threads for w in warm), default=0) - (warm[0].threads if warm else 0),
        "files": max((w.files for w in warm), default=0) - (warm[0].files if warm else 0),
    }
    return {
        "hours": round(stopped.seconds / HOUR_S, 2),
        "real_s": round(real_s, 1),
        "windows": stopped.windows,
        "skipped_windows": stopped.skipped_windows,
        "alarms": stopped.alarms,
        "gaps": stopped.gaps,
        "lost_s": round(stopped.dropped_frames / SimulatedCard.sample_rate_hz, 1),
        "events": inspector.counts,
        "durable_events": len(inspector.durable),
        "delivered_once_in_order": delivered == inspector.durable,
        "resident_mib": [warm[0].resident_mib, warm[-1].resident_mib] if warm else [],
        "slope_mb_per_10_h": round(slope, 3),
        "more_threads": grown["threads"],
        "more_files": grown["files"],
        "passed": bool(
            delivered == inspector.durable
            and stopped.alarms > 0
            and slope < MAX_SLOPE_MB
            and grown["threads"] <= SPARE_THREADS
            and grown["files"] <= SPARE_FILES
        ),
    }


def show(figures: dict[str, Any]) -> None:
    """Print a table."""
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name.replace("_", " "), str(value))
    Console().print(table)


def _outages(hours: float) -> list[Outage]:
    """Every hour the card is unplugged, or falls silent, for a minute and a half."""
    return [
        Outage(hour * HOUR_S + (600.0 if hour % 2 else 2700.0), OUTAGE_S, unplugged=bool(hour % 2))
        for hour in range(int(hours) + 1)
    ]


def _profile(root: Path, port: int) -> Profile:
    return load_profile().with_values(
        detector={"hop_s": 10.0, "max_hop_s": 10.0},
        # Of the planted faults alone: an alarm a minute, at hundreds of times real time, is more
        # than any disk can write clips of.
        alarm={"min_duration_s": 30.0, "extreme": "off"},
        clips={"max_bytes": 32_000_000, "reserve_bytes": 4_000_000},
        sinks={
            "mqtt": {"host": "127.0.0.1", "port": port},
            "jsonl": {"path": str(root / "events.jsonl"), "max_bytes": 1_000_000},
        },
    )


if __name__ == "__main__":
    main()
