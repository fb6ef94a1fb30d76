"""Learning on site with a bundle whose encoder is an ensemble."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from device.mini_bundle import N_BANDS, WINDOW_SAMPLES, machine_sound
from device.site_sounds import NOW, Audio, enrolled, heard, whistle

from edge_asd.bundle.bundle import Bundle
from edge_asd.learn.calibration import recording_blocks
from edge_asd.learn.enrolment import SiteGoal, calibrated
from edge_asd.learn.learned import Learned
from edge_asd.learn.opened_machine import open_machine, site_detector
from edge_asd.learn.store import LearnedStore
from edge_asd.learn.teaching import forget, teach
from edge_asd.scoring.detector import Detector
from edge_asd.scoring.scorer import exact_scores
from edge_asd.state.folder import StateFolder

BRANCH = "fkie@near"
MEMBERS = 3


@pytest.fixture(scope="module")
def bundle(ensemble_bundle: Path) -> Bundle:
    return Bundle.open(ensemble_bundle)


@pytest.fixture(scope="module")
def learned(bundle: Bundle) -> Learned:
    return enrolled(bundle, machine_sound(30, seed=1))


def scores(detector: Detector, audio: Audio) -> list[float]:
    starts = range(0, audio.shape[1] - WINDOW_SAMPLES + 1, WINDOW_SAMPLES // 2)
    return [detector.score(audio[:, start : start + WINDOW_SAMPLES]).score for start in starts]


def test_every_member_knows_all_that_was_enrolled(bundle: Bundle, learned: Learned) -> None:
    sound = learned.enrolled["source"]

    assert sound.rows[BRANCH].shape == (59, MEMBERS, N_BANDS)
    assert np.isfinite(sound.normalisations[BRANCH].offset).all()
    detector, threshold = site_detector(bundle, learned), learned.site.threshold.threshold
    assert max(scores(detector, machine_sound(5, seed=50))) < threshold
    assert min(scores(detector, machine_sound(5, seed=51, faulty=True))) > threshold


def test_held_out_scores_are_means_over_the_members(bundle: Bundle, learned: Learned) -> None:
    rows = learned.enrolled["source"].rows[BRANCH]
    places = heard(bundle, machine_sound(30, seed=1)).places
    blocks = recording_blocks(places)

    found = learned.enrolled["source"].held_out[BRANCH]

    first, last = np.flatnonzero(blocks == 4)[[0, -1]]
    rest = [i for i in range(59) if i < first - 1 or i > last + 1]  # half a window of overlap
    scorer = bundle.manifest.reference_scorers[BRANCH]
    expected = [
        exact_scores(rows[first : last + 1, b], {"source": rows[rest, b]}, scorer)
        for b in range(MEMBERS)
    ]
    assert found[first : last + 1] == pytest.approx(np.mean(expected, axis=0))


def test_a_target_is_added_to_the_sources_of_the_bundle(bundle: Bundle) -> None:
    both = enrolled(bundle, whistle(10, seed=3), machine="pump", domain="target")

    detector = site_detector(bundle, both)
    assert detector.n_references(BRANCH) == {"source": 24, "target": 19}
    assert max(scores(detector, whistle(5, seed=60))) < both.site.threshold.threshold


def test_a_taught_sound_is_normal_to_all_members(bundle: Bundle, learned: Learned) -> None:
    detector = site_detector(bundle, learned)

    after = teach(bundle, learned, detector, "a-1", [whistle(1, seed=5)] * 2, NOW)
    strict = calibrated(bundle, after, SiteGoal(false_alarm_rate=0.001))

    taught = site_detector(bundle, after)
    assert min(scores(detector, whistle(5, seed=6))) > learned.site.threshold.threshold
    assert max(scores(taught, whistle(5, seed=6))) < strict.site.threshold.threshold
    assert taught.neighbours(BRANCH, whistle(1, seed=6), 1)[0].domain == "target"
    none = forget(bundle, after, ["a-1"], NOW)
    assert none.site.threshold == learned.site.threshold


def test_what_was_learned_scores_the_same_when_it_is_read_again(
    bundle: Bundle, learned: Learned, tmp_path: Path
) -> None:
    taught = teach(
        bundle, learned, site_detector(bundle, learned), "a-1", [whistle(1, seed=5)], NOW
    )
    state = StateFolder(tmp_path, "pump-3")
    store = LearnedStore(state)
    with store.writing():
        store.add(taught)

    opened = open_machine(bundle, "pump-3", state=state).detector

    window = machine_sound(1, seed=9, faulty=True)
    assert opened.score(window) == site_detector(bundle, taught).score(window)


def test_rows_that_were_written_before_there_were_ensembles_are_read(
    mini_bundle: Path, tmp_path: Path
) -> None:
    one = Bundle.open(mini_bundle)
    learned = enrolled(one, machine_sound(15, seed=1))
    state = StateFolder(tmp_path, "pump-3")
    store = LearnedStore(state)
    with store.writing():
        version = store.add(learned)

    with np.load(state.learned / version / "source.npz") as file:
        assert file[f"rows/{BRANCH}"].shape == (29, N_BANDS)
        assert file[f"scale/{BRANCH}"].shape == (29,)
    read = store.load()
    assert read is not None
    assert read.enrolled["source"].rows[BRANCH].shape == (29, 1, N_BANDS)
