"""What an enrolment promises: false alarms a month, from the takes that it heard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from device.listening import write
from device.mini_bundle import machine_sound
from device.site_sounds import NOW, enrolled, heard, whistle
from typer.testing import CliRunner

from edge_asd.bundle.bundle import Bundle
from edge_asd.cli import app
from edge_asd.learn.calibration import WindowPlace, window_takes
from edge_asd.learn.enrolment import SiteGoal, base_for, calibrated, enrol
from edge_asd.learn.learned import Learned, read_version, write_version
from edge_asd.learn.opened_machine import reach_warning, site_detector


@pytest.fixture(scope="module")
def bundle(mini_bundle: Path) -> Bundle:
    return Bundle.open(mini_bundle)


@pytest.fixture(scope="module")
def learned(bundle: Bundle) -> Learned:
    base = base_for(bundle, "pump-3", None, "source", None)
    sound = heard(bundle, machine_sound(30, seed=1))
    return enrol(bundle, base, "source", sound, origin="a test", utc=NOW, goal=SiteGoal())


def test_threshold_and_confirmation_are_chosen_for_false_alarms_a_month(
    bundle: Bundle, learned: Learned
) -> None:
    site = learned.site

    assert site.promise is not None
    assert site.promise.false_alarms_per_month <= 1.0
    assert site.threshold.n_takes == 10
    assert site_detector(bundle, learned).spec.promise == site.promise


def test_more_false_alarms_allow_a_lower_threshold(bundle: Bundle, learned: Learned) -> None:
    many = calibrated(bundle, learned, SiteGoal(false_alarms_per_month=100.0))

    assert many.site.threshold.threshold < learned.site.threshold.threshold


def test_a_rate_of_windows_is_kept(bundle: Bundle, learned: Learned) -> None:
    by_rate = calibrated(bundle, learned, SiteGoal(false_alarm_rate=0.1))

    assert by_rate.site.threshold.false_alarm_rate == 0.1
    assert by_rate.site.promise is not None


def test_a_target_that_is_added_makes_a_promise_of_both(bundle: Bundle, learned: Learned) -> None:
    both = enrolled(bundle, whistle(10, seed=3), domain="target", before=learned)

    found = calibrated(bundle, both, SiteGoal())

    assert found.site.threshold.n_takes == 20
    assert found.site.promise is not None


def test_takes_and_promise_are_on_disk(tmp_path: Path, learned: Learned) -> None:
    write_version(tmp_path, learned)

    read = read_version(tmp_path)

    assert read.site.promise == learned.site.promise
    np.testing.assert_array_equal(read.enrolled["source"].takes, learned.enrolled["source"].takes)


def test_one_recording_has_as_many_takes_as_stretches_and_many_have_their_own() -> None:
    one = [WindowPlace(0, i * 50, 100) for i in range(40)]
    many = [WindowPlace(recording, i * 50, 100) for recording in range(25) for i in range(3)]

    assert len(set(window_takes(one).tolist())) == 10
    assert len(set(window_takes(many).tolist())) == 25


def test_enroll_says_what_it_promises(mini_bundle: Path, tmp_path: Path) -> None:
    normal = write(tmp_path / "normal.wav", machine_sound(30, seed=1))

    result = CliRunner().invoke(
        app,
        ["enroll", "--bundle", str(mini_bundle), "--state", str(tmp_path), "--machine", "pump-3",
         "--input", normal, "--false-alarms-per-month", "20"],
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    assert "false alarms a month (" in result.stdout
    assert "takes); a lasting change is raised within" in result.stdout


def test_an_enrolment_whose_threshold_hardly_any_sound_reaches_says_so(
    bundle: Bundle, learned: Learned
) -> None:
    threshold = learned.site.threshold.model_copy(update={"threshold": 1e6})
    site = learned.site.model_copy(update={"threshold": threshold})

    said = reach_warning(bundle, replace(learned, site=site))

    assert said is not None
    assert "hardly anything will raise an alarm" in said
    assert reach_warning(bundle, learned) is None
