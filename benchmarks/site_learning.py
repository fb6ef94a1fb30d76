"""What learning on site is worth, on labelled recordings.

    python benchmarks/site_learning.py --data DATA --known fan=BUNDLE uavC=BUNDLE

Each machine is enrolled from its normal training clips, source first, then target, with a
bundle, best one whose networks never heard the machine. Then, on its test clips:

* threshold: the share of normal clips above it, and of anomalies, for the threshold of the
  site and for the one that `edge-asd export` would have chosen from the same banks;
* teaching: every false alarm is taught alone. The clip is played in a loop; windows that begin
  at quarters of it are taught, windows that begin between them are judged.
"""

from __future__ import annotations

import argparse
import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from edge_asd.audio.decode import read_audio
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import Domain
from edge_asd.learn.enrolment import SiteGoal, base_for, calibrated, enrol
from edge_asd.learn.learned import Learned
from edge_asd.learn.listening import EnrolmentPlan, hear_files
from edge_asd.learn.opened_machine import site_detector
from edge_asd.learn.teaching import teach
from edge_asd.profile import load_profile
from edge_asd.scoring.detector import Detector
from edge_asd.scoring.ensemble import ReferenceSet
from edge_asd.scoring.extractor import Extractor
from edge_asd.scoring.fusion import fuse
from edge_asd.scoring.held_out import MOST_GROUPS, held_out_scores
from edge_asd.scoring.threshold import normal_threshold
from edge_asd_export.data.clips import Clip, MachineClips, scan
from edge_asd_export.evaluation.metrics import machine_metrics

N_TAUGHT = 4  # windows of a clip that are taught, and as many between them that are judged

_Embedded = dict[str, NDArray[np.float32]]  # by branch


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """The test clips of one machine, embedded."""

    clips: list[Clip]
    embedded: list[_Embedded]

    def scores(self, detector: Detector) -> NDArray[np.float64]:
        """Score of every clip."""
        return np.array([detector.score_embeddings(one).score for one in self.embedded])

    @property
    def anomalous(self) -> NDArray[np.bool_]:
        return np.array([clip.label == "anomaly" for clip in self.clips])

    @property
    def target(self) -> NDArray[np.bool_]:
        return np.array([clip.domain == "target" for clip in self.clips])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="labelled data set")
    parser.add_argument("--known", nargs="+", required=True, metavar="MACHINE=BUNDLE")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.01, 0.05, 0.1])
    parser.add_argument("--teach-rate", type=float, default=0.05, help="stated, while teaching")
    options = parser.parse_args()
    logging.getLogger("edge_asd").setLevel(logging.ERROR)
    machines = scan([options.data], read_samples=False).machines
    thresholds, taught = [], []
    for pair in options.known:
        name, _, folder = pair.partition("=")
        bundle = Bundle.open(Path(folder))
        seen = "heard by the networks" if name in bundle.manifest.machines else "unheard"
        label = f"{name} ({seen})"
        enrolled = _enrolled(bundle, name, machines[name])
        extractors = bundle.extractors(enrolled.site.like)
        judged = _judged(site_detector(bundle, enrolled, extractors=extractors), machines[name])
        thresholds += [
            f"| {label} | {line}"
            for line in _thresholds(bundle, enrolled, judged, extractors, options.rates)
        ]
        learned = calibrated(bundle, enrolled, SiteGoal(false_alarm_rate=options.teach_rate))
        taught.append(f"| {label} | {_teaching(bundle, learned, judged, extractors)}")
    print("| machine | AUC | stated | by clip: false alarms | hits | "
          "site: false alarms | hits |\n|---|---|---|---|---|---|---|")  # fmt: skip
    print("\n".join(thresholds))
    print(f"\nTaught one at a time, at a stated rate of {options.teach_rate:.0%}\n")
    print("| machine | false alarms | other windows of them above, before | after | "
          "other false alarms left | anomalies above, before | after, mean | worst |\n"
          "|---|---|---|---|---|---|---|---|")  # fmt: skip
    print("\n".join(taught))


def _enrolled(bundle: Bundle, name: str, machine: MachineClips) -> Learned:
    """The machine as `edge-asd enroll` learns it from the training clips of both domains."""
    learned = None
    domains: tuple[Domain, Domain] = ("source", "target")
    for domain in domains:
        base = base_for(bundle, f"{name} on site", None, domain, learned)
        detector = bundle.detector(base.site.like)
        files = [clip.path for clip in machine.train if clip.domain == domain]
        plan = EnrolmentPlan(detector, load_profile(), domain, None)
        recording, _ = hear_files(plan, files, threading.Event())
        sound = recording.sound(plan.least)
        learned = enrol(bundle, base, domain, sound, origin=name, utc=datetime.now(UTC))
    if learned is None:
        raise SystemExit(f"{name} has no training clips")
    return learned


def _judged(detector: Detector, machine: MachineClips) -> Judged:
    clips = list(machine.test)
    shown = track(clips, f"{machine.name} test", console=Console(stderr=True))
    return Judged(clips, [detector.embeddings(read_audio(clip.path)[0]) for clip in shown])


def _thresholds(
    bundle: Bundle,
    learned: Learned,
    judged: Judged,
    extractors: dict[str, Extractor],
    rates: Iterable[float],
) -> Iterator[str]:
    scores = judged.scores(site_detector(bundle, learned, extractors=extractors))
    metrics = machine_metrics(scores, judged.anomalous, judged.target)
    for rate in rates:
        kind = normal_threshold(_by_clip(bundle, learned), rate, kind="clips")
        site = calibrated(bundle, learned, SiteGoal(false_alarm_rate=rate)).site.threshold
        cells = [_shares(scores, judged, spec.threshold) for spec in (kind, site)]
        yield f"{metrics.auc_all:.2f} | {rate:.0%} | {' | '.join(cells)} |"


def _by_clip(bundle: Bundle, learned: Learned) -> NDArray[np.float64]:
    """Normal scores as `edge-asd export` takes them where every clip is a take of its own."""
    by_branch = {}
    for branch, scorer in bundle.manifest.reference_scorers.items():
        references = {
            domain: ReferenceSet.known_to_all(sound.rows[branch])
            for domain, sound in learned.enrolled.items()
        }
        groups = {domain: np.arange(len(own)) % MOST_GROUPS for domain, own in references.items()}
        left_out = held_out_scores(references, groups, scorer)
        by_branch[branch] = np.concatenate([left_out[d] for d in sorted(left_out)])
    return np.asarray(fuse(learned.site.fusion, by_branch))


def _shares(scores: NDArray[np.float64], judged: Judged, threshold: float) -> str:
    above, anomalous = scores > threshold, judged.anomalous
    return " | ".join(
        f"{above[own].mean():.1%} ({np.count_nonzero(above[own])}/{np.count_nonzero(own)})"
        for own in (~anomalous, anomalous)
    )


def _teaching(
    bundle: Bundle, learned: Learned, judged: Judged, extractors: dict[str, Extractor]
) -> str:
    """Before and after, over all false alarms."""
    detector = site_detector(bundle, learned, extractors=extractors)
    before = judged.scores(detector) > learned.site.threshold.threshold
    false_alarms = np.flatnonzero(before & ~judged.anomalous)
    other = dict.fromkeys(("before", "after", "windows"), 0)
    left, hits = [], []
    for i in track(false_alarms, "teaching", console=Console(stderr=True)):
        looped = _loop(read_audio(judged.clips[i].path)[0])
        after = teach(bundle, learned, detector, str(i), looped[::2], datetime.now(UTC))
        taught = site_detector(bundle, after, extractors=extractors)
        for window in looped[1::2]:
            other["windows"] += 1
            other["before"] += detector.score(window).score > learned.site.threshold.threshold
            other["after"] += taught.score(window).score > after.site.threshold.threshold
        above = judged.scores(taught) > after.site.threshold.threshold
        left.append(np.count_nonzero(above[np.setdiff1d(false_alarms, i)]))
        hits.append(np.count_nonzero(above & judged.anomalous))
    n_anomalies = np.count_nonzero(judged.anomalous)
    n_hits = np.count_nonzero(before & judged.anomalous)
    n_normal = np.count_nonzero(~judged.anomalous)
    if not len(false_alarms):
        return f"0 of {n_normal} | - | - | - | {n_hits} of {n_anomalies} | - | - |"
    return (
        f"{len(false_alarms)} of {n_normal} | "
        f"{other['before']} of {other['windows']} | {other['after']} | "
        f"{np.mean(left):.1f} of {len(false_alarms) - 1} | {n_hits} of {n_anomalies} | "
        f"{np.mean(hits):.1f} | {min(hits)} |"
    )


def _loop(audio: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Windows of a clip that is played again and again, by where they begin."""
    step = audio.shape[1] // (2 * N_TAUGHT)
    return [np.roll(audio, -i * step, axis=1) for i in range(2 * N_TAUGHT)]


if __name__ == "__main__":
    main()
