"""The sound of alarms that were taught as normal, as training clips: the next training knows it.

An alarm is a take of its own, and one that was exported before is not exported twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from edge_asd.bundle.manifest import Domain
from edge_asd.errors import StateError, UsageError
from edge_asd.learn.event_sound import read_event
from edge_asd.learn.store import LearnedStore
from edge_asd.recordings.clip_cutter import why_unusable
from edge_asd.recordings.clip_name import SAMPLE_RATE_HZ
from edge_asd.recordings.training_clips import TrainingClips, training_clips
from edge_asd.state.folder import StateFolder

__all__ = ["ExportedAlarm", "TaughtAlarm", "export_taught", "taught_alarms"]


@dataclass(frozen=True, slots=True)
class TaughtAlarm:
    """An alarm that counts as normal."""

    state: StateFolder  # of its machine
    alarm_id: str


@dataclass(frozen=True, slots=True)
class ExportedAlarm:
    """What became of the sound of a taught alarm."""

    machine: str
    alarm_id: str
    n_new: int = 0  # clips
    n_known: int = 0  # that were there before
    problem: str = ""  # why it gave none, or fewer


def taught_alarms(states: Iterable[StateFolder], wanted: Sequence[str]) -> list[TaughtAlarm]:
    """Return the alarms that are taught now, those `wanted` or all.

    Raises
    ------
    UsageError
        When there is none, or one that is wanted was not taught.
    StateError
        When what was learned is damaged.
    """
    taught = []
    for state in states:
        learned = LearnedStore(state).load()
        taught += [TaughtAlarm(state, one.event) for one in learned.site.taught] if learned else []
    known = [alarm.alarm_id for alarm in taught]
    for alarm_id in wanted:
        if alarm_id not in known:
            raise UsageError(
                f"{alarm_id!r:.150} is not taught; taught: {', '.join(known) or 'none'}"
            )
    if not taught:
        raise UsageError("no alarm is taught: there is nothing to export")
    return [alarm for alarm in taught if not wanted or alarm.alarm_id in wanted]


def export_taught(
    alarms: Sequence[TaughtAlarm],
    root: Path,
    domain: Domain,
    attribute_text: str,
    clip_s: float | None,
    *,
    reserve_bytes: int,
) -> Iterator[ExportedAlarm]:
    """Write clips of alarms below `root`, and yield what became of each, in their order.

    Parameters
    ----------
    alarms : those of a machine one after the other
    domain, attribute_text, clip_s, reserve_bytes : see
        :class:`edge_asd.recordings.training_clips.TrainingClips`

    Raises
    ------
    UsageError, DataError
        When the clips cannot be added to those that are there.
    OutputError
        When the disk is full.
    """
    for machine, own in groupby(alarms, key=lambda alarm: alarm.state.machine):
        with training_clips(root, machine, clip_s, reserve_bytes=reserve_bytes) as clips:
            for alarm in own:
                yield _export(alarm, clips, domain, attribute_text)


def _export(
    alarm: TaughtAlarm, clips: TrainingClips, domain: Domain, attribute_text: str
) -> ExportedAlarm:
    machine, alarm_id = clips.folder.name, alarm.alarm_id
    try:
        sound = read_event(alarm.state, alarm_id)
    except StateError as error:
        return ExportedAlarm(machine, alarm_id, problem=str(error))
    n_new = n_known = 0
    problem = f"its sound is shorter than a clip of {clips.clip_s:g} s"
    for audio in sound.clips(clips.clip_samples, SAMPLE_RATE_HZ):
        why = why_unusable(audio, SAMPLE_RATE_HZ, accept_faults=False)
        if why is not None:
            problem = f"{why[0]} ({why[1]})"
        elif clips.take_of(audio) is not None:
            n_known += 1
        else:
            clips.add(audio, domain, attribute_text, alarm_id)
            n_new += 1
    return ExportedAlarm(machine, alarm_id, n_new, n_known, "" if n_new + n_known else problem)
