"""Bundles give the same scores under the oldest and the newest ONNX Runtime that is supported."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from device.mini_bundle import mixings, write_mini_bundle
from export.conftest import SILENT
from places import ROOT

from edge_asd_export.bundling.bundle_writer import WrittenBundle, write_bundle
from edge_asd_export.bundling.export_job import ExportOptions
from edge_asd_export.data.clips import Clip
from edge_asd_export.training.run import Run

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TESTED = PROJECT["tool"]["edge-asd"]["tested-onnxruntime"]


def test_the_oldest_that_may_be_installed_is_tested() -> None:
    (requirement,) = [one for one in PROJECT["project"]["dependencies"] if "onnxruntime" in one]
    least = requirement.split(">=")[1].split(",")[0]

    assert TESTED[0] == f"{least}.0"


@pytest.fixture(scope="module")
def bundles(
    small_bundle: WrittenBundle,
    small_run: Run,
    small_clips: dict[str, tuple[Clip, ...]],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    options = ExportOptions(quantize="none")
    written = write_bundle(small_run, small_clips, folder / "float32", options, SILENT)
    ensemble = write_mini_bundle(folder / "ensemble", mixings(3))
    (fkie,) = small_bundle.manifest.extractors.values()
    assert fkie.encoder.precision == "int8"
    return {"int8": small_bundle.path, "float32": written.path, "ensemble": ensemble}


@pytest.fixture(scope="module", params=TESTED)
def environment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The environment of this Python with another ONNX Runtime before its own."""
    folder = tmp_path_factory.mktemp("onnxruntime")
    wanted = f"onnxruntime=={request.param}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    if subprocess.run([*pip, wanted], check=False).returncode:
        pytest.skip(f"{wanted} cannot be installed here")
    environment = os.environ | {"PYTHONPATH": f"{folder}:{ROOT}", "COLUMNS": "200"}
    code = "import onnxruntime; print(onnxruntime.__version__)"
    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == request.param
    return environment


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["int8", "float32", "ensemble"])
def test_a_bundle_repeats_its_golden_windows(
    bundles: dict[str, Path], environment: dict[str, str], kind: str
) -> None:
    command = [sys.executable, "-m", "edge_asd", "check", str(bundles[kind])]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
