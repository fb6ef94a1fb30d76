"""The alarm: scores of successive windows -> warned, raised, seen, shelved, cleared.

Pure; time is passed in, in seconds of the stream.

::

              a window above            confirmed, or extreme
    normal -------------------> warning ---------------------> alarm
     ^  ^                          |                            | |
     |  '--------------------------'                       seen | |
     |     none of the last m above                             v |
     |                                               acknowledged |
     |   hold-off over         below clear_threshold     |        |
     '----------------- cleared <------------------------+--------'

    any of these --shelve--> shelved --time over, or unshelve--> as the windows are

* A window is *above* when its score exceeds ``threshold``. A fault is *confirmed* while
  at least ``confirm_n`` of the last ``confirm_m`` windows are above. The alarm is raised
  at the first window above at which the fault has been confirmed for ``min_duration_s``,
  counted from the end of the first of its windows above; with 1 of 1, all windows of
  that time must be above. A score above ``extreme_threshold`` raises at once.
* It is cleared at the first window whose score is below ``clear_threshold``. Scores
  between the two levels change nothing, so a score that hovers does not flap.
* For ``holdoff_s`` after clearing no new alarm is raised, nor while alarms are shelved.
  Shelving closes an alarm that is on. Windows above count all the while, so a fault that
  stays is raised as soon as that is over.
* While a machine is commissioned its policy judges nothing: no window is above, an alarm that
  was on is cleared, and the state is ``commissioning``.
* Audio that is missing breaks a warning, but not an alarm: silence about a fault does
  not end it. A restart is like missing audio.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from edge_asd.alarm.change import Change, Cleared, Raised, Rule, Unshelved, Warned
from edge_asd.alarm.exceedances import Exceedances
from edge_asd.alarm.policy import SAME_TIME_S, AlarmPolicy
from edge_asd.errors import ControlError

__all__ = ["LONGEST_SHELVING_S", "Alarm", "AlarmMemory", "AlarmState", "OpenAlarm"]

AlarmState = Literal[
    "normal", "warning", "alarm", "acknowledged", "shelved", "cleared", "commissioning"
]

LONGEST_SHELVING_S = 30 * 86_400.0
# Whoever asks reads a clock that may be ahead of the stream, which waits to be scored.
_AHEAD_S = 3600.0


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    """An alarm that is on."""

    alarm_id: str
    raised_at_s: float  # negative: before a restart
    max_score: float  # so far, the windows that led to it included
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class AlarmMemory:
    """What survives a restart; times in seconds of the stream."""

    open: OpenAlarm | None = None
    holdoff_until_s: float | None = None
    shelved_until_s: float | None = None
    shelved_for_s: float | None = None  # in all, as somebody asked for it


class Alarm:
    """The state machine; one `update` per window. Thread: one.

    Parameters
    ----------
    name : identifier of an alarm that is raised at a time
    memory : of the alarm before a restart, in seconds of this stream, which begins at 0
    """

    def __init__(
        self,
        policy: AlarmPolicy,
        name: Callable[[float], str],
        memory: AlarmMemory | None = None,
    ) -> None:
        self._policy = policy
        self._name = name
        self.memory = _plausible(memory or AlarmMemory(), policy)
        self._exceedances = Exceedances(policy)
        self._now_s = 0.0
        self._warned = False  # whether the present warning was reported

    @property
    def policy(self) -> AlarmPolicy:
        """What it judges by; a new policy begins anew with what leads to an alarm."""
        return self._policy

    @policy.setter
    def policy(self, policy: AlarmPolicy) -> None:
        self._policy = policy
        self._exceedances = Exceedances(policy)
        self._warned = False

    @property
    def state(self) -> AlarmState:
        """State of the chart above, at the latest time that was passed in."""
        if self.memory.shelved_until_s is not None:
            return "shelved"
        if self.memory.open is not None:
            return "acknowledged" if self.memory.open.acknowledged else "alarm"
        if not self._policy.judges:
            return "commissioning"
        if self._held_off(self._now_s):
            return "cleared"
        return "warning" if self._exceedances.any else "normal"

    @property
    def active(self) -> bool:
        """Whether an alarm is on, acknowledged or not."""
        return self.memory.open is not None

    @property
    def alarm_id(self) -> str | None:
        """Identifier of the alarm that is on."""
        return self.memory.open.alarm_id if self.memory.open else None

    def update(self, time_s: float, score: float) -> tuple[Change, ...]:
        """Take the score of the window that ends at `time_s`; return what changed, in order."""
        expired = self.tick(time_s)
        self._exceedances.add(time_s, score)
        if self.memory.open is not None:
            return expired + self._while_on(self.memory.open, time_s, score)
        rule = self._rule(time_s, score)
        if rule is not None:
            return (*expired, self._raise(time_s, score, rule))
        return expired + self._warning(time_s, score)

    def tick(self, time_s: float) -> tuple[Unshelved, ...]:
        """Let time pass, with or without windows: what expires, expires."""
        self._now_s = max(self._now_s, time_s)
        if not self._held_off(time_s):
            self.memory = replace(self.memory, holdoff_until_s=None)
        until_s = self.memory.shelved_until_s
        if until_s is None or time_s < until_s - SAME_TIME_S:
            return ()
        self.memory = replace(self.memory, shelved_until_s=None, shelved_for_s=None)
        return (Unshelved(time_s),)

    def take_up(self, earlier: AlarmMemory) -> OpenAlarm | None:
        """Go on from a memory that became known late; return the alarm that is over by that."""
        earlier, now = _plausible(earlier, self._policy), self.memory
        goes_on = now.open is None and now.shelved_until_s is None
        self.memory = AlarmMemory(
            earlier.open if goes_on else now.open,
            earlier.holdoff_until_s if now.holdoff_until_s is None else now.holdoff_until_s,
            *(
                (earlier.shelved_until_s, earlier.shelved_for_s)
                if now.shelved_until_s is None
                else (now.shelved_until_s, now.shelved_for_s)
            ),
        )
        return None if goes_on else earlier.open

    def place_again(self, before: AlarmMemory, after: AlarmMemory) -> None:
        """Take over times from before a restart, which a step of the clock has moved.

        What came since the restart stays as it is.

        Parameters
        ----------
        before, after : what was known at the restart, by the clock as it was and as it is
        """
        before, after = _plausible(before, self._policy), _plausible(after, self._policy)
        now = self.memory
        if now.shelved_until_s == before.shelved_until_s:
            now = replace(now, shelved_until_s=after.shelved_until_s)
        if now.holdoff_until_s == before.holdoff_until_s:
            now = replace(now, holdoff_until_s=after.holdoff_until_s)
        if now.open and before.open and after.open and now.open.alarm_id == before.open.alarm_id:
            opened = replace(now.open, raised_at_s=after.open.raised_at_s)
            now = replace(now, open=opened)
        self.memory = now

    def interrupt(self) -> None:
        """Begin anew after a gap: what leads to an alarm must follow it."""
        self._exceedances.forget()
        self._warned = False

    def acknowledge(self) -> str:
        """Note that somebody has seen the alarm; return its identifier.

        Raises
        ------
        ControlError
            When no alarm is on, or it is acknowledged already.
        """
        opened = self.memory.open
        if opened is None:
            raise ControlError("no alarm is on: nothing to acknowledge")
        if opened.acknowledged:
            raise ControlError(f"alarm {opened.alarm_id} is acknowledged already")
        self.memory = replace(self.memory, open=replace(opened, acknowledged=True))
        return opened.alarm_id

    def shelve(self, time_s: float, until_s: float) -> str | None:
        """Raise no alarm until a time; return the identifier of the alarm that this closes.

        Raises
        ------
        ControlError
            When that time has passed, or is more than 30 days ahead.
        """
        if not until_s > time_s:
            raise ControlError("the end of shelving has passed already; name a later time")
        if until_s > time_s + LONGEST_SHELVING_S + _AHEAD_S:
            raise ControlError("alarms can be shelved for at most 30 days; name an earlier time")
        closed = self.alarm_id
        self.memory = replace(
            self.memory, open=None, shelved_until_s=until_s, shelved_for_s=until_s - time_s
        )
        return closed

    def unshelve(self) -> None:
        """Raise alarms again.

        Raises
        ------
        ControlError
            When they are not shelved.
        """
        if self.memory.shelved_until_s is None:
            raise ControlError("alarms are not shelved")
        self.memory = replace(self.memory, shelved_until_s=None, shelved_for_s=None)

    def _held_off(self, time_s: float) -> bool:
        until_s = self.memory.holdoff_until_s
        return until_s is not None and time_s < until_s - SAME_TIME_S

    def _rule(self, time_s: float, score: float) -> Rule | None:
        """Name the rule by which the alarm is raised now."""
        policy, above = self.policy, self._exceedances
        if self.memory.shelved_until_s is not None or self._held_off(time_s):
            return None
        if policy.extreme_threshold is not None and score > policy.extreme_threshold:
            return "extreme"
        due_s = above.since_s + policy.min_duration_s
        if not above.confirmed or time_s < due_s - SAME_TIME_S:
            return None
        return "confirmed" if score > policy.threshold else None

    def _raise(self, time_s: float, score: float, rule: Rule) -> Raised:
        alarm_id = self._name(time_s)
        opened = OpenAlarm(alarm_id, time_s, self._exceedances.max_score)
        self.memory = replace(self.memory, open=opened)
        self._warned = False
        return Raised(time_s, score, alarm_id, self._exceedances.since_s, rule)

    def _while_on(self, opened: OpenAlarm, time_s: float, score: float) -> tuple[Change, ...]:
        opened = replace(opened, max_score=max(opened.max_score, score))
        if not score < self.policy.clear_threshold:
            self.memory = replace(self.memory, open=opened)
            return ()
        holdoff_until_s = time_s + self.policy.holdoff_s
        self.memory = replace(self.memory, open=None, holdoff_until_s=holdoff_until_s)
        self._exceedances.forget()
        duration_s = time_s - opened.raised_at_s
        return (Cleared(time_s, score, opened.alarm_id, duration_s, opened.max_score),)

    def _warning(self, time_s: float, score: float) -> tuple[Change, ...]:
        """Tell of a warning once, at a window above."""
        if self.state != "warning":
            self._warned = False
        elif score > self.policy.threshold and not self._warned:
            self._warned = True
            return (Warned(time_s, score),)
        return ()


def _plausible(memory: AlarmMemory, policy: AlarmPolicy) -> AlarmMemory:
    """Return a memory that silences no longer than was asked for, should a clock be behind."""
    opened = memory.open and replace(memory.open, raised_at_s=min(memory.open.raised_at_s, 0.0))
    return AlarmMemory(
        opened,
        _at_most(memory.holdoff_until_s, policy.holdoff_s),
        _at_most(memory.shelved_until_s, memory.shelved_for_s or LONGEST_SHELVING_S),
        memory.shelved_for_s,
    )


def _at_most(time_s: float | None, latest_s: float) -> float | None:
    return None if time_s is None else min(time_s, latest_s)
