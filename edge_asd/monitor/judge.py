"""What tells normal from abnormal: detector, levels and patience, as the profile wants them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edge_asd.alarm.policy import AlarmPolicy, policy_for
from edge_asd.alarm.promise import extreme_level, kept_on_device, sentence
from edge_asd.bundle.manifest import PromiseSpec, ThresholdSpec
from edge_asd.errors import ProfileError
from edge_asd.explain.explainer import Explainer
from edge_asd.explain.explanation import Explanation
from edge_asd.learn.opened_machine import OpenedMachine
from edge_asd.profile import AlarmSettings, DetectorSettings
from edge_asd.scoring.detector import Detector

if TYPE_CHECKING:
    from edge_asd.scoring.detector import WindowScore

__all__ = ["Judge", "judge_of", "wanted_hop_s"]


@dataclass(frozen=True, slots=True)
class Judge:
    """What tells normal from abnormal; replaced as a whole by what is learned on site."""

    opened: OpenedMachine
    policy: AlarmPolicy
    explain: Callable[[NDArray[np.float32], WindowScore], Explanation | None]
    promise: str | None = None  # of the policy, in words; None: nothing is promised
    # The policy and the promise at another hop; None: the policy is for every hop.
    at_hop: Callable[[float], tuple[AlarmPolicy, str]] | None = None


def wanted_hop_s(settings: DetectorSettings, detector: Detector) -> float:
    """Return the hop that a profile asks for, in whole samples."""
    rate_hz = detector.sample_rate_hz
    hop_s = detector.hop_s if settings.hop_s == "bundle" else settings.hop_s
    return max(1, round(hop_s * rate_hz)) / rate_hz


def judge_of(opened: OpenedMachine, alarm: AlarmSettings, hop_s: float) -> Judge:
    """Return what tells normal from abnormal as a profile wants it, at a hop.

    Raises
    ------
    ProfileError
        When the profile wants a promise that nobody made.
    """
    detector = opened.detector
    if opened.commissioning:
        return Judge(opened, AlarmPolicy.listening(), lambda _audio, _score: None)
    window_s = detector.window_samples / detector.sample_rate_hz
    levels, promise = detector.spec.threshold, detector.spec.promise
    explain = Explainer(detector, opened.spectra).explain
    if promise is None:
        if alarm.false_alarms_per_month != "bundle":
            raise ProfileError(
                f"alarm.false_alarms_per_month is {alarm.false_alarms_per_month:g}, but "
                f"{opened.scored_by!r} promises nothing for {detector.machine!r}: export the "
                "bundle again, enrol the machine again, or leave it out"
            )
        policy = policy_for(
            alarm,
            threshold=levels.threshold,
            clear_threshold=levels.clear_threshold,
            window_s=window_s,
            hop_s=hop_s,
        )
        return Judge(opened, policy, explain)
    at_hop = partial(_promised_policy, levels, promise, alarm, window_s)
    policy, said = at_hop(hop_s)
    return Judge(opened, policy, explain, said, at_hop)


def _promised_policy(
    levels: ThresholdSpec,
    promise: PromiseSpec,
    alarm: AlarmSettings,
    window_s: float,
    hop_s: float,
) -> tuple[AlarmPolicy, str]:
    """The policy that keeps a promise at a hop, and the promise in words."""
    levels, promise = kept_on_device(levels, promise, alarm, window_s=window_s, hop_s=hop_s)
    policy = policy_for(
        alarm,
        threshold=levels.threshold,
        clear_threshold=levels.clear_threshold,
        window_s=window_s,
        hop_s=hop_s,
        confirm=(promise.confirm_n, promise.confirm_m),
        least_extreme=extreme_level(levels, promise),
    )
    return policy, sentence(levels, promise)
