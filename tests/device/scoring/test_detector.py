"""Which views of a window are computed, and what each extractor is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from device.mini_bundle import machine_sound

from edge_asd.audio import view
from edge_asd.audio.view import View
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.system import Branch
from edge_asd.scoring.detector import embed

WINDOW = np.random.default_rng(0).normal(0, 0.1, (2, 400)).astype(np.float32)


class Counted:
    """Near again, and how often it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n_calls = 0
        monkeypatch.setitem(view.VIEWS, "counted", View("counted", 1, self.apply))

    def apply(self, audio: np.ndarray) -> np.ndarray:
        self.n_calls += 1
        return audio[:1]


def levels(batch: np.ndarray, *_: object) -> np.ndarray:
    """An extractor that measures, (n_views, 1, 1)."""
    return np.asarray(np.square(batch).mean(axis=(1, 2), keepdims=True))


def embedded(*branches: str) -> dict[str, Any]:
    extractors: Any = {"first": levels, "second": levels}
    return embed(WINDOW, map(Branch.parse, branches), extractors)


def test_a_view_that_two_extractors_use_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)

    found = embedded("first@near", "first@counted", "second@counted")

    assert counted.n_calls == 1
    assert found["first@near"] == found["first@counted"] == found["second@counted"]


def test_a_view_that_no_branch_uses_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)

    found = embedded("first@far", "first@near", "second@near")

    assert counted.n_calls == 0
    assert found["first@far"] != found["first@near"] == found["second@near"]


@pytest.mark.parametrize("kind", ["mini_bundle", "ensemble_bundle"])
def test_strange_sound_scores_far_above_normal(kind: str, request: pytest.FixtureRequest) -> None:
    detector = Bundle.open(request.getfixturevalue(kind)).detector()
    normal = max(detector.score(machine_sound(1.0, seed=seed)).score for seed in range(90, 95))

    assert detector.strange_score() > 2 * normal
