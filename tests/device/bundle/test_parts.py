"""Segments, two channels, networks of one machine, and outputs that are scores."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from device import parts_bundle as parts
from device.bundle_files import edit_manifest
from device.parts_bundle import window, write_parts_bundle
from numpy.typing import NDArray

from edge_asd.bundle import bundle as bundle_module
from edge_asd.bundle.bundle import Bundle
from edge_asd.bundle.check import check_bundle
from edge_asd.errors import BundleError
from edge_asd.scoring import extractor as extractor_module
from edge_asd.scoring.extractor import Extractor
from edge_asd.scoring.graph import open_session
from edge_asd.scoring.scorer import exact_scores, normalise_rows

ROUNDING = 1e-4  # float32 sums of some hundred products, relative


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts_bundle(tmp_path_factory.mktemp("parts") / "bundle")


@pytest.fixture
def bundle(folder: Path) -> Bundle:
    return Bundle.open(folder)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A bundle that a test may change."""
    return Path(shutil.copytree(folder, tmp_path / "bundle"))


def power(audio: NDArray[np.float32]) -> NDArray[np.float64]:
    """Power (N_FRAMES, N_BANDS) of audio (n_channels, WINDOW_SAMPLES)."""
    frames = audio.astype(float).reshape(len(audio), parts.N_FRAMES, parts.FRAME_SAMPLES)
    return np.asarray(np.square(np.einsum("cfs,bcs->fb", frames, parts.bands(len(audio)))))


def stereo_segments(audio: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the stereo network must give, (N_SEGMENTS, 4)."""
    starts = range(0, parts.N_FRAMES - 3, 3)
    means = np.stack([power(audio)[start : start + 4].mean(axis=0) for start in starts])
    return np.asarray(means @ parts.mixing(4))


def test_an_extractor_gives_each_window_an_embedding_of_every_segment(bundle: Bundle) -> None:
    windows = np.stack([window(seed) for seed in range(3)])

    found = bundle.extractors()["resnet"](windows)

    expected = np.stack([stereo_segments(audio) for audio in windows])
    assert found.shape == (3, parts.N_SEGMENTS, 4)
    np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=ROUNDING * expected.std())


def test_without_segments_a_window_has_one_embedding(bundle: Bundle) -> None:
    audio = window(0)[:1]

    found = bundle.extractors()["autoencoder/pump"](audio[None])

    expected = parts.GAIN["pump"] * power(audio).mean(axis=0) @ parts.mixing(2)
    np.testing.assert_allclose(found, expected[None, None], rtol=ROUNDING)


class Recorder:
    """A session that counts its rows before it runs."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.n_rows: list[int] = []

    def run(self, outputs: None, inputs: dict[str, NDArray[np.float32]]) -> Any:
        self.n_rows += [len(rows) for rows in inputs.values()]
        return self.session.run(outputs, inputs)


def test_many_segments_are_encoded_a_few_at_a_time_with_the_same_result(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = bundle.manifest.extractors["resnet"]
    front = open_session(bundle.path / "resnet.bands.onnx")
    encoder = Recorder(open_session(bundle.path / "resnet.onnx"))
    extractor = Extractor(spec, {"bands": front}, encoder)
    windows = np.stack([window(seed) for seed in range(4)])

    in_parts = extractor(windows)
    monkeypatch.setattr(extractor_module, "MAX_BATCH", 1000)
    at_once = extractor(windows)

    assert encoder.n_rows == [8, 8, 4, 20]
    np.testing.assert_allclose(in_parts, at_once, rtol=ROUNDING)


def test_each_machine_is_scored_by_its_own_network(bundle: Bundle) -> None:
    scores = {m: bundle.detector(m).score(window(5)).branches for m in parts.MACHINES}

    assert scores["fan"]["resnet@stereo"] == scores["pump"]["resnet@stereo"]
    assert scores["pump"]["autoencoder@near"] == pytest.approx(
        3 * scores["fan"]["autoencoder@near"], rel=ROUNDING
    )


def test_an_output_is_the_score_as_it_is(bundle: Bundle) -> None:
    audio = window(5)

    score = bundle.detector("fan").score(audio).branches["autoencoder@near"]

    second = power(audio[:1]).mean(axis=0) @ parts.mixing(2)[:, 1]
    assert score == pytest.approx(second, rel=ROUNDING)


def test_scores_of_segments_are_averaged(bundle: Bundle) -> None:
    audio = window(5)

    score = bundle.detector("fan").score(audio).branches["resnet@stereo"]

    cosine = normalise_rows(stereo_segments(audio)) @ parts.CENTRES.T
    assert score == pytest.approx(np.mean(1 - cosine.max(axis=1)), rel=ROUNDING)


def test_a_graph_that_machines_share_is_loaded_once(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Counter[str] = Counter()

    def counting(path: Path, *, threads: int = 1) -> object:
        opened[path.name] += 1
        return open_session(path, threads=threads)

    monkeypatch.setattr(bundle_module, "open_session", counting)

    extractors = bundle.extractors()

    assert len(opened) == 5
    assert set(opened.values()) == {1}
    one, other = (extractors[f"autoencoder/{machine}"] for machine in parts.MACHINES)
    assert one._frontends["bands"] is other._frontends["bands"]
    assert one._encoder is not other._encoder


def test_a_machine_loads_only_what_it_needs(bundle: Bundle) -> None:
    assert sorted(bundle.extractors("fan")) == ["autoencoder/fan", "resnet"]
    assert sorted(bundle.extractors()) == ["autoencoder/fan", "autoencoder/pump", "resnet"]


def test_check_accepts_the_bundle_and_lists_every_part(folder: Path) -> None:
    findings = [finding.what for finding in check_bundle(folder)]

    assert findings == [
        "manifest",
        "files",
        "graphs of autoencoder/fan",
        "graphs of autoencoder/pump",
        "graphs of resnet",
        "banks of fan",
        "banks of pump",
        "golden windows of fan",
        "golden windows of pump",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda spec: spec["segments"].update(n_frames=5),
            r"resnet.onnx maps {'bands': \[8, 4\]}",
        ),
        (lambda spec: spec.update(segments=None), r"resnet.onnx maps {'bands': \[8, 4\]}"),
        (lambda spec: spec.update(n_samples=10**6), r"bands.onnx maps {'audio': \[2, 1600\]}"),
        (
            lambda spec: spec["features"][0].update(shape=[8, 10**6]),
            r"bands.onnx maps {'audio': \[2, 1600\]} to \[\[8, 16\]\]",
        ),
        (
            lambda spec: spec["features"][0].update(file="autoencoder.bands.onnx"),
            r"autoencoder.bands.onnx maps {'audio': \[1, 1600\]}",
        ),
    ],
)
def test_graphs_of_other_shapes_are_refused_before_anything_is_scored(
    copy: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit_manifest(copy, lambda m: change(m["extractors"]["resnet"]))
    opened = Bundle.open(copy)

    with pytest.raises(BundleError, match=message) as caught:
        opened.detector("fan")

    assert "\n" not in str(caught.value)


def test_check_finds_golden_windows_of_another_hop(copy: Path) -> None:
    edit_manifest(copy, lambda m: m["extractors"]["resnet"]["segments"].update(hop_frames=4))

    with pytest.raises(BundleError, match=r"golden array 'embedding/fan/resnet@stereo'"):
        list(check_bundle(copy))


def test_check_finds_the_network_of_another_machine(copy: Path) -> None:
    edit_manifest(
        copy, lambda m: m["machines"]["pump"]["extractors"].update(autoencoder="autoencoder/fan")
    )

    with pytest.raises(BundleError, match="golden scores of pump differ"):
        list(check_bundle(copy))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda m: m["machines"]["fan"]["extractors"].update(autoencoder="autoencoder/saw"),
            "autoencoder@near of 'fan' names an unknown extractor",
        ),
        (
            lambda m: m["machines"]["pump"]["extractors"].clear(),
            "autoencoder@near of 'pump' names an unknown extractor",
        ),
        (lambda m: m["branches"][0]["scorer"].update(output=2), "output 2, its extractor has 2"),
        (
            lambda m: m["machines"]["fan"]["banks"].update(
                {"autoencoder@near": m["machines"]["fan"]["banks"]["resnet@stereo"]}
            ),
            "has banks for",
        ),
        (
            lambda m: m["extractors"]["resnet"]["segments"].update(n_frames=17),
            "'bands' has 16 frames, a segment needs 17",
        ),
        (
            lambda m: m["extractors"]["resnet"]["segments"].update(n_frames=10**9, hop_frames=1),
            "'bands' has 16 frames, a segment needs 1000000000",
        ),
        (lambda m: m["extractors"]["resnet"]["segments"].update(hop_frames=0), "hop_frames"),
        (lambda m: m["extractors"]["resnet"].update(features=[]), "features"),
        (lambda m: m["extractors"]["resnet"]["features"][0].update(shape=[]), "shape"),
        (
            lambda m: m["extractors"]["resnet"]["features"].append(
                m["extractors"]["resnet"]["features"][0]
            ),
            r"\['bands', 'bands'\] need different names",
        ),
        (
            lambda m: m["extractors"]["resnet"]["features"].append(
                m["extractors"]["resnet"]["features"][0] | {"name": "more", "shape": [8, 19]}
            ),
            r"have \[5, 6\] segments, expected equally many",
        ),
        (
            lambda m: m["extractors"]["resnet"]["features"].append(
                {"name": "lines", "kind": "spectrum", "shape": [1, 800]}
            ),
            r"'lines' is \(1, 800\), the audio gives \(2, 800\)",
        ),
        (lambda m: m["extractors"]["resnet"].update(embedding_dim=3), "are 4 wide, .* gives 3"),
        (lambda m: m["branches"].append(m["branches"][0]), "listed twice"),
        (lambda m: m["extractors"]["resnet"].update(n_channels=1), "2 channels, .* takes 1"),
        (lambda m: m["branches"][1]["scorer"].update(average="medians"), "average"),
    ],
)
def test_parts_that_do_not_fit_are_refused_in_one_line(
    copy: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    edit_manifest(copy, change)

    with pytest.raises(BundleError, match=message) as caught:
        Bundle.open(copy)

    assert "\n" not in str(caught.value)


def test_scores_of_segments_and_of_their_mean_are_both_those_of_the_bank(copy: Path) -> None:
    edit_manifest(copy, lambda m: m["branches"][1]["scorer"].update(average="embeddings"))
    audio = window(5)

    score = Bundle.open(copy).detector("fan").score(audio).branches["resnet@stereo"]

    mean = normalise_rows(stereo_segments(audio)).mean(axis=0, keepdims=True)
    (expected,) = exact_scores(
        normalise_rows(mean), {"source": parts.CENTRES}, parts.CENTRES_SCORER
    )
    assert score == pytest.approx(expected, rel=ROUNDING)
