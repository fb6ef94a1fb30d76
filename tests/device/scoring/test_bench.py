"""Latency figures: what is measured, how it is summarised, what the command writes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from device.mini_bundle import MACHINE, write_mini_bundle
from device.parts_bundle import window, write_parts_bundle
from typer.testing import CliRunner

from edge_asd.bundle.bundle import Bundle
from edge_asd.cli import app
from edge_asd.scoring import bench

CPUINFO = """processor\t: 0
model name\t: Cortex-A76
Features\t: fp asimd evtstrm asimddp crc32
processor\t: 1
model name\t: other
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mini_bundle(tmp_path_factory.mktemp("bench") / "bundle")


def report(*, mean_ms: float = 20.0, p95_ms: float = 30.0, hop_s: float = 1.0) -> bench.Report:
    window = bench.StageTimes("window", 10, mean_ms, mean_ms, p95_ms, p95_ms)
    environment = bench.read_environment()
    return bench.Report("mini", MACHINE, 1, 10.0, hop_s, (window,), 0.1, (), 1, 1, environment)


@pytest.mark.parametrize(("seconds", "expected"), [(0.1, 10), (25.0, 25)])
def test_measuring_lasts_for_the_time_asked_and_for_ten_windows(
    bundle: Path, seconds: float, expected: int
) -> None:
    detector = Bundle.open(bundle).detector()
    clock = itertools.count(step=1 / 3).__next__  # a second for each window: three readings
    fractions: list[float] = []

    durations = bench.measure(
        detector,
        bench.noise_windows(detector.window_samples),
        seconds=seconds,
        clock=clock,
        on_progress=fractions.append,
    )

    assert len(durations["window"]) == pytest.approx(expected, abs=6)
    assert len(durations["window"]) >= 10
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_stages_come_in_the_order_of_the_pipeline_and_fill_the_window(bundle: Path) -> None:
    import time

    detector = Bundle.open(bundle).detector()

    durations = bench.measure(
        detector,
        bench.noise_windows(detector.window_samples),
        seconds=0.01,
        clock=time.perf_counter,
    )

    assert list(durations) == [
        *("views", "fkie features", "fkie encoder", "scorer", "fusion", "window")
    ]
    parts = sum(sum(durations[stage]) for stage in list(durations)[:-1])
    assert 0 < parts <= sum(durations["window"])


def test_extractors_of_one_machine_are_loaded_one_by_one_and_their_memory_is_told(
    tmp_path: Path,
) -> None:
    opened = Bundle.open(write_parts_bundle(tmp_path / "parts"))

    extractors, memory = bench.load_extractors(opened, "pump", threads=1)

    assert [step.part for step in memory] == ["Python and libraries", *extractors]
    assert list(extractors) == ["autoencoder/pump", "resnet"]
    assert memory[0].loaded_bytes > 2**20
    audio = window(5)
    expected = opened.detector("pump").score(audio)
    assert opened.detector("pump", extractors=extractors).score(audio) == expected


def test_percentiles_are_in_milliseconds() -> None:
    (stage,) = bench.stage_times({"window": [0.001 * n for n in range(1, 101)]})

    assert stage.n == 100
    assert stage.mean_ms == pytest.approx(50.5)
    assert stage.p50_ms == pytest.approx(50.5)
    assert stage.p95_ms == pytest.approx(95.05)
    assert stage.max_ms == pytest.approx(100)


def test_real_time_factor_is_the_mean_time_over_the_hop() -> None:
    assert report(mean_ms=20, hop_s=0.5).real_time_factor == pytest.approx(0.04)


@pytest.mark.parametrize(("p95_ms", "expected_s"), [(30, 0.04), (8, 0.01), (81, 0.11)])
def test_shortest_hop_leaves_a_fifth_of_its_time_free(p95_ms: float, expected_s: float) -> None:
    assert report(p95_ms=p95_ms).shortest_hop_s == pytest.approx(expected_s)


def test_noise_windows_differ_and_repeat_with_their_seed() -> None:
    first, second = bench.noise_windows(100, 2)

    assert first.shape == (2, 100)
    assert first.dtype == np.float32
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, bench.noise_windows(100, 2)[0])


def test_environment_names_board_processor_and_telling_flags(tmp_path: Path) -> None:
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/cpuinfo").write_text(CPUINFO)
    (tmp_path / "proc/device-tree/model").write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    governor = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    governor.parent.mkdir(parents=True)
    governor.write_text("ondemand\n")

    environment = bench.read_environment(tmp_path)

    assert environment.board == "Raspberry Pi 5 Model B Rev 1.0"
    assert environment.cpu == "Cortex-A76"
    assert environment.cpu_flags == ("asimd", "asimddp")
    assert environment.governor == "ondemand"


def test_environment_that_cannot_be_read_is_left_open(tmp_path: Path) -> None:
    environment = bench.read_environment(tmp_path)

    assert (environment.board, environment.cpu, environment.governor) == (None, None, None)
    assert environment.cpu_flags == ()


def test_the_command_prints_a_table_and_writes_json(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    options = ["--bundle", str(bundle), "--machine", MACHINE, "--seconds", "0.1"]

    result = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["bench", *options, "--json", str(path)])

    assert result.exit_code == 0, result.output
    assert "real-time factor" in result.stdout
    assert "it keeps up" in result.stdout
    written = json.loads(path.read_text())
    assert [stage["stage"] for stage in written["stages"]][-1] == "window"
    assert written["shortest_hop_s"] > 0
    assert written["peak_rss_bytes"] > 2**20


def test_a_report_that_cannot_be_written_is_refused_before_measuring(bundle: Path) -> None:
    result = CliRunner().invoke(
        app, ["bench", "--bundle", str(bundle), "--json", "/nowhere/bench.json"]
    )

    assert result.exit_code == 2
    assert "there is no folder /nowhere" in result.stderr
