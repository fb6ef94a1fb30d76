from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from device.mini_bundle import RATE_HZ, WINDOW_SAMPLES, machine_sound
from device.parts_bundle import write_parts_bundle
from device.site_sounds import NOW, Audio, enrolled, heard, whistle
from places import SHARED

from edge_asd.audio.block import Block, Gap
from edge_asd.audio.decode import read_audio
from edge_asd.bundle.bundle import Bundle
from edge_asd.errors import DataError, StateError, UsageError
from edge_asd.events.event import utc_text
from edge_asd.learn.banks import site_spectra
from edge_asd.learn.enrolment import (
    LEAST_WINDOWS,
    SiteGoal,
    base_for,
    calibrated,
    enrol,
    like_machine,
    untouched,
)
from edge_asd.learn.learned import BundleStamp, Learned
from edge_asd.learn.opened_machine import site_detector
from edge_asd.learn.recording import SiteRecording
from edge_asd.learn.teaching import MOST_WINDOWS, forget, teach, teachable
from edge_asd.profile import load_profile
from edge_asd.scoring.detector import Detector

REAL_RECORDINGS = SHARED / "data" / "tiny"


@pytest.fixture(scope="module")
def bundle(mini_bundle: Path) -> Bundle:
    return Bundle.open(mini_bundle)


@pytest.fixture(scope="module")
def learned(bundle: Bundle) -> Learned:
    return enrolled(bundle, machine_sound(30, seed=1))


def windows_of(audio: Audio) -> list[Audio]:
    starts = range(0, audio.shape[1] - WINDOW_SAMPLES + 1, WINDOW_SAMPLES // 4)
    return [audio[:, start : start + WINDOW_SAMPLES] for start in starts]


def highest(detector: Detector, audio: Audio) -> float:
    return max(detector.score(window).score for window in windows_of(audio))


def lowest(detector: Detector, audio: Audio) -> float:
    return min(detector.score(window).score for window in windows_of(audio))


def recording_of(bundle: Bundle, *, accept_faults: bool = False) -> SiteRecording:
    return SiteRecording(
        bundle.detector(),
        hop_samples=WINDOW_SAMPLES // 2,
        signal=load_profile().signal,
        accept_faults=accept_faults,
    )


def test_an_enrolled_machine_hears_its_faults_and_not_its_normal_sound(
    bundle: Bundle, learned: Learned
) -> None:
    detector = site_detector(bundle, learned)

    threshold = learned.site.threshold.threshold
    assert highest(detector, machine_sound(5, seed=50)) < threshold
    assert lowest(detector, machine_sound(5, seed=51, faulty=True)) > threshold


def test_everything_of_the_enrolment_is_recorded(bundle: Bundle, learned: Learned) -> None:
    site = learned.site

    assert (site.machine, site.like, site.bundle.name) == ("pump-3", "pump", "mini")
    assert site.enrolled["source"].seconds == pytest.approx(30.0)
    assert site.enrolled["source"].n_windows == 59
    assert site.enrolled["source"].utc == utc_text(NOW)
    assert site.fusion == bundle.manifest.machines["pump"].fusion
    assert "10 blocks" in site.threshold.method
    assert (site.threshold.n_scores, site.threshold.false_alarm_rate) == (59, 0.01)


def test_a_target_domain_is_added_and_the_source_bank_stays(
    bundle: Bundle, learned: Learned
) -> None:
    other_speed = whistle(10, seed=3)

    both = enrolled(bundle, other_speed, domain="target", before=learned)

    assert both.enrolled["source"] is learned.enrolled["source"]
    detector, before = site_detector(bundle, both), site_detector(bundle, learned)
    assert highest(detector, whistle(5, seed=60)) < both.site.threshold.threshold
    assert lowest(before, whistle(5, seed=60)) > learned.site.threshold.threshold
    assert detector.n_references("fkie@near") == {"source": 59, "target": 19}


def test_a_target_can_be_added_to_a_machine_of_the_bundle(bundle: Bundle) -> None:
    both = enrolled(bundle, whistle(10, seed=3), machine="pump", domain="target")

    detector = site_detector(bundle, both)
    assert detector.n_references("fkie@near") == {"source": 24, "target": 19}
    assert highest(detector, whistle(5, seed=60)) < both.site.threshold.threshold
    # What was heard says nothing about the source, so its threshold is kept.
    bundled = bundle.manifest.machines["pump"].threshold.threshold
    assert both.site.threshold.threshold >= bundled


def test_a_target_without_a_source_is_refused(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="enrol it first without --domain target"):
        base_for(bundle, "pump-3", None, "target", None)


def test_a_target_cannot_be_added_with_another_bundle(bundle: Bundle, learned: Learned) -> None:
    stamp = BundleStamp(name="old", sha256="0" * 64)
    old = Learned(learned.site.model_copy(update={"bundle": stamp}), learned.enrolled, ())

    with pytest.raises(StateError, match="learned with bundle 'old'"):
        base_for(bundle, "pump-3", None, "target", old)


def test_the_namesake_in_the_bundle_is_what_a_machine_is_like(bundle: Bundle) -> None:
    assert like_machine(bundle, "pump", None) == "pump"
    assert like_machine(bundle, "anything", None) == "pump"


def test_networks_of_one_machine_cannot_be_enrolled(tmp_path: Path) -> None:
    parts = Bundle.open(write_parts_bundle(tmp_path / "parts"))

    with pytest.raises(UsageError, match="trained for it alone"):
        like_machine(parts, "pump-3", None)


def test_too_little_sound_is_refused(bundle: Bundle) -> None:
    with pytest.raises(DataError, match="expected at least 20: record for longer"):
        heard(bundle, machine_sound(8, seed=1))


def test_windows_do_not_span_gaps_or_recordings(bundle: Bundle) -> None:
    recording = recording_of(bundle)
    sound = machine_sound(1.5, seed=1)

    recording.hear(Block(0, sound))
    recording.hear(Gap(40_000, 16_000, "overflow"))
    recording.hear(Block(40_000, sound))
    recording.next_recording()
    recording.hear(Block(0, sound))

    places = recording.sound(1).places
    assert [(p.recording, p.start_sample) for p in places] == [
        (0, 0), (0, 8000), (0, 40_000), (0, 48_000), (1, 0), (1, 8000),
    ]  # fmt: skip


def test_a_silent_stretch_is_not_learned(bundle: Bundle) -> None:
    recording = recording_of(bundle)
    sound = machine_sound(30, seed=1)
    sound[:, 5 * RATE_HZ : 6 * RATE_HZ] = 0.0

    recording.hear(Block(0, sound))

    starts = [place.start_sample / RATE_HZ for place in recording.sound(20).places]
    assert not [start for start in starts if 4 < start < 6]
    assert recording.n_unusable == 3


@pytest.mark.parametrize(
    ("spoil", "meaning"),
    [
        (lambda sound: np.zeros_like(sound), "digital silence"),
        (lambda sound: np.clip(20 * sound, -1, 1), "clips"),
        (lambda sound: sound[[0, 0]], "the same signal"),
    ],
)
def test_a_bad_signal_is_refused_with_the_reason(
    bundle: Bundle, spoil: object, meaning: str
) -> None:
    recording = recording_of(bundle)

    with pytest.raises(DataError, match=f"cannot be used: .*{meaning}.*nothing was learned"):
        recording.hear(Block(0, spoil(machine_sound(60, seed=1))))  # type: ignore[operator]
        recording.sound(20)


def test_a_clipping_signal_can_be_accepted(bundle: Bundle) -> None:
    recording = recording_of(bundle, accept_faults=True)

    recording.hear(Block(0, np.clip(20 * machine_sound(40, seed=1), -1, 1)))

    assert recording.sound(20).n_unusable == 0


def test_silence_is_never_accepted(bundle: Bundle) -> None:
    recording = recording_of(bundle, accept_faults=True)

    with pytest.raises(DataError, match="digital silence"):
        recording.hear(Block(0, np.zeros((2, 40 * RATE_HZ), np.float32)))


@pytest.mark.parametrize("base", ["bundle", "enrolled"])
def test_a_taught_sound_is_normal_and_a_fault_is_not(
    bundle: Bundle, learned: Learned, base: str
) -> None:
    before = learned
    if base == "bundle":
        before = untouched(bundle, "pump", "pump")
    detector = site_detector(bundle, before)
    windows = teachable(detector, windows_of(whistle(3, seed=5)))

    after = teach(bundle, before, detector, "a-1", windows, NOW)

    taught, threshold = site_detector(bundle, after), after.site.threshold.threshold
    assert lowest(detector, whistle(5, seed=6)) > before.site.threshold.threshold
    assert highest(taught, whistle(5, seed=6)) < threshold  # another recording of the same sound
    assert lowest(taught, machine_sound(5, seed=51, faulty=True)) > threshold
    assert threshold <= before.site.threshold.threshold


def test_every_reference_has_its_spectrum(bundle: Bundle, learned: Learned) -> None:
    both = enrolled(bundle, whistle(10, seed=3), domain="target", before=learned)
    detector = site_detector(bundle, both)
    after = teach(bundle, both, detector, "a-1", [whistle(1, seed=5, hz=2625)] * 3, NOW)

    spectra = site_spectra(bundle, after)

    assert spectra is not None
    sizes = {domain: len(own) for domain, own in spectra.domains.items()}
    assert sizes == site_detector(bundle, after).n_references("fkie@far") == {
        "source": 59, "target": 22,
    }  # fmt: skip
    assert {branch: len(scores) for branch, scores in spectra.scores.items()} == {
        "fkie@near": 78, "fkie@far": 78,
    }  # fmt: skip


def test_the_nearest_neighbour_of_a_taught_sound_is_what_was_taught(
    bundle: Bundle, learned: Learned
) -> None:
    both = enrolled(bundle, whistle(10, seed=3), domain="target", before=learned)
    taught = [whistle(1, seed=5, hz=2625)]
    after = teach(bundle, both, site_detector(bundle, both), "a-1", taught, NOW)
    detector = site_detector(bundle, after)

    near = detector.neighbours("fkie@near", whistle(1, seed=6, hz=2625), 60)

    assert (near[0].domain, near[0].row) == ("target", 19)  # behind the nineteen enrolled ones
    assert [one.distance for one in near] == sorted(one.distance for one in near)
    assert len({(one.domain, one.row) for one in near}) == 60
    assert near[0].distance == pytest.approx(
        detector.score(whistle(1, seed=6, hz=2625)).branches["fkie@near"]
    )


def test_spectra_stay_unknown_where_the_bundle_has_none(bundle: Bundle) -> None:
    site = untouched(bundle, "pump", "pump")

    after = teach(bundle, site, bundle.detector(), "a-1", [whistle(1, seed=5)], NOW)

    assert site_spectra(bundle, after) is None


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_RECORDINGS.is_dir(), reason="needs the shared folder")
def test_real_recordings_are_learned_whole(bundle: Bundle) -> None:
    for folder in sorted(REAL_RECORDINGS.glob("*/train")):
        recording = recording_of(bundle)
        for path in sorted(folder.glob("*.flac")):
            recording.hear(Block(0, read_audio(path)[0]))
            recording.next_recording()

        sound = recording.sound(LEAST_WINDOWS["source"])

        assert sound.n_unusable == 0
        base = base_for(bundle, folder.parent.name, None, "source", None)
        learned = enrol(bundle, base, "source", sound, origin="files", utc=NOW)
        assert learned.site.threshold.n_scores == len(sound)


def test_one_taught_window_is_enough_for_others_like_it(bundle: Bundle, learned: Learned) -> None:
    detector = site_detector(bundle, learned)

    after = teach(bundle, learned, detector, "a-1", [whistle(1, seed=5)], NOW)
    after = calibrated(bundle, after, SiteGoal(false_alarm_rate=0.001))

    assert highest(site_detector(bundle, after), whistle(5, seed=6)) < (
        after.site.threshold.threshold
    )


def test_teaching_makes_nothing_sound_worse(bundle: Bundle, learned: Learned) -> None:
    detector = site_detector(bundle, learned)
    after = teach(bundle, learned, detector, "a-1", [whistle(1, seed=5)], NOW)
    sounds = [machine_sound(4, seed=7), machine_sound(4, seed=8, faulty=True), whistle(4, seed=9)]

    taught = site_detector(bundle, after)

    for window in (window for sound in sounds for window in windows_of(sound)):
        assert taught.score(window).score <= detector.score(window).score + 1e-9


def test_forgetting_restores_every_score_and_the_threshold(
    bundle: Bundle, learned: Learned
) -> None:
    detector = site_detector(bundle, learned)
    one = teach(bundle, learned, detector, "a-1", [whistle(1, seed=5)], NOW)
    two = teach(bundle, one, detector, "a-2", [whistle(1, seed=5, hz=2625)], NOW)

    only_second = forget(bundle, two, ["a-1"], NOW)
    none = forget(bundle, only_second, ["a-2"], NOW)

    assert [event.event for event in only_second.site.taught] == ["a-2"]
    assert none.site.threshold == learned.site.threshold
    assert site_detector(bundle, none).score(whistle(1, seed=6)) == detector.score(
        whistle(1, seed=6)
    )
    assert lowest(site_detector(bundle, only_second), whistle(3, seed=6)) > (
        only_second.site.threshold.threshold
    )


def test_an_alarm_is_taught_once(bundle: Bundle, learned: Learned) -> None:
    detector = site_detector(bundle, learned)
    after = teach(bundle, learned, detector, "a-1", [whistle(1, seed=5)], NOW)

    with pytest.raises(UsageError, match="taught before"):
        teach(bundle, after, detector, "a-1", [whistle(1, seed=5)], NOW)


def test_what_was_not_taught_cannot_be_forgotten(bundle: Bundle, learned: Learned) -> None:
    with pytest.raises(UsageError, match="was not taught to 'pump-3'; taught: none"):
        forget(bundle, learned, ["a-1"], NOW)


def test_normal_sound_is_nothing_to_teach(bundle: Bundle, learned: Learned) -> None:
    with pytest.raises(StateError, match="nothing to teach"):
        teachable(site_detector(bundle, learned), windows_of(machine_sound(2, seed=9)))


def test_a_long_alarm_is_thinned_out(bundle: Bundle, learned: Learned) -> None:
    windows = [whistle(1, seed=seed) for seed in range(MOST_WINDOWS + 10)]

    chosen = teachable(site_detector(bundle, learned), windows)

    assert len(chosen) == MOST_WINDOWS
    assert chosen[-1] is windows[-1]


def test_nothing_can_be_taught_to_a_network_without_references(tmp_path: Path) -> None:
    parts = Bundle.open(write_parts_bundle(tmp_path / "parts"))
    site = untouched(parts, "fan", "fan")

    with pytest.raises(UsageError, match="without references"):
        teach(parts, site, parts.detector("fan"), "a-1", [], NOW)
