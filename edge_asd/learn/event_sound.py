"""The sound of an alarm, read back from its folder.

Names that come from outside never become paths: an alarm is looked up among the folders
that there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.decode import read_audio
from edge_asd.audio.resample import resampled
from edge_asd.audio.source import Block
from edge_asd.clips.folder import AUDIO_FILE, EVENT_FILE, event_path
from edge_asd.errors import AudioError, StateError
from edge_asd.scoring.stream import WindowDetector
from edge_asd.state.folder import StateFolder, read_json

__all__ = ["EventSound", "find_event", "read_event"]


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """Sound without a gap."""

    start_s: float  # in the stream
    audio: NDArray[np.float32]  # (2, n)


@dataclass(frozen=True, slots=True, eq=False)
class EventSound:
    """What was heard around an alarm, and when it was on; times are those of the stream."""

    alarm_id: str
    machine: str
    sample_rate_hz: int
    stretches: tuple[_Stretch, ...]
    above_from_s: float  # end of the first window of the alarm
    above_to_s: float  # end of the last one

    def windows(self, detector: WindowDetector) -> Iterator[NDArray[np.float32]]:
        """Yield the windows of the alarm that a detector can score, a quarter of one apart.

        The first ends where that of the alarm ended; none spans a gap.
        """
        window_samples, rate_hz = detector.window_samples, detector.sample_rate_hz
        hop_samples = max(1, window_samples // 4)
        for stretch in self.stretches:
            block = Block(0, stretch.audio)
            parts = resampled([block], self.sample_rate_hz, rate_hz)
            audio = np.concatenate([part.audio for part in parts], axis=1)
            first_end = round((self.above_from_s - stretch.start_s) * rate_hz)
            last_end = round((self.above_to_s - stretch.start_s) * rate_hz)
            if first_end < window_samples:  # it began before the stretch
                first_end += hop_samples * -(-(window_samples - first_end) // hop_samples)
            for end in range(first_end, min(last_end, audio.shape[1]) + 1, hop_samples):
                yield audio[:, end - window_samples : end]


def find_event(states: Iterable[StateFolder], event: str) -> tuple[StateFolder, str]:
    """Return whose alarm it is, and its id.

    Parameters
    ----------
    states : where to look
    event : an alarm id, or the path of an alarm's folder in one of these states

    Raises
    ------
    StateError
        When there is no such alarm.
    """
    states = list(states)
    wanted = Path(event).resolve()
    for state in states:
        for folder in _folders(state):
            named = folder == event_path(state.events, event)
            if named or folder.resolve() == wanted:
                return state, _alarm_id(folder)
    known = [folder.name for state in states for folder in _folders(state)]
    raise StateError(
        f"no alarm {event!r} is kept; there are: {', '.join(known[-5:]) or 'none'}"
        + (f" and {len(known) - 5} older ones" if len(known) > 5 else "")
    )


def read_event(state: StateFolder, alarm_id: str) -> EventSound:
    """Read the sound of an alarm.

    Raises
    ------
    StateError
        When its sound was not kept, or its record is damaged.
    """
    folder = event_path(state.events, alarm_id)
    record = read_json(folder / EVENT_FILE)
    try:
        audio, rate_hz = read_audio(folder / AUDIO_FILE)
    except AudioError as error:
        raise StateError(
            f"the sound of {alarm_id} cannot be used: {error}; while its clip is recorded, wait "
            "until some seconds after the alarm has cleared; an old one may have been removed to "
            "make room, see 'clips' in the profile"
        ) from error
    try:
        return _event_sound(record or {}, audio, rate_hz)
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"{folder / EVENT_FILE} is damaged ({error!r})") from error


def _event_sound(record: Mapping[str, Any], audio: NDArray[np.float32], rate_hz: int) -> EventSound:
    alarm, clip, cleared = record["alarm"], record["clip"], record["cleared"]
    start_s = _finite(clip["start_stream_s"])
    stretches = _stretches(audio, rate_hz, start_s, clip["gaps"])
    end_s = stretches[-1].start_s + stretches[-1].audio.shape[1] / rate_hz
    return EventSound(
        str(alarm["alarm_id"]),
        str(alarm["machine"]),
        rate_hz,
        stretches,
        _finite(alarm["above_since_s"]),
        _finite(cleared["stream_time_s"]) if cleared else end_s,
    )


def _stretches(
    audio: NDArray[np.float32], rate_hz: int, start_s: float, gaps: Iterable[Mapping[str, Any]]
) -> tuple[_Stretch, ...]:
    stretches = []
    begin, lost_s = 0, 0.0
    for gap in gaps:
        end = min(max(round(_finite(gap["at_s"]) * rate_hz), begin), audio.shape[1])
        stretches.append(_Stretch(start_s + lost_s + begin / rate_hz, audio[:, begin:end]))
        begin = end
        lost_s += _finite(gap["lost_s"] or 0.0)
    stretches.append(_Stretch(start_s + lost_s + begin / rate_hz, audio[:, begin:]))
    return tuple(stretches)


def _folders(state: StateFolder) -> list[Path]:
    if not state.events.is_dir():
        return []
    return sorted(path for path in state.events.iterdir() if (path / EVENT_FILE).is_file())


def _alarm_id(folder: Path) -> str:
    record = read_json(folder / EVENT_FILE) or {}
    alarm = record.get("alarm")
    if not isinstance(alarm, dict) or not isinstance(alarm.get("alarm_id"), str):
        raise StateError(f"{folder / EVENT_FILE} does not say which alarm it is of")
    return str(alarm["alarm_id"])


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is no time")
    return number
