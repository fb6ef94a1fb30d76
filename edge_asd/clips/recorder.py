"""Keeps the sound around every alarm: from before its first window until after its last."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.decode import float32_to_pcm16
from edge_asd.clips.folder import ClipGap
from edge_asd.clips.retention import Retention
from edge_asd.clips.writer import AlarmNote, ClipEnd, ClipSound, ClipStart, EventWriter
from edge_asd.events.disk_watcher import DiskWatcher
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
    report : is given the fault of a disk that is full or hangs
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
        self._most_heard = round(heard_s * sample_rate_hz)
        # The latest blocks: the sample of the stream after each, and its frames (n, 2).
        self._heard: deque[tuple[int, NDArray[np.int16]]] = deque()
        self._gaps: deque[_Gap] = deque(maxlen=_MOST_GAPS)
        self._clip: _Clip | None = None
        retention = Retention(
            folder, max_bytes=settings.max_bytes, reserve_bytes=settings.reserve_bytes
        )
        self._writer = EventWriter(folder, retention, sample_rate_hz=sample_rate_hz)
        self._disk = DiskWatcher(report, "events", lambda: self._writer.problem)

    def on_block(self, at: Moment, audio: NDArray[np.float32]) -> Iterable[Event]:
        end = round(at.stream_time_s * self._rate_hz)
        frames = float32_to_pcm16(audio)
        self._heard.append((end, frames))
        while self._heard[0][0] <= end - self._most_heard:
            self._heard.popleft()
        if self._clip:
            self._feed(self._clip, end, frames)
        return ()

    def on_gap(self, at: Moment, lost_s: float | None) -> Iterable[Event]:
        lost = None if lost_s is None else round(lost_s * self._rate_hz)
        self._gaps.append(_Gap(round(at.stream_time_s * self._rate_hz), lost))
        return ()

    def on_tick(self, at: Moment) -> Iterable[Event]:
        return self._disk.on_tick(at)

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
        heard = [
            (end, frames[-(end - earliest) :]) for end, frames in self._heard if end > earliest
        ]
        start = heard[0][0] - len(heard[0][1]) if heard else raised
        start_stream_s = start / self._rate_hz
        began = event.time - timedelta(seconds=event.stream_time_s - start_stream_s)
        self._writer.put(ClipStart(event, began, start_stream_s))
        self._clip = clip = _Clip(event.alarm_id, start, start + most)
        if heard:
            self._feed(clip, heard[-1][0], np.concatenate([frames for _, frames in heard]))

    def _feed(self, clip: _Clip, end: int, frames: NDArray[np.int16]) -> None:
        """Write what belongs to the clip; end it when this reaches its end."""
        position = end - len(frames)
        belongs = frames[: max(clip.end - position, 0)]
        if len(belongs) and not self._writer.put(ClipSound(belongs)):
            self._lose(position, len(belongs))
        if end >= clip.end:
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
        if self._heard and self._heard[-1][0] >= clip.end:
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
