"""At its start the monitor replays golden windows; where they differ it runs, and says so."""

from __future__ import annotations

import json
import shutil
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from device.bundle_files import edit_manifest, reseal, seal
from device.listening import of, run_in_process, write
from device.mini_bundle import MACHINE, machine_day, machine_sound
from device.site_sounds import enrolled

from edge_asd.bundle import golden
from edge_asd.bundle.arrays import read_arrays, write_arrays
from edge_asd.bundle.bundle import Bundle
from edge_asd.events.fault import FaultChange
from edge_asd.learn.opened_machine import open_machine
from edge_asd.learn.store import LearnedStore
from edge_asd.monitor.golden_replay import replay_golden_windows
from edge_asd.outputs.journal import memory_in
from edge_asd.state.folder import StateFolder


@pytest.fixture
def bundle(mini_bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(mini_bundle, tmp_path / "bundle")


def shift(bundle: Path, name: str) -> None:
    """Make golden windows differ, as another processor would."""
    arrays = read_arrays(bundle / "golden.npz", "golden windows")
    values = arrays[name].copy()
    values.flat[0] += 0.1 + abs(values.flat[0])
    write_arrays(bundle / "golden.npz", {**arrays, name: values})
    reseal(bundle)


def faults(bundle: Path, state: StateFolder | None = None) -> list[FaultChange]:
    found: list[FaultChange] = []
    opened = Bundle.open(bundle)
    replay_golden_windows(opened, open_machine(opened, None, state=state), found.append)
    return found


def test_a_computer_that_gives_the_bundles_scores_has_no_fault(mini_bundle: Path) -> None:
    assert faults(mini_bundle) == []


@pytest.mark.parametrize("name", ["score/pump", "embedding/pump/fkie@far"])
def test_other_scores_are_a_fault_and_alarms_are_raised_all_the_same(
    bundle: Path, tmp_path: Path, name: str
) -> None:
    shift(bundle, name)
    day = write(tmp_path / "day.wav", machine_day({"normal": 5, "fault": 20}))

    exit_code, events, _ = run_in_process(
        bundle, "--input", day, "--state", str(tmp_path / "state")
    )

    assert exit_code == 0
    (fault,) = of(events, "fault_raised")
    assert (fault["fault"], fault["severity"]) == ("scores", "deaf")
    assert "of pump differ on this computer" in fault["detail"]
    assert of(events, "alarm_raised")
    (kept,) = (tmp_path / "state").glob("*/journal.sqlite3")
    saved = json.loads(memory_in(kept.read_bytes())["faults"])
    assert [one["fault"] for one in saved["faults"]] == ["scores"]


def test_golden_windows_that_are_references_are_compared_by_their_embeddings(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    reference = golden.record(opened.detector(), [machine_sound(1.0, seed=0)])
    reference["score/pump"] += 0.1  # as rounding near zero does
    seal(bundle, opened.manifest, reference)

    assert faults(bundle) == []
    shift(bundle, "embedding/pump/fkie@near")
    assert "golden embeddings of pump differ" in faults(bundle)[0].detail


def test_content_that_was_changed_with_its_digests_is_a_fault(bundle: Path) -> None:
    edit_manifest(bundle, lambda manifest: manifest.update(hop_s=0.75), golden_too=False)

    (fault,) = faults(bundle)

    assert "golden windows were recorded for another content" in fault.detail


def test_the_start_waits_for_no_more_windows_than_fit_into_its_time(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    detector, arrays = opened.detector(), golden.read_golden(bundle, opened.manifest)
    windows = np.concatenate([arrays[f"audio/{MACHINE}"]] * 3)  # six

    def replayed(seconds_each: float, most_s: float) -> int:
        clock = count(0.0, seconds_each)
        kept = golden.record(detector, list(windows), most_s=most_s, now_s=lambda: next(clock))
        return len(kept[f"audio/{MACHINE}"])

    assert replayed(1.0, 5.0) == 5
    assert replayed(3.0, 5.0) == 1
    assert replayed(0.1, 5.0) == 6


def test_windows_that_were_not_replayed_are_not_compared(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    arrays = golden.read_golden(bundle, opened.manifest)
    clock = count(0.0, 60.0)

    agreement = golden.compare(opened.detector(), arrays, most_s=5.0, now_s=lambda: next(clock))

    assert (agreement.n_windows, agreement.max_score_difference) == (1, 0.0)


def test_a_machine_with_references_of_its_own_is_judged_by_its_embeddings(
    bundle: Path, tmp_path: Path
) -> None:
    shift(bundle, f"score/{MACHINE}")  # its scores are others anyway
    state = StateFolder(tmp_path / "state", "pump-3")
    store = LearnedStore(state)
    with store.writing():
        store.add(enrolled(Bundle.open(bundle), machine_sound(15, seed=1)))

    opened = Bundle.open(bundle)
    learned = open_machine(opened, None, state=state)
    arrays = dict(golden.read_golden(bundle, opened.manifest, learned.like))
    arrays["embedding/pump/fkie@near"] = arrays["embedding/pump/fkie@far"]

    assert faults(bundle, state) == []
    assert golden.compare(learned.detector, arrays, like=learned.like).min_cosine < 0.9999
