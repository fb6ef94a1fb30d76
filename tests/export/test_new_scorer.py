"""A new kind of scorer: its record in the union, and a name on the workstation."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pytest
from export.conftest import SILENT
from pydantic import Field

from edge_asd.audio.decode import read_audio
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.check import check_bundle
from edge_asd.bundle.manifest import BranchSpec, Manifest
from edge_asd.bundle.record import Domain
from edge_asd.scoring.bank import ScoreNormalisation
from edge_asd.scoring.density import Floats, Neighbourhood, Rows
from edge_asd.scoring.kinds import DirectSpec, ReferenceSpec, ScorerSpec
from edge_asd_export.bundling.bundle_writer import write_bundle
from edge_asd_export.bundling.export_job import ExportOptions
from edge_asd_export.calibration.scoring import SCORINGS, Scoring
from edge_asd_export.data.clips import Clip
from edge_asd_export.training.recipes import RECIPES
from edge_asd_export.training.run import Run

ROUNDING = 1e-6  # of embeddings that are encoded one by one, or with other windows


class Shifted(ReferenceSpec):
    """The distance to a reference, less what its two neighbours are away."""

    kind: Literal["shifted"] = "shifted"
    shift: float = 0.5

    def neighbourhood(self, domain: Domain) -> Neighbourhood:
        return Neighbourhood(2, self.distance)

    def fit(self, references: Rows, domain: Domain) -> Callable[[Floats], ScoreNormalisation]:
        return lambda rho: ScoreNormalisation(np.ones_like(rho), -self.shift * rho)


class Norm(DirectSpec):
    """The length of the embedding."""

    kind: Literal["norm"] = "norm"

    def scores(self, embeddings: Rows) -> Floats:
        return np.asarray(np.linalg.norm(embeddings, axis=-1).mean(axis=-1), dtype=np.float64)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What one more line in the union and one more row among the scorings do."""
    union = Annotated[ScorerSpec | Shifted | Norm, Field(discriminator="kind")]

    def rebuild() -> None:
        BranchSpec.model_rebuild(force=True)
        Manifest.model_rebuild(force=True)

    with monkeypatch.context() as patch:
        patch.setattr(BranchSpec.model_fields["scorer"], "annotation", union)
        patch.setitem(SCORINGS, "shifted", Scoring(Shifted(shift=0.25)))  # type: ignore[arg-type]
        patch.setitem(SCORINGS, "norm", Scoring(Norm(), references="none"))  # type: ignore[arg-type]
        rebuild()
        yield
    rebuild()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (
            "shifted",
            {"kind": "shifted", "average": "embeddings", "distance": "euclidean", "shift": 0.25},
        ),
        ("norm", {"kind": "norm"}),
    ],
)
def test_a_new_kind_goes_from_export_to_a_score(
    name: str,
    written: dict[str, object],
    small_run: Run,
    small_clips: dict[str, tuple[Clip, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An extractor says in its recipe what a score of it can compare with.
    fkie = replace(RECIPES["fkie"], references=("clips", "none"))
    monkeypatch.setitem(RECIPES, "fkie", fkie)
    options = ExportOptions(scorers={"": name}, quantize="none")

    write_bundle(small_run, small_clips, tmp_path / "bundle", options, SILENT)

    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert [branch["scorer"] for branch in manifest["branches"]] == [written, written]
    assert list(check_bundle(tmp_path / "bundle"))
    detector = Bundle.open(tmp_path / "bundle").detector("fan")
    audio = read_audio(small_clips["fan"][0].path)[0]
    score = detector.score(audio).branches["fkie@near"]
    rows = detector.embeddings(audio)["fkie@near"]
    if name == "norm":
        assert score == pytest.approx(np.linalg.norm(rows), rel=ROUNDING)
    else:
        nearest = detector.neighbours("fkie@near", audio, 1)[0]
        assert score == nearest.distance < 0  # the clip is a reference itself
