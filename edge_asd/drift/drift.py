"""Reports when the normal sound of a machine has moved since it was enrolled.

Machines wear in, seasons change, somebody moves a microphone: scores rise slowly, no
alarm is wrong, and one day every window is one. A notice in time asks for a new
enrolment. Only sound without a warning or an alarm counts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from edge_asd.audio.level import level_dbfs
from edge_asd.drift.condition_index import NormalTail
from edge_asd.drift.daily_sound import DailySound, Day, Today
from edge_asd.drift.normal_summary import NormalSummary
from edge_asd.events.event import Event, NoticeEvent
from edge_asd.events.moment import Moment
from edge_asd.events.watcher import Watcher
from edge_asd.profile import DriftSettings
from edge_asd.state.writer import Write

if TYPE_CHECKING:
    from edge_asd.learn.opened_machine import OpenedMachine
    from edge_asd.scoring.stream import ScoredWindow

__all__ = ["Drift", "NormalSummary"]

_SAVE_EVERY_S = 900.0  # memory cards wear out; a crash loses so much of the day's summary
_BACK = 0.5  # share of the limits within which normal is where it was


class Drift(Watcher):
    """Compares each whole day of normal sound with the enrolment.

    Parameters
    ----------
    normal : of the enrolment; None: the first whole day stands in for it
    file : where the days are kept; None: nowhere
    write : writes that file
    sample_rate_hz : of the windows
    scored_by : what gives the scores, say the bundle's name and what was learned; scores of
        something else cannot be compared
    tail : of the same scores; None: days get no condition index
    clock : seconds that never run backwards
    """

    def __init__(
        self,
        settings: DriftSettings,
        *,
        normal: NormalSummary | None,
        file: Path | None,
        write: Write | None = None,
        sample_rate_hz: int,
        scored_by: str = "",
        tail: NormalTail | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._file = file
        self._rate_hz = sample_rate_hz
        self._tail = tail
        self._clock = clock
        self._saved_s = clock()
        self._write = write
        self._heard_until_s = 0.0  # of the stream
        self._sound = (DailySound.load_or_set_aside(file) if file else None) or DailySound(
            scored_by=scored_by, enrolled=normal
        )
        self._compare_with(normal, scored_by)

    def _compare_with(self, normal: NormalSummary | None, scored_by: str) -> None:
        """Take the summary of an enrolment; days that were scored otherwise go."""
        if (scored_by, normal) != (self._sound.scored_by, self._sound.enrolled):
            self._sound = DailySound(scored_by=scored_by, enrolled=normal)

    def on_learned(self, opened: OpenedMachine) -> Iterable[Event]:
        """Compare with another enrolment."""
        self._tail = opened.normal_tail
        self._compare_with(opened.normal, opened.scored_by)
        return ()

    def on_gap(self, at: Moment, lost_s: float | None) -> Iterable[Event]:
        """Begin to count sound anew."""
        self._heard_until_s = at.stream_time_s
        return ()

    def on_window(self, at: Moment, window: ScoredWindow, state: str) -> Iterable[Event]:
        """Take a window; at the first one of a day, report whether normal has moved."""
        day = at.time.astimezone(UTC).date().isoformat()
        events: Sequence[Event] = ()
        if self._sound.today and self._sound.today.day != day:
            events = self._end_day(at)
        if state == "normal":
            self._take(at, window, day)
        if self._tail and self._sound.today and math.isfinite(window.result.score):
            self._sound.today.judge(self._tail.rarity(window.result.score))
        if events or self._clock() - self._saved_s >= _SAVE_EVERY_S:
            self._save()
        return events

    def close(self) -> None:
        """Keep what was heard of the day."""
        self._save()

    def _take(self, at: Moment, window: ScoredWindow, day: str) -> None:
        near_dbfs, far_dbfs = level_dbfs(window.audio).tolist()
        values = (window.result.score, near_dbfs, far_dbfs)
        if not all(map(math.isfinite, values)):
            return
        window_s = window.audio.shape[1] / self._rate_hz
        new_s = max(at.stream_time_s - self._heard_until_s, 0.0)
        self._heard_until_s = at.stream_time_s
        self._sound.today = self._sound.today or Today(day=day)
        self._sound.today.add(values, min(new_s, window_s))

    def _end_day(self, at: Moment) -> Sequence[Event]:
        self._sound.end_today(self._tail)
        least_s = 3600 * self._settings.min_hours
        counted = [day for day in self._sound.days if day.heard_s >= least_s]
        if not counted or counted[-1] is not self._sound.days[-1]:
            return ()
        latest = counted[-1]
        normal = self._sound.enrolled or counted[0].normal
        if self._sound.announced and not normal.shifts(latest.normal, share=_BACK):
            self._sound.announced = None
        moved = self._lasting_shifts(normal, counted)
        told = self._sound.announced
        if not moved or (told and not told.shifts(latest.normal)):
            return ()
        self._sound.announced = latest.normal
        since = "enrolment" if self._sound.enrolled else counted[0].day
        return (_notice(at, since, normal, latest, moved),)

    def _lasting_shifts(self, normal: NormalSummary, counted: Sequence[Day]) -> list[str]:
        """What has moved the same way on each of the last days."""
        days = counted[-self._settings.notice_after_days :]
        if len(days) < self._settings.notice_after_days:
            return []
        shifts = [normal.shifts(day.normal) for day in days]
        return [shift for shift in shifts[0] if all(shift in others for others in shifts)]

    def _save(self) -> None:
        self._saved_s = self._clock()
        if self._file is not None and self._write is not None:
            self._write(self._file, self._sound.to_bytes())


def _notice(
    at: Moment, since: str, normal: NormalSummary, day: Day, moved: Sequence[str]
) -> NoticeEvent:
    now = day.normal
    text = (
        f"normal has moved since {since} ({', '.join(moved)}): median score "
        f"{normal.score_median:.3g} -> {now.score_median:.3g} (95 % were below "
        f"{normal.score_p95:.3g}), near {normal.near_dbfs:.0f} -> {now.near_dbfs:.0f} dBFS, far "
        f"{normal.far_dbfs:.0f} -> {now.far_dbfs:.0f} dBFS; enrol again?"
    )
    figures: dict[str, float | int | str] = {"day": day.day, "moved": ", ".join(moved)}
    before = normal.model_dump()
    for name, value in now.model_dump().items():
        figures[name] = round(value, 4)
        figures[f"{name}_before"] = round(before[name], 4)
    if day.condition is not None:
        figures["condition"] = day.condition
    figures["heard_hours"] = round(day.heard_s / 3600, 1)
    return NoticeEvent(**at.facts(), notice="drift", text=text, figures=figures)
