"""Why a score is high: which branch, and where the sound deviates from its nearest normal."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from statistics import NormalDist
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_asd.audio.block import CHANNELS
from edge_asd.audio.view import VIEWS
from edge_asd.bundle.manifest import Domain, FusionSpec, MachineSpec
from edge_asd.bundle.system import Branch
from edge_asd.errors import EdgeAsdError
from edge_asd.explain.deviation import Deviation, NormalLevels, Region, find_deviation
from edge_asd.explain.explanation import Explanation
from edge_asd.explain.normal_spectra import NormalSpectra
from edge_asd.scoring.fusion import fuse
from edge_asd.scoring.scorer import Neighbour
from edge_asd.signal.cancelling_gain import CancellingGain

if TYPE_CHECKING:
    from edge_asd.scoring.detector import WindowScore

__all__ = ["N_NEIGHBOURS", "Explainer"]

N_NEIGHBOURS = 8  # enough for a spread, few enough to be of one operating state

_log = logging.getLogger(__name__)


class _Detector(Protocol):
    @property
    def spec(self) -> MachineSpec: ...
    @property
    def sample_rate_hz(self) -> int: ...
    def n_references(self, branch: str) -> dict[Domain, int]: ...
    def neighbours(
        self, branch: str, audio: NDArray[np.float32], k: int
    ) -> tuple[Neighbour, ...]: ...


class Explainer:
    """Explains scores of one machine.

    Thread: that of the monitor.

    Parameters
    ----------
    detector : gave the scores
    spectra : of its references; None if nothing is known of them
    """

    def __init__(self, detector: _Detector, spectra: NormalSpectra | None) -> None:
        self.use(detector, spectra)

    def use(self, detector: _Detector, spectra: NormalSpectra | None) -> None:
        """Explain the scores of another detector from now on."""
        self._detector = detector
        self._spectra = spectra
        self._ranges = _ranges(spectra.scores if spectra else {})

    def explain(self, audio: NDArray[np.float32], result: WindowScore) -> Explanation | None:
        """Explain the score of a window (2, window_samples); None, with a warning, if it fails."""
        try:
            return self._explained(audio, result)
        except EdgeAsdError as error:  # an alarm without an explanation is still an alarm
            _log.warning("cannot explain an alarm: %s", error)
            return None

    def _explained(self, audio: NDArray[np.float32], result: WindowScore) -> Explanation:
        excess = {
            branch: self._ranges[branch].zscore(score)
            for branch, score in result.branches.items()
            if branch in self._ranges
        }
        branch = self._furthest(result, excess)
        normal = self._normal(branch, audio)
        deviation = find_deviation(
            audio, self._detector.sample_rate_hz, normal, _channels_of(branch)
        )
        region = deviation.region
        gain = _cancelling(result, audio)
        said = [_branch_text(branch, excess), _region_text(region, normal)]
        return Explanation(
            text="; ".join([*said, gain.text] if gain else said),
            branch=branch,
            times_threshold=self._times_threshold(result.score),
            branch_excess=excess,
            n_neighbours=normal.n_windows if normal else 0,
            deviation=_with_view(deviation, branch, audio),
            background_cancelled_db=gain.background_db if gain else None,
            machine_cancelled_db=gain.machine_db if gain else None,
            **(asdict(region) if region else {}),
        )

    def _furthest(self, result: WindowScore, excess: Mapping[str, float]) -> str:
        """The branch furthest above normal; where normal is unknown, that which adds most."""
        far: Mapping[str, float] = excess
        if excess.keys() != result.branches.keys():
            far = _shares(self._detector.spec.fusion, result.branches)
        return max(far, key=lambda branch: far[branch])

    def _normal(self, branch: str, audio: NDArray[np.float32]) -> NormalLevels | None:
        """Levels of the nearest references, or of all where a bank holds something else."""
        domains = self._spectra.domains if self._spectra else {}
        if not domains:
            return None
        nearest = self._detector.n_references(branch) == {d: len(domains[d]) for d in domains}
        if nearest:
            near = self._detector.neighbours(branch, audio, N_NEIGHBOURS)
            chosen = [(domains[one.domain], one.row) for one in near]
        else:
            chosen = [(own, row) for own in domains.values() for row in range(len(own))]
        means = np.array([own.mean_db[row] for own, row in chosen], np.float32)
        spreads = np.array([own.spread_db[row] for own, row in chosen], np.float32)
        # Over time within a window, and from window to window.
        spread = np.hypot(np.median(spreads, axis=0), means.std(axis=0))
        return NormalLevels(np.median(means, axis=0), spread, len(chosen), nearest)

    def _times_threshold(self, score: float) -> float | None:
        spec = self._detector.spec
        normal = 0.0
        if spec.fusion.branches() <= self._ranges.keys():
            normal = fuse(spec.fusion, {branch: own.mean for branch, own in self._ranges.items()})
        above = spec.threshold.threshold - normal
        return (score - normal) / above if above > 0 else None


def _ranges(scores: Mapping[str, NDArray[np.float32]]) -> dict[str, NormalDist]:
    """Scores that each branch gives to normal windows, where there are enough for a spread."""
    ranges = {
        branch: NormalDist.from_samples(own.tolist())
        for branch, own in scores.items()
        if len(own) >= 2
    }
    return {branch: own for branch, own in ranges.items() if own.stdev > 0}


def _channels_of(branch: str) -> tuple[str, ...]:
    """The channels in which a branch can have heard something."""
    view = Branch.parse(branch).view
    if view == "clean":  # is what is left of near
        return ("near",)
    return (view,) if view in CHANNELS else CHANNELS


def _with_view(deviation: Deviation, branch: str, audio: NDArray[np.float32]) -> Deviation:
    """Add what a branch was given, where that is one channel computed of both."""
    view = VIEWS[Branch.parse(branch).view]
    if view.n_channels > 1 or view.name in CHANNELS:
        return deviation
    return deviation.beside(view.name, view.apply(audio))


def _cancelling(result: WindowScore, audio: NDArray[np.float32]) -> CancellingGain | None:
    """What cancelling does to a window; None when no branch hears the result."""
    views = {Branch.parse(name).view for name in result.branches}
    return CancellingGain.measure(audio) if "clean" in views else None


def _shares(fusion: FusionSpec, scores: Mapping[str, float]) -> dict[str, float]:
    """What each branch adds to the fused score."""
    shares: dict[str, float] = {}
    for term in fusion.terms:
        scale = term.weight / term.std
        if isinstance(term.of, str):
            shares[term.of] = scale * (scores[term.of] - term.mean)
        else:
            inner = _shares(term.of, scores)
            shares |= {branch: scale * share for branch, share in inner.items()}
    return shares


def _branch_text(branch: str, excess: Mapping[str, float]) -> str:
    if branch not in excess:
        return f"{branch} adds most to the score"
    return f"{branch} is {excess[branch]:.1f} standard deviations above its normal scores"


def _region_text(region: Region | None, normal: NormalLevels | None) -> str:
    if normal is None:
        return "the bundle does not say how normal sounds, so no place in the sound is named"
    which = f"its {normal.n_windows} nearest" if normal.nearest else f"all {normal.n_windows}"
    if region is None:
        return f"no one place in its spectrum departs from {which} normal windows"
    side = "above" if region.departure_db >= 0 else "below"
    return (
        f"{region.channel} channel, {region.onset_s:.1f} to {region.end_s:.1f} s, "
        f"{_frequencies(region.low_hz, region.high_hz)}, "
        f"{abs(region.departure_db):.0f} dB {side} {which} normal windows"
    )


def _frequencies(low_hz: float, high_hz: float) -> str:
    if high_hz < 1000:
        return f"{low_hz:.0f} to {high_hz:.0f} Hz"
    return f"{low_hz / 1000:.2f} to {high_hz / 1000:.2f} kHz"
