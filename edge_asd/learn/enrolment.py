"""Learn the normal sound of a machine: banks, fusion and threshold from what was heard.

The networks, the branches, their scorers and weights, and the length of a window are those
of a machine of the bundle that the new one is *like*. A branch that the bundle scores
against class centres, which only training gives, is scored against the windows themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from edge_asd.alarm.promise import FALSE_ALARMS_PER_MONTH, with_promise
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import Domain, Manifest, PromiseSpec, ThresholdSpec
from edge_asd.drift.normal_summary import NormalSummary
from edge_asd.errors import UsageError
from edge_asd.events.event import utc_text
from edge_asd.learn.banks import banks_of, site_banks
from edge_asd.learn.calibration import (
    N_BLOCKS,
    recording_blocks,
    refitted,
    shared_sound,
    window_takes,
)
from edge_asd.learn.learned import Enrolled, Learned, LearnedSound, SiteRecord
from edge_asd.learn.opened_machine import bundle_stamp, require_same_bundle
from edge_asd.learn.recording import HeardSound
from edge_asd.scoring.bank import JoinedBank
from edge_asd.scoring.deciding_take import DecidingTake, deciding_take
from edge_asd.scoring.density import Floats
from edge_asd.scoring.ensemble import ReferenceSet, normalisations
from edge_asd.scoring.fusion import fuse
from edge_asd.scoring.held_out import held_out_scores
from edge_asd.scoring.kinds import ReferenceSpec
from edge_asd.scoring.scorer import window_queries
from edge_asd.scoring.threshold import normal_threshold

__all__ = [
    "LEAST_WINDOWS",
    "SiteGoal",
    "base_for",
    "calibrated",
    "deciding_windows",
    "enrol",
    "like_machine",
    "untouched",
]

# Ten clips are what the target domain has in the challenge; the source needs the sixteen
# neighbours of a density besides those that are held out.
LEAST_WINDOWS: Mapping[Domain, int] = {"source": 20, "target": 10}


@dataclass(frozen=True, slots=True)
class SiteGoal:
    """What the alarm of a machine is to keep."""

    false_alarms_per_month: float = FALSE_ALARMS_PER_MONTH
    false_alarm_rate: float | None = None  # of single windows; None: as these allow


def like_machine(bundle: Bundle, machine: str, like: str | None) -> str:
    """Return the machine of the bundle that an enrolled one is like.

    By default its namesake, otherwise the first one that can be.

    Raises
    ------
    UsageError
        When there is no such machine, or its networks were trained for it alone.
    """
    manifest = bundle.manifest
    if like is None:
        candidates = [machine] if machine in manifest.machines else list(manifest.machines)
        like = next((name for name in candidates if _is_shared(manifest, name)), candidates[0])
    like = bundle.resolve_machine(like)
    if not _is_shared(manifest, like):
        raise UsageError(
            f"bundle {manifest.name!r} scores {like!r} with a network that was trained for it "
            "alone: nothing can be learned on site with it; use a bundle of another system, "
            "such as system5"
        )
    return like


def base_for(
    bundle: Bundle, machine: str, like: str | None, domain: Domain, before: Learned | None
) -> Learned:
    """Return what the sound of a domain is added to.

    A source domain is a new beginning. A target domain is added to what is known: a source
    that was enrolled before, or that of the bundle; false alarms that were taught stay.

    Parameters
    ----------
    like : machine of the bundle; None: see :func:`like_machine`
    before : what was learned until now

    Raises
    ------
    UsageError
        When a target domain has no source to be added to, or nothing can be learned.
    StateError
        When that source was enrolled with another bundle.
    """
    if domain == "target" and before is not None:
        require_same_bundle(bundle, before)
        if like not in (None, before.site.like):
            raise UsageError(
                f"{machine!r} was enrolled like {before.site.like!r}, so --like {like} cannot be "
                "added to it: leave it out"
            )
        return before
    like = like_machine(bundle, machine, like)
    if domain == "target" and machine != like:
        raise UsageError(
            f"{machine!r} has no source domain that a target can be added to: enrol it first "
            "without --domain target"
        )
    return untouched(bundle, machine, like)


def untouched(bundle: Bundle, machine: str, like: str) -> Learned:
    """Return what is known of a machine of which nothing was learned."""
    spec = bundle.manifest.machines[like]
    site = SiteRecord(
        machine=machine,
        created_utc="",
        change="",
        bundle=bundle_stamp(bundle),
        like=like,
        fusion=spec.fusion,
        threshold=spec.threshold,
        promise=spec.promise,
    )
    return Learned(site, {}, ())


def enrol(
    bundle: Bundle,
    base: Learned,
    domain: Domain,
    heard: HeardSound,
    *,
    origin: str,
    utc: datetime,
    goal: SiteGoal | None = None,
) -> Learned:
    """Return what is known of a machine once its normal sound was heard.

    Parameters
    ----------
    base : from :func:`base_for`
    origin : sound card or files that were heard
    utc : when
    goal : of the alarm; None: the rate of windows and the promise of before

    Raises
    ------
    DataError
        When too little was heard.
    """
    kept = {known: sound for known, sound in base.enrolled.items() if known != domain}
    sounds = {**kept, domain: _sound(bundle, replace(base, enrolled=kept), domain, heard)}
    enrolled = Enrolled(
        heard=origin,
        utc=utc_text(utc),
        seconds=round(heard.seconds, 3),
        n_windows=len(heard),
        cancelling=heard.cancelling,
    )
    learned = replace(base, enrolled=sounds).with_site(
        {
            "enrolled": {**base.site.enrolled, domain: enrolled},
            "created_utc": utc_text(utc),
            "change": f"enrolled {heard.seconds / 60:.1f} min of {domain} sound",
            "signal": heard.reference,
        }
    )
    if "source" in sounds:  # the scale of the bundle's own scores is the bundle's
        fusion = refitted(learned.site.fusion, _scores(bundle, learned.untaught))
        learned = learned.with_site({"fusion": fusion})
    # The enrolled windows as the daily ones are compared with them.
    levels_dbfs = np.concatenate([sounds[known].levels_dbfs for known in sorted(sounds)])
    normal = NormalSummary.measure(_fused(bundle, learned.untaught), levels_dbfs)
    return calibrated(bundle, learned.with_site({"normal": normal}), goal)


def calibrated(bundle: Bundle, learned: Learned, goal: SiteGoal | None = None) -> Learned:
    """Return the same with the threshold that fits its references.

    Sound that was taught is no part of the sample, so it cannot raise the threshold: it adds
    references, which can only lower the scores of normal windows. Where they lower some and
    not others, the spread grows; the threshold without them is therefore an upper limit.

    Where the source is the bundle's, the threshold is at least the bundle's: the sample
    knows nothing of the source.

    Parameters
    ----------
    goal : of the alarm; None: the rate of windows and the promise of before
    """
    site = learned.site
    rate, promise = site.threshold.false_alarm_rate, site.promise
    bundled = bundle.manifest.machines[site.like]
    if not learned.enrolled:
        return learned.with_site({"threshold": bundled.threshold, "promise": bundled.promise})
    if goal is not None:
        rate, promise = _chosen(bundle, learned.untaught, goal)
    candidates = [_threshold(bundle, learned.untaught, rate)]
    if learned.taught:
        candidates.append(_threshold(bundle, learned, rate))
    threshold = min(candidates, key=lambda level: level.threshold)
    if "source" not in learned.enrolled and bundled.threshold.threshold > threshold.threshold:
        threshold, promise = bundled.threshold, bundled.promise
    return learned.with_site({"threshold": threshold, "promise": promise})


def deciding_windows(bundle: Bundle, learned: Learned, domain: Domain) -> DecidingTake | None:
    """Return the take of a domain's windows that decides the threshold, if one does."""
    takes, threshold = _takes(learned), learned.site.threshold
    bundled = bundle.manifest.machines[learned.site.like].threshold
    if takes is None or threshold == bundled:
        return None
    scores = _fused(bundle, learned.untaught)
    found = deciding_take(scores, takes, threshold.false_alarm_rate)
    before = sum(len(learned.enrolled[d].levels_dbfs) for d in learned.enrolled if d < domain)
    own = len(learned.enrolled[domain].levels_dbfs)
    if found is None or not before <= found.windows[0] < before + own:
        return None
    return replace(found, windows=found.windows - before)


def _chosen(bundle: Bundle, learned: Learned, goal: SiteGoal) -> tuple[float, PromiseSpec]:
    """The rate of windows above the threshold, and the promise that goes with it."""
    manifest = bundle.manifest
    threshold, promise = with_promise(
        _threshold(bundle, learned, goal.false_alarm_rate or 0.5),
        _fused(bundle, learned),
        _takes(learned),
        window_s=manifest.machines[learned.site.like].window_samples / manifest.sample_rate_hz,
        hop_s=manifest.hop_s,
        false_alarms_per_month=goal.false_alarms_per_month,
        false_alarm_rate=goal.false_alarm_rate,
    )
    return threshold.false_alarm_rate, promise


def _takes(learned: Learned) -> NDArray[np.int64] | None:
    """Take of each window, in the order of their scores; None where one is not known."""
    takes: list[NDArray[np.int64]] = []
    for domain in sorted(learned.enrolled):
        own = learned.enrolled[domain].takes
        if own is None:
            return None
        takes.append(own + sum(int(one.max()) + 1 for one in takes))
    return np.concatenate(takes)


def _fused(bundle: Bundle, learned: Learned) -> Floats:
    return np.asarray(fuse(learned.site.fusion, _scores(bundle, learned)))


def _threshold(bundle: Bundle, learned: Learned, false_alarm_rate: float) -> ThresholdSpec:
    scores, takes = _fused(bundle, learned), _takes(learned)
    n_takes = None if takes is None else len(np.unique(takes))
    n_blocks = min(N_BLOCKS, n_takes or len(scores))
    return normal_threshold(
        scores,
        false_alarm_rate,
        kind=f"windows heard on site, each of {n_blocks} blocks scored by the others",
        n_takes=n_takes,
    )


def _is_shared(manifest: Manifest, machine: str) -> bool:
    outputs = len(manifest.reference_scorers) < len(manifest.branches)
    return not (outputs or manifest.machines[machine].extractors)


def _sound(bundle: Bundle, base: Learned, domain: Domain, heard: HeardSound) -> LearnedSound:
    blocks = recording_blocks(heard.places)
    shared = shared_sound(heard.places, blocks)
    rows, found, held_out = {}, {}, {}
    for name, spec in bundle.manifest.reference_scorers.items():
        members = bundle.manifest.members(base.site.like, name)
        embeddings = heard.embeddings[name]
        # No network was trained with it.
        own = ReferenceSet.known_to_all(window_queries(embeddings, "embeddings", members))
        rows[name], found[name] = own.rows, normalisations({domain: own}, spec)[domain]
        others = site_banks(bundle, base, name, "exact") if domain == "target" else {}
        held_out[name] = held_out_scores(
            {domain: own},
            {domain: blocks},
            spec,
            queries={domain: window_queries(embeddings, spec.average, members)},
            shared={domain: shared},
            others=[bank for of, bank in others.items() if of == "source"],  # it helps to score
        )[domain]
    takes = window_takes(heard.places)
    return LearnedSound(rows, found, heard.spectra, heard.levels_dbfs, held_out, takes)


def _scores(bundle: Bundle, learned: Learned) -> dict[str, Floats]:
    """Normal scores of every enrolled window by branch, both domains together."""
    return {
        name: np.concatenate(
            [_domain_scores(learned, domain, name, spec) for domain in sorted(learned.enrolled)]
        )
        for name, spec in bundle.manifest.reference_scorers.items()
    }


def _domain_scores(learned: Learned, domain: Domain, branch: str, scorer: ReferenceSpec) -> Floats:
    """Held-out scores, lowered by the references that came after the windows were scored."""
    sound = learned.enrolled[domain]
    scores = sound.held_out[branch]
    later = list(learned.taught)
    if domain == "source" and "target" in learned.enrolled:
        later.append(learned.enrolled["target"])
    # What became of the segments of a window is not kept; their own scores are upper limits. So
    # is the lower of two means over members.
    if not later or scorer.average == "scores":
        return scores
    bank = JoinedBank(banks_of(later, branch, scorer.distance))
    return np.minimum(scores, [bank.minima(row).mean() for row in sound.rows[branch]])
