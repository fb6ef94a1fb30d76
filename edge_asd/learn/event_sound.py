"""The sound of an alarm, read back from its folder.

Names that come from outside never become paths: an alarm is looked up among the folders
that there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.decode import read_audio
from edge_asd.audio.resample import resample
from edge_asd.clips.folder import AUDIO_FILE, EVENT_FILE, ClipRecord, EventRecord, event_path
from edge_asd.errors import AudioError, StateError
from edge_asd.scoring.stream import WindowDetector
from edge_asd.state.folder import StateFolder
from edge_asd.state.trust import acting_as_owner, require_regular

__all__ = ["EventSound", "find_event", "read_event"]


@dataclass(frozen=True, slots=True, eq=False)
class _UnbrokenSound:
    """Sound without a gap."""

    start_s: float  # in the stream
    audio: NDArray[np.float32]  # (2, n)


@dataclass(frozen=True, slots=True, eq=False)
class EventSound:
    """What was heard around an alarm, and when it was on; times are those of the stream."""

    alarm_id: str
    machine: str
    sample_rate_hz: int
    stretches: tuple[_UnbrokenSound, ...]
    above_from_s: float  # end of the first window of the alarm
    above_to_s: float  # end of the last one

    def windows(self, detector: WindowDetector) -> Iterator[NDArray[np.float32]]:
        """Yield the windows of the alarm that a detector can score, a quarter of one apart.

        The first ends where that of the alarm ended; none spans a gap.
        """
        window_samples, rate_hz = detector.window_samples, detector.sample_rate_hz
        hop_samples = max(1, window_samples // 4)
        for stretch in self.stretches:
            audio = resample(stretch.audio, self.sample_rate_hz, rate_hz)
            first_end = round((self.above_from_s - stretch.start_s) * rate_hz)
            last_end = round((self.above_to_s - stretch.start_s) * rate_hz)
            if first_end < window_samples:  # it began before the stretch
                first_end += hop_samples * -(-(window_samples - first_end) // hop_samples)
            for end in range(first_end, min(last_end, audio.shape[1]) + 1, hop_samples):
                yield audio[:, end - window_samples : end]

    def clips(self, clip_samples: int, sample_rate_hz: int) -> Iterator[NDArray[np.float32]]:
        """Yield the sound of the alarm in clips (2, clip_samples) that share no sample.

        The first ends where the alarm's first window did, of the last at least half lies
        before the end of the alarm; none spans a gap.
        """
        for stretch in self.stretches:
            audio = resample(stretch.audio, self.sample_rate_hz, sample_rate_hz)
            first_end = round((self.above_from_s - stretch.start_s) * sample_rate_hz)
            last_end = round((self.above_to_s - stretch.start_s) * sample_rate_hz)
            start = max(first_end - clip_samples, 0)
            while start + clip_samples <= audio.shape[1] and 2 * (last_end - start) >= clip_samples:
                yield audio[:, start : start + clip_samples]
                start += clip_samples


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
    known = []
    for state in states:
        with acting_as_owner(state.path):
            for folder in _folders(state):
                named = folder == event_path(state.events, event)
                if named or folder.resolve() == wanted:
                    return state, _alarm_id(folder)
                known.append(folder.name)
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
    with acting_as_owner(state.path):
        record = EventRecord.load(folder / EVENT_FILE)
        if record is None:
            raise StateError(f"{folder} has no {EVENT_FILE}, which says when the alarm was on")
        try:
            require_regular(folder / AUDIO_FILE)
            audio, rate_hz = read_audio(folder / AUDIO_FILE)
        except (AudioError, OSError) as error:
            raise StateError(
                f"the sound of {alarm_id} cannot be used: {error}; while its clip is recorded, "
                "wait until some seconds after the alarm has cleared; an old one may have been "
                "removed to make room, see 'clips' in the profile"
            ) from error
    stretches = _stretches(audio, rate_hz, record.clip)
    end_s = stretches[-1].start_s + stretches[-1].audio.shape[1] / rate_hz
    return EventSound(
        record.alarm.alarm_id,
        record.alarm.machine,
        rate_hz,
        stretches,
        record.alarm.above_since_s,
        record.cleared.stream_time_s if record.cleared else end_s,
    )


def _stretches(
    audio: NDArray[np.float32], rate_hz: int, clip: ClipRecord
) -> tuple[_UnbrokenSound, ...]:
    stretches = []
    begin, start_s = 0, clip.start_stream_s
    for gap in clip.gaps:
        end = min(max(round(gap.at_s * rate_hz), begin), audio.shape[1])
        stretches.append(_UnbrokenSound(start_s + begin / rate_hz, audio[:, begin:end]))
        begin = end
        start_s += gap.lost_s or 0.0
    stretches.append(_UnbrokenSound(start_s + begin / rate_hz, audio[:, begin:]))
    return tuple(stretches)


def _folders(state: StateFolder) -> list[Path]:
    if not state.events.is_dir():
        return []
    return sorted(path for path in state.events.iterdir() if (path / EVENT_FILE).is_file())


def _alarm_id(folder: Path) -> str:
    record = EventRecord.load(folder / EVENT_FILE)
    return record.alarm.alarm_id if record else folder.name
