"""Teach the sound of a false alarm as normal, and take it back.

The windows that were above the threshold become references of the target domain. The
windows of one alarm are near-duplicates of each other, and a density measured among them
would be tiny: they would accept themselves and nothing else. So a taught window gets the
score normalisation of a typical normal one. No reference that was there before is changed;
teaching makes nothing sound more anomalous than it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.level import level_dbfs
from edge_asd.bundle.bundle import Bundle
from edge_asd.errors import StateError, UsageError
from edge_asd.events.event import utc_text
from edge_asd.explain.normal_spectra import measure_spectra
from edge_asd.learn.banks import site_banks
from edge_asd.learn.enrolment import calibrated
from edge_asd.learn.learned import Learned, LearnedSound, Taught
from edge_asd.scoring.bank import ScoreNormalisation
from edge_asd.scoring.detector import Detector
from edge_asd.scoring.scorer import window_queries

__all__ = ["MOST_WINDOWS", "forget", "teach", "teachable"]

MOST_WINDOWS = 64  # of one alarm: more are more of the same

_Window = NDArray[np.float32]  # (2, window_samples)


def teachable(detector: Detector, windows: Iterable[_Window]) -> list[_Window]:
    """Return the windows that keep an alarm on, thinned out evenly when there are many.

    Raises
    ------
    StateError
        When there is none: what judges now finds nothing wrong with the sound.
    """
    level = detector.spec.threshold.clear_threshold
    loud = [window for window in windows if detector.score(window).score > level]
    if not loud:
        raise StateError(
            f"no window of the alarm scores above {level:.3g}, below which an alarm clears: it is "
            "normal already, and there is nothing to teach"
        )
    chosen = np.linspace(0, len(loud) - 1, min(len(loud), MOST_WINDOWS)).round().astype(int)
    return [loud[i] for i in chosen]


def teach(
    bundle: Bundle,
    before: Learned,
    detector: Detector,
    event: str,
    windows: Sequence[_Window],
    utc: datetime,
) -> Learned:
    """Return what is known once the windows of an alarm count as normal.

    Parameters
    ----------
    detector : embeds the windows
    event : alarm id
    windows : from :func:`teachable`

    Raises
    ------
    UsageError
        When the machine is scored without references, or the alarm was taught before.
    """
    site = before.site
    scorers = bundle.manifest.reference_scorers
    if len(scorers) < len(bundle.manifest.branches):
        raise UsageError(
            f"bundle {bundle.manifest.name!r} scores {site.machine!r} by what its network puts "
            "out, without references: nothing can be taught to it"
        )
    if any(one.event == event for one in site.taught):
        raise UsageError(f"{event} was taught before; 'edge-asd forget {event}' takes it back")
    embedded = [detector.embeddings(window) for window in windows]
    rows = {
        name: window_queries(
            np.stack([one[name] for one in embedded]),
            "embeddings",
            bundle.manifest.members(site.like, name),
        )
        for name in embedded[0]
    }
    normalisations = {}
    for name in scorers:
        banks = site_banks(bundle, before.untaught, name).values()
        known = ScoreNormalisation.joined([bank.normalisation for bank in banks])
        normalisations[name] = known.typical(len(windows))
    sound = LearnedSound(
        rows,
        normalisations,
        measure_spectra(windows, detector.sample_rate_hz),
        np.stack([level_dbfs(window) for window in windows]),
        held_out={},
    )
    taught = Taught(event=event, utc=utc_text(utc), n_windows=len(windows))
    changes = {
        "taught": (*site.taught, taught),
        "created_utc": utc_text(utc),
        "change": f"taught {event}",
    }
    learned = replace(before, taught=(*before.taught, sound)).with_site(changes)
    return calibrated(bundle, learned)


def forget(bundle: Bundle, before: Learned, events: Sequence[str], utc: datetime) -> Learned:
    """Return what is known without some alarms.

    Raises
    ------
    UsageError
        When one of them was not taught.
    """
    site = before.site
    known = [one.event for one in site.taught]
    for event in events:
        if event not in known:
            raise UsageError(
                f"{event} was not taught to {site.machine!r}; taught: {', '.join(known) or 'none'}"
            )
    kept = [i for i, event in enumerate(known) if event not in events]
    changes = {
        "taught": tuple(site.taught[i] for i in kept),
        "created_utc": utc_text(utc),
        "change": f"forgot {', '.join(events)}",
    }
    learned = replace(before, taught=tuple(before.taught[i] for i in kept)).with_site(changes)
    return calibrated(bundle, learned)
