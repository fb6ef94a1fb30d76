"""Captures from a card in a process of its own, and tells what happens as JSON lines.

Arguments: a JSON object with the query, settings of the profile's section ``capture``, the
second of the stream at which to stop, the file for the audio, and constants to replace.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np

from edge_asd.audio.block import Block, Gap
from edge_asd.capture.live_source import LiveSource
from edge_asd.errors import EdgeAsdError
from edge_asd.events.fault import FaultChange
from edge_asd.profile import load_profile


def main(options: dict[str, Any]) -> int:
    for name, value in options["constants"].items():
        place, constant = name.rsplit(".", 1)
        setattr(resolve_name(place), constant, value)
    stop = threading.Event()
    capture = LiveSource(
        options["query"],
        load_profile().capture.model_copy(update=options["settings"]),
        sample_rate_hz=48000,
        report=tell_fault,
        stop=stop,
        root=Path(options["root"]),
    )
    try:
        listen(capture, stop, options)
    except EdgeAsdError as error:
        tell(error=str(error), state=capture.state)
        return error.exit_code
    finally:
        capture.close()
    return 0


def listen(capture: LiveSource, stop: threading.Event, options: dict[str, Any]) -> None:
    blocks: list[Block] = []
    state = ""
    while (item := capture.read()) is not None:
        if capture.state != state:
            state = capture.state
            tell(state=state, name=capture.name)
        if isinstance(item, Gap):
            tell(gap=item.reason, lost_s=item.lost_frames / 48000)
        elif item.n_frames:
            blocks.append(item)
        if item.end_frame >= options["until_s"] * 48000:
            stop.set()
    np.savez(
        options["file"],
        audio=np.concatenate([block.audio for block in blocks], axis=1),
        starts=[block.start_frame for block in blocks],
        lengths=[block.n_frames for block in blocks],
    )
    tell(end=True, drift_ppm=capture.drift_ppm, reopened=capture.reopened)


def tell_fault(change: FaultChange) -> None:
    tell(fault=change.fault.name, active=change.active, detail=change.detail, **change.figures)


def tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
