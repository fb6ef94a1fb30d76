"""A view that is computed from both microphones is one row, from training to the device."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edge_asd.audio import view
from edge_asd.audio.decode import read_audio
from edge_asd.audio.view import View
from edge_asd.bundle import proof, system
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.check import check_bundle
from edge_asd.bundle.system import System, WeightedSum
from edge_asd.cli import app

DIFFERENCE = View("difference", 1, lambda audio: audio[:1] - audio[1:])
# Trained on what the microphones hear, and scored on what is computed of it.
SYSTEMS = (
    System("difference", "", WeightedSum(("fkie@difference",))),
    System(
        "transferred", "", WeightedSum(("fkie@difference",)), trained_on={"fkie": ("near", "far")}
    ),
)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(view.VIEWS, DIFFERENCE.name, DIFFERENCE)
    for row in SYSTEMS:
        monkeypatch.setitem(system.SYSTEMS, row.name, row)
    # A child process would not know the view.
    monkeypatch.setattr(proof, "check_in_child", check_bundle)
    monkeypatch.setattr(proof, "open_proven", lambda path, threads=1, root=None: Bundle.open(path))


def edge_asd(*words: object) -> str:
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    ("name", "trained_on"), [("difference", {"difference"}), ("transferred", {"near", "far"})]
)
def test_a_computed_view_goes_from_train_to_listen(
    name: str, trained_on: set[str], small_data: Path, tmp_path: Path
) -> None:
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    clip = next((small_data / "fan" / "test").glob("*source*anomaly*"))

    edge_asd("train", small_data, "--system", name, "--out", run, "--epochs", 1)
    edge_asd("export", "--run", run, "--out", bundle)
    edge_asd("check", bundle)
    scored = json.loads(edge_asd("score", clip, "--bundle", bundle, "--machine", "fan", "--json"))
    heard = edge_asd("listen", "--input", clip, "--bundle", bundle, "--machine", "fan", "--json")

    classes = json.loads((run / "run.json").read_text())["tasks"]["fkie"]["classes"]
    assert {kind[3] for kind in classes} == trained_on
    events = map(json.loads, heard.splitlines())
    (window,) = [event for event in events if event["event"] == "score"]
    audio = read_audio(clip)[0]
    near = Bundle.open(bundle).extractors()["fkie"](np.array([audio[:1] - audio[1:]]))
    detector = Bundle.open(bundle).detector("fan")
    np.testing.assert_array_equal(detector.embeddings(audio)["fkie@difference"], near[0])
    expected = detector.score(audio).branches
    assert list(expected) == ["fkie@difference"]
    assert scored["branches"] == window["branches"] == expected
