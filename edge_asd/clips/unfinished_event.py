"""The folder of an alarm whose sound is not complete yet."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from edge_asd.clips.folder import (
    AUDIO_FILE,
    EVENT_FILE,
    PICTURE_FILE,
    ClipGap,
    ClipRecord,
    EventRecord,
    RaisedAlarm,
    event_path,
)
from edge_asd.events.event import AlarmRaisedEvent, utc_text
from edge_asd.explain.deviation import Deviation
from edge_asd.state.atomic import flush_to_disk, write_atomically

__all__ = ["NO_ROOM", "PART_FILE", "ClipStart", "UnfinishedEvent"]

NO_ROOM = "no room on the disk"
PART_FILE = f".{AUDIO_FILE}.part"


@dataclass(frozen=True, slots=True, eq=False)
class ClipStart:
    """An alarm was raised; its sound begins at `start`."""

    alarm: AlarmRaisedEvent
    start: datetime  # UTC
    start_stream_s: float

    @property
    def deviation(self) -> Deviation | None:
        """What the picture shows; None: there is none."""
        return self.alarm.explanation.deviation if self.alarm.explanation else None

    def without_picture(self) -> Self:
        """Return the same, but for the levels that a picture shows."""
        if self.alarm.explanation is None:
            return self
        explanation = replace(self.alarm.explanation, deviation=None)
        return replace(self, alarm=replace(self.alarm, explanation=explanation))


class UnfinishedEvent:
    """Writes the record, the picture and the sound of one alarm.

    All methods raise OSError or soundfile.SoundFileError when the disk does not take it.
    """

    def __init__(self, events: Path, begin: ClipStart, rate_hz: int) -> None:
        self.path = event_path(events, begin.alarm.alarm_id)
        self.recording = True
        self._begin = begin
        self._rate_hz = rate_hz
        self._n_frames = 0
        self._file: soundfile.SoundFile | None = None
        self._record = EventRecord(
            alarm=RaisedAlarm.model_validate(begin.alarm.to_dict()),
            clip=ClipRecord(
                sample_rate_hz=rate_hz,
                start=utc_text(begin.start),
                start_stream_s=begin.start_stream_s,
            ),
        )

    def write_record(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self._record.save(self.path / EVENT_FILE)

    def write_picture(self) -> None:
        if self._begin.deviation is None:
            return
        from edge_asd.explain.picture import draw_picture

        alarm = self._begin.alarm
        picture = draw_picture(
            self._begin.deviation,
            title=f"{alarm.machine}   alarm {alarm.alarm_id}   "
            f"score {alarm.score:.2f}, threshold {alarm.threshold:.2f}",
            text=alarm.explanation.text if alarm.explanation else "",
            start=alarm.time - timedelta(seconds=alarm.stream_time_s - alarm.window_start_s),
        )
        write_atomically(self.path / PICTURE_FILE, picture)
        self._update(picture=PICTURE_FILE)

    def write_sound(self, frames: NDArray[np.int16]) -> None:
        with self._dropped_on_failure():
            if self._file is None:
                self._file = soundfile.SoundFile(
                    self.path / PART_FILE, "w", self._rate_hz, 2, subtype="PCM_16", format="FLAC"
                )
            self._file.write(frames)
            self._n_frames += len(frames)

    def cut_short(self, why: str) -> None:
        """Keep the sound so far, and take no more."""
        self._close(f"cut short: {why}" if self._n_frames else f"none: {why}")

    def finish(self, gaps: tuple[ClipGap, ...]) -> None:
        if self.recording:
            self._close("complete" if self._n_frames else "none: no sound arrived")
        seconds = self._n_frames / self._rate_hz
        self._update(gaps=tuple(gap for gap in gaps if gap.at_s <= seconds))

    @contextmanager
    def _dropped_on_failure(self) -> Iterator[None]:
        """Drop the sound when it cannot be written."""
        try:
            yield
        except (OSError, soundfile.SoundFileError):
            if self._file is not None:
                with suppress(soundfile.SoundFileError):
                    self._file.close()
                self._file = None
            (self.path / PART_FILE).unlink(missing_ok=True)
            self._n_frames = 0
            self._close(f"none: {NO_ROOM}")
            raise

    def _close(self, state: str) -> None:
        self.recording = False
        file = None
        if self._file is not None:
            with self._dropped_on_failure():
                self._file.close()
                self._file = None
                part = self.path / PART_FILE
                _require_whole(part, self._n_frames)
                part.replace(self.path / AUDIO_FILE)
            file = AUDIO_FILE
        self._update(file=file, state=state, seconds=self._n_frames / self._rate_hz)

    def _update(self, *, picture: str | None = None, **of_clip: Any) -> None:
        """Change the record on disk, to which notes may have been added since."""
        record = EventRecord.load(self.path / EVENT_FILE) or self._record
        news = {
            "picture": picture or record.picture,
            "clip": record.clip.model_copy(update=of_clip),
        }
        record.model_copy(update=news).save(self.path / EVENT_FILE)


def _require_whole(path: Path, n_frames: int) -> None:
    """Flush the sound and read its end: libsndfile does not report that its last write failed."""
    with soundfile.SoundFile(path) as file:
        file.seek(n_frames - 1)
        n_read = len(file.read(1))
    flush_to_disk(path)
    if n_read != 1:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
