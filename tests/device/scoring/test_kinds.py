"""What a manifest says of a scorer, and how it is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from device.bundle_files import edit_manifest
from device.mini_bundle import machine_sound
from pydantic import TypeAdapter, ValidationError

from edge_asd.bundle.bundle import Bundle
from edge_asd.errors import BundleError
from edge_asd.scoring.kinds import DldnSpec, NearestSpec, OutputSpec, ScorerSpec, VarminSpec

SCORERS: TypeAdapter[Any] = TypeAdapter(ScorerSpec)
# As every scorer was written when all kinds shared one record.
SHARED = {
    "output": 1,
    "average": "scores",
    "distance": "cosine",
    "aggregate": "sum",
    "k_source": 3,
    "k_target": 2,
    "k_varmin": 5,
    "density_floor": 0.2,
}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "dldn",
            DldnSpec(
                average="scores", distance="cosine", aggregate="sum",
                k_source=3, k_target=2, density_floor=0.2,
            ),
        ),
        ("nearest", NearestSpec(average="scores", distance="cosine")),
        (
            "varmin",
            VarminSpec(
                average="scores", distance="cosine", aggregate="sum", k_varmin=5, density_floor=0.2
            ),
        ),
        ("output", OutputSpec(output=1)),
    ],
)  # fmt: skip
def test_a_scorer_with_the_settings_of_all_kinds_is_read(kind: str, expected: object) -> None:
    assert SCORERS.validate_python({"kind": kind, **SHARED}) == expected


@pytest.mark.parametrize("spec", [DldnSpec(k_source=3), NearestSpec(), VarminSpec(), OutputSpec()])
def test_a_scorer_is_read_as_it_was_written(spec: ScorerSpec) -> None:
    written = SCORERS.dump_json(spec)

    assert json.loads(written)["kind"] == spec.kind
    assert SCORERS.validate_json(written) == spec


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        SCORERS.validate_python({"kind": "nearest", "k_nearest": 3})


def test_a_bundle_that_was_written_with_the_settings_of_all_kinds_scores_as_before(
    mini_bundle: Path, tmp_path: Path
) -> None:
    old = _edited(mini_bundle, tmp_path, {"kind": "dldn", **SHARED, "k_source": 16})
    new = _edited(
        mini_bundle,
        tmp_path,
        {"kind": "dldn", "average": "scores", "distance": "cosine", "aggregate": "sum",
         "k_target": 2, "density_floor": 0.2},
    )  # fmt: skip
    sound = machine_sound(1.0, seed=7)

    assert Bundle.open(old).detector().score(sound) == Bundle.open(new).detector().score(sound)


def test_a_scorer_of_another_program_version_is_refused(mini_bundle: Path, tmp_path: Path) -> None:
    bundle = _edited(mini_bundle, tmp_path, {"kind": "oracle"})

    with pytest.raises(BundleError, match=r"branches\.0\.scorer: .*'oracle'.*'dldn'") as caught:
        Bundle.open(bundle)

    assert "\n" not in str(caught.value)


def _edited(bundle: Path, folder: Path, scorer: dict[str, Any]) -> Path:
    """A copy of a bundle with another scorer."""
    copy = Path(shutil.copytree(bundle, folder / f"bundle-{len(list(folder.iterdir()))}"))

    def change(manifest: dict[str, Any]) -> None:
        for branch in manifest["branches"]:
            branch["scorer"] = scorer

    edit_manifest(copy, change)
    return copy
