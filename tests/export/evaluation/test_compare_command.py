"""``edge-asd compare`` as a user runs it, on bundles that score."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from device.mini_bundle import MACHINE, WINDOW_SAMPLES
from export.comparison_fakes import copied, write_mini_system1
from export.evaluation_fakes import write_clip, write_machine
from typer.testing import CliRunner, Result

from edge_asd.cli import app
from edge_asd.errors import UsageError
from edge_asd_export.bundling.export_job import ExportOptions
from edge_asd_export.evaluation import run_bundles
from edge_asd_export.evaluation.run_bundles import export_systems, finished_systems
from edge_asd_export.training.run import Run

SAME_SCORE = 1e-9


@pytest.fixture(scope="module")
def system1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mini_system1(tmp_path_factory.mktemp("compare") / "both")


@pytest.fixture(scope="module")
def system4(system1: Path) -> Path:
    """The FKIE mix of the same bundle, as a bundle of its own."""
    content = json.loads((system1 / "manifest.json").read_text())
    machines = content["machines"]
    for machine in machines.values():
        machine["fusion"] = machine["fusion"]["terms"][1]["of"]
        machine["banks"] = {name: bank for name, bank in machine["banks"].items() if "fkie" in name}
    return copied(
        system1,
        system1.parent / "alone",
        system="system4",
        machines=machines,
        branches=[one for one in content["branches"] if one["extractor"] == "fkie"],
        extractors={"fkie": content["extractors"]["fkie"]},
    )


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    write_machine(folder / MACHINE, n=2, n_samples=WINDOW_SAMPLES)
    return folder


def call(data: Path, out: Path, *words: object) -> Result:
    words = ("compare", "--data", data, "--out", out, *words)
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_contained_system_scores_as_its_own_bundle_does(
    system1: Path, system4: Path, recordings: Path, tmp_path: Path
) -> None:
    result = call(recordings, tmp_path / "report", system1, system4, "--json")

    assert result.exit_code == 0, result.stderr
    rows = json.loads(result.stdout)["systems"]
    assert [(row["system"], row["networks"], row["bundle"]) for row in rows] == [
        ("system1", "beats-mini, fkie", "both"),
        ("system4", "fkie", "both"),
        ("system4", "fkie", "alone"),
    ]
    assert 0 < rows[1]["official"] < 1
    assert rows[1]["official"] == pytest.approx(rows[2]["official"], abs=SAME_SCORE)
    assert rows[1]["official_std"] == pytest.approx(rows[2]["official_std"], abs=SAME_SCORE)
    assert json.loads((tmp_path / "report" / "results.json").read_text())["systems"] == rows


def test_the_command_prints_tables_and_where_the_report_is(
    system1: Path, recordings: Path, tmp_path: Path
) -> None:
    again = copied(system1, tmp_path / "again")

    result = call(recordings, tmp_path / "report", system1, again, "--average")

    assert result.exit_code == 0, result.stderr
    assert "Official score of each system" in result.stdout
    assert "mean of 2" in result.stdout
    assert "beats-mini, fkie" in result.stdout
    assert str(tmp_path / "report" / "report.html") in result.stderr


@pytest.mark.parametrize(
    ("words", "exit_code", "message"),
    [
        ([], 2, "no bundle to compare"),
        (["nowhere"], 1, "no bundle at nowhere"),
        (["recordings"], 1, "recordings is not a bundle: it has no manifest.json"),
        (["both", "both"], 2, "bundle both is given twice"),
        (["both", "--average"], 2, "--average needs two bundles of one system"),
        (["both", "--published"], 2, "no published figures for pump"),
        (["--run", "nowhere"], 2, "no run at "),
        (["both", "--out", "recordings"], 2, "recordings exists and is not a report"),
        (["both", "--data", "nowhere"], 2, "nowhere"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_scored(
    system1: Path,
    recordings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    exit_code: int,
    message: str,
) -> None:
    (tmp_path / "both").symlink_to(system1)
    (tmp_path / "recordings").symlink_to(recordings)
    monkeypatch.chdir(tmp_path)

    result = call(Path("recordings"), Path("report"), *words)

    assert result.exit_code == exit_code
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "report").exists()


def test_anonymous_clips_alone_are_one_line(system1: Path, tmp_path: Path) -> None:
    write_clip(
        tmp_path / "data" / MACHINE / "test" / "section_00_0000.wav", n_samples=WINDOW_SAMPLES
    )

    result = call(tmp_path / "data", tmp_path / "report", system1)

    assert result.exit_code == 1
    assert result.stderr.startswith("error: nothing to compare: pump: its test clips are anonymous")


class HalfTrainedRun(Run):
    """A run whose networks are finished or not as their names say."""

    def __init__(self, path: Path, finished: dict[str, bool]) -> None:
        super().__init__(path, SimpleNamespace(tasks=finished))  # type: ignore[arg-type]
        self.write_files(finished)

    def write_files(self, networks: dict[str, bool]) -> None:
        for name in networks:
            (self.path / name).mkdir(parents=True)
            (self.path / name / "checkpoint.pt").touch()
        (self.path / "run.json").touch()

    def is_complete(self, network: str) -> bool:
        return bool(self.record.tasks[network])


ALL = {"beats": True, "fkie": True, "resnet": True}


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        (ALL, ["system3", "system4-clean"]),
        (ALL | {"resnet": False}, ["system1", "system4-clean"]),
        (ALL | {"beats": False}, ["system2", "system4", "system4-clean"]),
        ({"autoencoder/fan": True, "autoencoder/pump": True}, ["baseline-mse", "baseline-mahala"]),
        ({"autoencoder/fan": True, "autoencoder/pump": False, "resnet": True}, ["system2"]),
    ],
)
def test_the_largest_systems_with_finished_networks_are_exported(
    tmp_path: Path, networks: dict[str, bool], expected: list[str]
) -> None:
    run = HalfTrainedRun(tmp_path, networks)

    assert [system.name for system in finished_systems(run)] == expected


def test_a_run_without_a_finished_system_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--resume"):
        finished_systems(HalfTrainedRun(tmp_path, {"fkie": False}))


def no_bar() -> AbstractContextManager[Callable[[int, int], None]]:
    return nullcontext(lambda done, total: None)


@pytest.fixture
def exports(system4: Path, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The systems that were exported; an export is a copy of a bundle."""
    exported: list[str | None] = []

    def write(run: Run, clips: object, out: Path, options: ExportOptions, _: object) -> None:
        exported.append(options.system)
        shutil.rmtree(out, ignore_errors=True)
        copied(system4, out, system=options.system)

    monkeypatch.setattr(run_bundles, "training_clips", lambda run, say: {})
    monkeypatch.setattr(run_bundles, "write_bundle", write)
    return exported


def test_a_bundle_newer_than_its_networks_is_not_exported_again(
    exports: list[str | None], tmp_path: Path
) -> None:
    run = HalfTrainedRun(tmp_path, {"fkie": True})
    said: list[str] = []

    first, second = (export_systems(run, said.append, no_bar) for _ in range(2))

    systems = ["system4", "system4-clean"]
    assert first == second == tuple(tmp_path / "bundles" / name for name in systems)
    assert exports == systems
    assert "newer than its networks" in said[-1]


def test_a_bundle_older_than_its_networks_is_exported_again(
    exports: list[str | None], tmp_path: Path
) -> None:
    run = HalfTrainedRun(tmp_path, {"fkie": True})
    bundle, _ = export_systems(run, lambda text: None, no_bar)
    later_s = (bundle / "manifest.json").stat().st_mtime + 1
    os.utime(tmp_path / "fkie" / "checkpoint.pt", (later_s, later_s))

    export_systems(run, lambda text: None, no_bar)

    assert exports == ["system4", "system4-clean"] * 2
