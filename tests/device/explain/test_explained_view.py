"""What is shown of a branch that listens to a view computed of both channels."""

from __future__ import annotations

import numpy as np
import pytest
from device.explain.test_explain import FakeDetector, normal, spectra

from edge_asd.explain.explainer import Explainer
from edge_asd.explain.normal_spectra import NormalSpectra
from edge_asd.scoring.detector import WindowScore

USUAL = np.array([0.8, 1.0, 1.2], np.float32)


@pytest.mark.parametrize(("clean_score", "shown"), [(0.9, None), (5.0, "clean")])
def test_the_view_is_shown_where_its_score_is_the_furthest_above_normal(
    clean_score: float, shown: str | None
) -> None:
    known = NormalSpectra(spectra().domains, {**spectra().scores, "fkie@clean": USUAL})
    scores = {"fkie@near": 3.0, "fkie@far": 1.0, "fkie@clean": clean_score}

    explanation = Explainer(FakeDetector(), known).explain(normal(0), WindowScore(3.0, scores))

    assert explanation is not None
    assert explanation.deviation is not None
    assert explanation.deviation.view == shown
    assert len(explanation.deviation.levels_db) == (3 if shown else 2)


def test_a_branch_is_explained_by_the_channel_that_it_hears() -> None:
    audio = normal(0)
    audio[1] *= 10.0  # far, which the branch near does not hear
    scores = {"fkie@near": 3.0, "fkie@far": 1.0}

    explanation = Explainer(FakeDetector(), spectra()).explain(audio, WindowScore(3.0, scores))

    assert explanation is not None
    assert explanation.channel is None
