"""Explanations: the branch, the neighbours, and the place in time and frequency."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import EllipsisType

import numpy as np
import pytest
from device.mini_bundle import MACHINE, machine_sound
from device.parts_bundle import window as parts_window
from device.parts_bundle import write_parts_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from places import SHARED

from edge_asd.audio.decode import read_audio
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.manifest import Domain, FusionSpec, MachineSpec, TermSpec, ThresholdSpec
from edge_asd.errors import DataError
from edge_asd.events.event import AlarmRaisedEvent
from edge_asd.explain.deviation import NormalLevels, find_deviation, summed_most
from edge_asd.explain.explainer import N_NEIGHBOURS, Explainer
from edge_asd.explain.explanation import Explanation
from edge_asd.explain.normal_spectra import NormalSpectra, measure_spectra
from edge_asd.explain.spectrogram import spectrograph
from edge_asd.scoring.detector import WindowScore
from edge_asd.scoring.scorer import Neighbour

RATE_HZ = 16000
WINDOW_S = 10.0
N_SAMPLES = round(WINDOW_S * RATE_HZ)
BRANCHES = ("fkie@near", "fkie@far")
TIME_TOLERANCE_S = 0.3  # two cells, and what the frames overlap
BAND_HZ = 150  # width of the bands around 3 kHz
RECORDINGS = SHARED / "data" / "tiny"


def normal(seed: int) -> np.ndarray:
    """Ten seconds of a machine that rumbles: coloured noise with a slow swell."""
    rng = np.random.default_rng(seed)
    shape = 1.0 / (1.0 + np.arange(N_SAMPLES // 2 + 1) / 8000.0)
    white = rng.standard_normal((2, N_SAMPLES))
    noise = np.fft.irfft(np.fft.rfft(white) * shape, n=N_SAMPLES)
    swell = 1.0 + 0.3 * np.sin(2 * np.pi * np.arange(N_SAMPLES) / RATE_HZ / 4.0)
    return (0.02 * noise * swell).astype(np.float32)


@cache
def spectra() -> NormalSpectra:
    return NormalSpectra(
        {
            "source": measure_spectra((normal(seed) for seed in range(10)), RATE_HZ),
            "target": measure_spectra((normal(seed) for seed in range(20, 23)), RATE_HZ),
        },
        {
            "fkie@near": np.array([0.8, 1.0, 1.2], np.float32),
            "fkie@far": np.array([0.8, 1.0, 1.2], np.float32),
        },
    )


def plant(
    audio: np.ndarray, sound: np.ndarray, channel: int, start_s: float, end_s: float
) -> np.ndarray:
    planted = audio.copy()
    place = slice(round(start_s * RATE_HZ), round(end_s * RATE_HZ))
    planted[channel, place] += sound[: place.stop - place.start]
    return planted


def tone(hz: float, amplitude: float) -> np.ndarray:
    time_s = np.arange(N_SAMPLES) / RATE_HZ
    return (amplitude * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def spec(threshold: float = 1.6) -> MachineSpec:
    return MachineSpec(
        window_samples=N_SAMPLES,
        banks={},
        fusion=FusionSpec(
            terms=(TermSpec(of="fkie@near", weight=0.8), TermSpec(of="fkie@far", weight=0.2)),
            method="mostly near",
        ),
        threshold=ThresholdSpec(
            threshold=threshold,
            clear_threshold=threshold,
            false_alarm_rate=0.01,
            method="-",
            n_scores=3,
        ),
    )


@dataclass
class FakeDetector:
    """Knows which references are nearest, without listening."""

    spec: MachineSpec = field(default_factory=spec)
    sample_rate_hz: int = RATE_HZ
    sizes: dict[Domain, int] = field(default_factory=lambda: {"source": 10, "target": 3})
    asked: list[str] = field(default_factory=list)

    def n_references(self, branch: str) -> dict[Domain, int]:
        return self.sizes

    def neighbours(self, branch: str, audio: np.ndarray, k: int) -> tuple[Neighbour, ...]:
        self.asked.append(branch)
        return tuple(Neighbour("source", row, 0.1 * row) for row in range(k))


def explain(
    audio: np.ndarray,
    *,
    detector: FakeDetector | None = None,
    known: NormalSpectra | EllipsisType | None = ...,
    near: float = 3.0,
    far: float = 1.0,
) -> Explanation:
    explainer = Explainer(detector or FakeDetector(), spectra() if known is ... else known)
    score = WindowScore(0.8 * near + 0.2 * far, {"fkie@near": near, "fkie@far": far})
    explanation = explainer.explain(audio, score)
    assert explanation is not None
    return explanation


@pytest.mark.parametrize(("channel", "name"), [(0, "near"), (1, "far")])
def test_a_tone_is_found_in_its_channel_time_and_band(channel: int, name: str) -> None:
    audio = plant(normal(50), tone(3000, 0.01), channel, 4.0, 7.0)

    found = explain(audio) if name == "near" else explain(audio, far=5.0)

    assert found.channel == name
    assert found.onset_s == pytest.approx(4.0, abs=TIME_TOLERANCE_S)
    assert found.end_s == pytest.approx(7.0, abs=TIME_TOLERANCE_S)
    assert found.low_hz == pytest.approx(3000, abs=2 * BAND_HZ)
    assert found.high_hz == pytest.approx(3000, abs=2 * BAND_HZ)
    assert found.departure_db is not None and found.departure_db > 8


def test_a_level_drop_is_found_below_normal() -> None:
    audio = normal(51)
    audio[0, 6 * RATE_HZ :] *= 0.1

    found = explain(audio)

    assert (found.channel, found.end_s) == ("near", WINDOW_S)
    assert found.onset_s == pytest.approx(6.0, abs=TIME_TOLERANCE_S)
    assert found.departure_db == pytest.approx(-20, abs=2)
    assert found.low_hz is not None and found.low_hz < 100
    # Where the filter of a resampler begins nothing is compared.
    assert found.high_hz == pytest.approx(0.9 * RATE_HZ / 2, rel=0.05)


def test_broadband_noise_is_found_over_all_bands() -> None:
    rng = np.random.default_rng(9)
    hiss = (0.2 * rng.standard_normal(N_SAMPLES)).astype(np.float32)

    found = explain(plant(normal(52), hiss, 1, 2.0, 3.0), far=5.0)

    assert found.channel == "far"
    assert found.onset_s == pytest.approx(2.0, abs=TIME_TOLERANCE_S)
    assert found.end_s == pytest.approx(3.0, abs=TIME_TOLERANCE_S)
    assert found.low_hz is not None and found.high_hz is not None
    assert found.high_hz - found.low_hz > 7000


def test_what_cancelling_does_is_said_where_a_branch_hears_the_result() -> None:
    audio = normal(53)
    audio[0, 100:] += 2 * audio[1, :-100]  # of the background, which reaches far first
    explainer = Explainer(FakeDetector(), None)
    scores = {"fkie@near": 3.0, "fkie@far": 1.0, "fkie@clean": 1.0}

    found = explainer.explain(audio, WindowScore(3.0, scores))

    assert found is not None
    assert found.background_cancelled_db == pytest.approx(7, abs=1)
    assert found.machine_cancelled_db == pytest.approx(0, abs=0.7)
    assert found.text.endswith(
        f"; cancelling takes at least {found.background_cancelled_db:.1f} dB of the background and "
        f"{found.machine_cancelled_db:.1f} dB of the machine out of near"
    )


@pytest.mark.parametrize("seed", range(60, 66))
def test_nothing_is_found_in_normal_sound(seed: int) -> None:
    found = explain(normal(seed))

    assert (found.channel, found.onset_s, found.low_hz, found.departure_db) == (None,) * 4
    assert "no one place" in found.text


def test_the_sentence_says_it_all() -> None:
    found = explain(plant(normal(50), tone(3000, 0.01), 0, 4.0, 7.0))

    assert found.text == (
        "fkie@near is 10.0 standard deviations above its normal scores; "
        f"near channel, {found.onset_s:.1f} to {found.end_s:.1f} s, "
        f"{(found.low_hz or 0) / 1000:.2f} to {(found.high_hz or 0) / 1000:.2f} kHz, "
        f"{found.departure_db:.0f} dB above its 8 nearest normal windows"
    )


def test_the_branch_furthest_above_its_normal_range_explains() -> None:
    detector = FakeDetector()

    found = explain(normal(50), detector=detector, near=1.2, far=1.8)

    assert found.branch == "fkie@far"
    assert found.branch_excess == {"fkie@near": pytest.approx(1), "fkie@far": pytest.approx(4)}
    assert detector.asked == ["fkie@far"]


def test_the_score_is_told_in_parts_of_the_way_from_normal_to_the_threshold() -> None:
    # Normal is 1.0, the threshold 1.6, the score 0.8 * 2.5 + 0.2 * 1.0 = 2.2.
    assert explain(normal(50), near=2.5).times_threshold == pytest.approx(2.0)


def test_without_spectra_the_branch_that_adds_most_is_named_and_no_place() -> None:
    detector = FakeDetector()

    found = explain(normal(50), detector=detector, known=None, near=2.0, far=3.0)

    assert (found.branch, found.branch_excess, found.n_neighbours) == ("fkie@near", {}, 0)
    assert found.times_threshold == pytest.approx(2.2 / 1.6)
    assert found.channel is None
    assert "does not say how normal sounds" in found.text
    assert detector.asked == []


def test_scores_without_spectra_name_the_branch_and_no_place() -> None:
    known = NormalSpectra({}, spectra().scores)

    found = explain(normal(50), known=known, near=1.2, far=1.8)

    assert (found.branch, found.n_neighbours) == ("fkie@far", 0)
    assert found.branch_excess["fkie@far"] == pytest.approx(4)


def test_a_threshold_below_zero_is_not_a_measure() -> None:
    detector = FakeDetector(spec=spec(threshold=-2.0))

    assert explain(normal(50), detector=detector, known=None).times_threshold is None


def test_references_that_are_no_clips_are_replaced_by_all_clips() -> None:
    detector = FakeDetector(sizes={"source": 2, "target": 1})  # class centres

    found = explain(plant(normal(50), tone(3000, 0.01), 0, 4.0, 7.0), detector=detector)

    assert found.n_neighbours == 13
    assert found.text.endswith("dB above all 13 normal windows")
    assert found.onset_s == pytest.approx(4.0, abs=TIME_TOLERANCE_S)
    assert detector.asked == []


def test_what_was_learned_since_explains() -> None:
    explainer = Explainer(FakeDetector(), None)

    explainer.use(FakeDetector(), spectra())

    found = explainer.explain(normal(50), WindowScore(3.0, {"fkie@near": 3.0, "fkie@far": 3.0}))
    assert found is not None and found.n_neighbours == N_NEIGHBOURS


def test_an_alarm_that_cannot_be_explained_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeDetector):
        def neighbours(self, branch: str, audio: np.ndarray, k: int) -> tuple[Neighbour, ...]:
            raise DataError("embeddings are all zeros")

    explainer = Explainer(Broken(), spectra())

    with caplog.at_level(logging.WARNING):
        found = explainer.explain(normal(50), WindowScore(3.0, {"fkie@near": 3.0, "fkie@far": 3.0}))

    assert found is None
    assert "cannot explain an alarm: embeddings are all zeros" in caplog.text


def test_an_event_carries_the_explanation_as_json() -> None:
    found = explain(plant(normal(50), tone(3000, 0.01), 0, 4.0, 7.0))
    without = explain(normal(50), known=None)

    raised, bare = (_raised(one).to_dict()["explanation"] for one in (found, without))

    assert found.deviation is not None and found.deviation.region is not None
    assert "deviation" not in raised  # thousands of levels, which only the picture needs
    assert raised["channel"] == "near"
    assert raised["branch_excess"]["fkie@near"] == pytest.approx(10)
    assert bare["low_hz"] is None


def _raised(explanation: Explanation) -> AlarmRaisedEvent:
    from datetime import UTC, datetime

    return AlarmRaisedEvent(
        time=datetime(2026, 11, 22, tzinfo=UTC),
        stream_time_s=10.0,
        machine="pump",
        window_start_s=0.0,
        score=3.0,
        threshold=1.6,
        clear_threshold=1.2,
        branches={},
        level_dbfs={},
        alarm_id="pump-1",
        rule="confirmed",
        above_since_s=10.0,
        explanation=explanation,
    )


def test_a_real_detector_finds_the_neighbours_of_a_fault(mini_bundle: Path) -> None:
    detector = Bundle.open(mini_bundle).detector()
    references = [machine_sound(1.0, seed=seed) for seed in range(24)]
    known = NormalSpectra({"source": measure_spectra(references, RATE_HZ)})
    fault = machine_sound(1.0, seed=80, faulty=True)
    explainer = Explainer(detector, known)

    found = explainer.explain(fault, detector.score(fault))

    assert found is not None
    assert (detector.machine, found.n_neighbours) == (MACHINE, N_NEIGHBOURS)
    assert found.low_hz is not None and found.high_hz is not None
    assert found.low_hz <= 3000 <= found.high_hz
    (nearest, *_) = detector.neighbours("fkie@near", references[7], 3)
    assert (nearest.domain, nearest.row) == ("source", 7)


def test_class_centres_and_networks_without_banks_are_explained(tmp_path: Path) -> None:
    detector = Bundle.open(write_parts_bundle(tmp_path / "parts")).detector("fan")
    known = NormalSpectra(
        {"source": measure_spectra((parts_window(seed) for seed in range(5)), RATE_HZ)}
    )
    loud = 10 * parts_window(9)
    explainer = Explainer(detector, known)

    found = explainer.explain(loud, detector.score(loud))

    assert detector.n_references("autoencoder@near") == {}
    assert detector.neighbours("autoencoder@near", loud, 3) == ()
    assert detector.n_references("resnet@stereo") == {"source": 3}
    assert found is not None
    assert found.n_neighbours == 5
    assert found.departure_db == pytest.approx(20, abs=3)


@pytest.mark.real_data
@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="needs the shared folder")
@pytest.mark.parametrize("machine", ["fan", "uavA"])
def test_a_tone_is_found_in_a_real_recording(machine: str) -> None:
    clips = sorted((RECORDINGS / machine / "train").glob("*source*.flac"))
    recordings = [read_audio(clip)[0][:, :N_SAMPLES] for clip in clips[:6]]
    known = measure_spectra(recordings[1:], RATE_HZ)
    levels = NormalLevels(
        np.median(known.mean_db.astype("f4"), axis=0),
        np.median(known.spread_db.astype("f4"), axis=0) + known.mean_db.astype("f4").std(axis=0),
        len(known),
    )
    band_db = levels.mean_db[0, int(spectrograph(RATE_HZ).band_at(5000))]
    loud = tone(5000, np.sqrt(2) * 10 ** ((band_db + 25) / 20))

    region = find_deviation(plant(recordings[0], loud, 0, 1.0, 3.0), RATE_HZ, levels).region

    assert region is not None
    assert region.channel == "near"
    assert region.low_hz <= 5000 <= region.high_hz
    assert region.onset_s == pytest.approx(1.0, abs=TIME_TOLERANCE_S)
    assert region.end_s == pytest.approx(3.0, abs=TIME_TOLERANCE_S)


@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.integers(1, 5)),
        elements=st.integers(-5, 5).map(float),
    )
)
@settings(max_examples=200)
def test_the_rectangle_of_largest_sum_is_that_of_trying_all(values: np.ndarray) -> None:
    n_rows, n_columns = values.shape
    best = max(
        values[top:bottom, left:right].sum()
        for top in range(n_rows)
        for bottom in range(top + 1, n_rows + 1)
        for left in range(n_columns)
        for right in range(left + 1, n_columns + 1)
    )

    found, rows, columns = summed_most(values)

    assert found == pytest.approx(best)
    assert values[rows, columns].sum() == pytest.approx(best)
