"""Keeps the sound around every alarm: from before its first window until after its last."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_asd.clips.folder import ClipGap
from edge_asd.clips.retention import Retention
from edge_asd.clips.writer import AlarmNote, ClipEnd, ClipSound, ClipStart, EventWriter
from edge_asd.events.event import (
    AlarmAcknowledgedEvent,
    AlarmClearedEvent,
    AlarmRaisedEvent,
    AlarmShelvedEvent,
    Event,
)
from edge_asd.events.fault import Report
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher
from edge_asd.profile import ClipSettings

__all__ = ["ClipRecorder"]

_ONSET_S = 60.0  # from the start of an alarm's first window until it is raised, at most
_MOST_GAPS = 256


class ClipRecorder(Watcher):
    """Writes a folder for every alarm: its JSON and picture at once, the sound as it comes.

    Thread: that of the monitor, which never waits for the disk.

    Parameters
    ----------
    folder : of all events
    report : is given the fault of a full disk. Thread: another than the monitor's.
    """

    def __init__(
        self,
        folder: Path,
        settings: ClipSettings,
        *,
        sample_rate_hz: int,
        report: Report,
    ) -> None:
        self._settings = settings
        self._rate_hz = sample_rate_hz
        heard_s = min(settings.pre_roll_s + _ONSET_S, settings.max_clip_s)
        self._pre_roll = _PreRoll(round(heard_s * sample_rate_hz))
        self._gaps: deque[_Gap] = deque(maxlen=_MOST_GAPS)
        self._clip: _Clip | None = None
        retention = Retention(
            folder, max_bytes=settings.max_bytes, reserve_bytes=settings.reserve_bytes
        )
        self._writer = EventWriter(folder, retention, sample_rate_hz=sample_rate_hz, report=report)

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        end = round(at.stream_time_s * self._rate_hz)
        rounded = np.clip(np.rint(audio.T * 32768.0), -32768, 32767)
        frames = np.nan_to_num(rounded).astype(np.int16)  # a broken driver may deliver no numbers
        self._pre_roll.add(end - len(frames), frames)
        if self._clip:
            self._feed(self._clip, end - len(frames), frames)
        return ()

    def on_gap(self, at: Moment, lost_s: float | None) -> Iterable[Event]:
        lost = None if lost_s is None else round(lost_s * self._rate_hz)
        self._gaps.append(_Gap(round(at.stream_time_s * self._rate_hz), lost))
        return ()

    def on_event(self, event: Event) -> None:
        match event:
            case AlarmRaisedEvent():
                self._begin(event)
            case AlarmAcknowledgedEvent():
                self._writer.put(AlarmNote(event.alarm_id, event))
            case AlarmClearedEvent() | AlarmShelvedEvent() if event.alarm_id:
                self._writer.put(AlarmNote(event.alarm_id, event))
                self._end_soon(event.alarm_id, event.stream_time_s)

    def close(self) -> None:
        self._end()
        self._writer.close()

    def _begin(self, event: AlarmRaisedEvent) -> None:
        self._end()
        most = round(self._settings.max_clip_s * self._rate_hz)
        raised = round(event.stream_time_s * self._rate_hz)
        window_s = event.stream_time_s - event.window_start_s
        wanted_s = event.above_since_s - window_s - self._settings.pre_roll_s
        earliest = max(round(wanted_s * self._rate_hz), raised - most)
        heard = self._pre_roll.since(earliest)
        start = heard[0] if heard else raised
        start_stream_s = start / self._rate_hz
        began = event.time - timedelta(seconds=event.stream_time_s - start_stream_s)
        self._writer.put(ClipStart(event, began, start_stream_s))
        self._clip = clip = _Clip(event.alarm_id, start, start + most)
        if heard:
            _, end, frames = heard
            self._feed(clip, end - len(frames), frames)

    def _feed(self, clip: _Clip, position: int, frames: NDArray[np.int16]) -> None:
        """Write what belongs to the clip; end it when this reaches its end."""
        belongs = frames[: max(clip.end - position, 0)]
        if len(belongs) and not self._writer.put(ClipSound(belongs)):
            self._lose(position, len(belongs))
        clip.fed_until = position + len(frames)
        if clip.fed_until >= clip.end:
            self._end()

    def _lose(self, position: int, n_samples: int) -> None:
        """Remember what the disk was too slow for; what follows it directly is one gap."""
        lost = n_samples
        if self._gaps and self._gaps[-1].end == position and self._gaps[-1].lost is not None:
            lost += self._gaps.pop().lost or 0
        self._gaps.append(_Gap(position + n_samples, lost))

    def _end_soon(self, alarm_id: str, time_s: float) -> None:
        clip = self._clip
        if clip is None or clip.alarm_id != alarm_id:
            return
        clip.end = min(clip.end, round((time_s + self._settings.post_roll_s) * self._rate_hz))
        if clip.fed_until >= clip.end:
            self._end()

    def _end(self) -> None:
        if self._clip is None:
            return
        clip, self._clip = self._clip, None
        gaps, lost = [], 0
        for gap in sorted(self._gaps, key=lambda gap: gap.end):
            if clip.start < gap.end <= clip.end:
                lost += gap.lost or 0
                at_s = (gap.end - lost - clip.start) / self._rate_hz
                lost_s = None if gap.lost is None else gap.lost / self._rate_hz
                gaps.append(ClipGap(at_s=at_s, lost_s=lost_s))
        self._writer.put(ClipEnd(tuple(gaps)))


@dataclass(frozen=True, slots=True)
class _Gap:
    end: int  # sample of the stream where sound goes on
    lost: int | None  # samples


@dataclass(slots=True)
class _Clip:
    alarm_id: str
    start: int  # sample of the stream
    end: int
    fed_until: int = 0


class _PreRoll:
    """The last so many samples of a stream, in the blocks in which they came."""

    def __init__(self, n_samples: int) -> None:
        self._most = n_samples
        self._n = 0
        self._blocks: deque[tuple[int, NDArray[np.int16]]] = deque()

    def add(self, start: int, frames: NDArray[np.int16]) -> None:
        """Append frames (n, 2) that begin at a sample of the stream."""
        self._blocks.append((start, frames))
        self._n += len(frames)
        while len(self._blocks) > 1 and self._n - len(self._blocks[0][1]) >= self._most:
            self._n -= len(self._blocks.popleft()[1])

    def since(self, sample: int) -> tuple[int, int, NDArray[np.int16]] | None:
        """Return sound from a sample of the stream on, without its gaps.

        Returns
        -------
        The first sample, the one after the last, and the frames (n, 2); None: there is none.
        """
        heard = [
            (max(start, sample), frames[max(sample - start, 0) :])
            for start, frames in self._blocks
            if start + len(frames) > sample
        ]
        if not heard:
            return None
        last_start, last = heard[-1]
        joined = np.concatenate([frames for _, frames in heard])
        return heard[0][0], last_start + len(last), joined
