"""Scores and levels of normal sound in five numbers, and whether two such summaries differ."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import model_validator

from edge_asd.bundle.record import Score
from edge_asd.errors import DataError
from edge_asd.state.record import Decibels, StateRecord

__all__ = ["NormalSummary"]

_LEVEL_DB = 6.0  # half or twice the sound pressure; far more than the weather does
_LEAST_SPREAD = 0.02  # of the median score; a few minutes may hardly vary


class NormalSummary(StateRecord):
    """Normal sound over minutes or over a day."""

    score_p05: Score
    score_median: Score
    score_p95: Score
    near_dbfs: Decibels  # medians of the levels of windows
    far_dbfs: Decibels

    @model_validator(mode="after")
    def _scores_are_in_order(self) -> Self:
        if not self.score_p05 <= self.score_median <= self.score_p95:
            raise ValueError("quantiles of scores are not in order")
        return self

    @classmethod
    def measure(cls, scores: ArrayLike, levels_dbfs: ArrayLike) -> NormalSummary:
        """Return the summary of windows of normal sound.

        Parameters
        ----------
        scores : (n,)
        levels_dbfs : (n, 2), near and far

        Raises
        ------
        DataError
            When there are none, or some are not finite.
        """
        scores, levels_dbfs = np.asarray(scores, np.float64), np.asarray(levels_dbfs, np.float64)
        if not scores.size or levels_dbfs.shape != (scores.size, 2):
            raise DataError(
                f"a summary of normal sound needs scores (n,) and levels (n, 2), found "
                f"{scores.shape} and {levels_dbfs.shape}"
            )
        if not (np.isfinite(scores).all() and np.isfinite(levels_dbfs).all()):
            raise DataError("a summary of normal sound needs finite scores and levels")
        p05, median, p95 = np.quantile(scores, (0.05, 0.5, 0.95)).tolist()
        near_dbfs, far_dbfs = np.median(levels_dbfs, axis=0).tolist()
        return cls(
            score_p05=p05,
            score_median=median,
            score_p95=p95,
            near_dbfs=near_dbfs,
            far_dbfs=far_dbfs,
        )

    def shifts(self, other: NormalSummary, *, share: float = 1.0) -> tuple[str, ...]:
        """What has moved in `other`: ``score up``, ``near level down``, ...

        A score has moved when the median lies where only every twentieth window lay
        here; a level, when it differs by 6 dB.

        Parameters
        ----------
        share : of these limits, from which on something counts as moved
        """
        score = other.score_median - self.score_median
        edge = self.score_p95 if score > 0 else self.score_p05
        spread = max(abs(edge - self.score_median), _LEAST_SPREAD * abs(self.score_median))
        near, far = other.near_dbfs - self.near_dbfs, other.far_dbfs - self.far_dbfs
        compared = (
            ("score", score, spread),
            ("near level", near, _LEVEL_DB),
            ("far level", far, _LEVEL_DB),
        )
        return tuple(
            f"{name} {'up' if moved > 0 else 'down'}"
            for name, moved, limit in compared
            if moved and abs(moved) > share * limit
        )
