"""BEATs' filter bank against a float64 port of Kaldi's, and against the reference outputs."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from places import SHARED

from edge_asd_export.extractors.beats.fbank import Fbank, n_frames

REFERENCE = SHARED / "fixtures/beats/reduced_reference_outputs.npz"
RATE_HZ = 16_000
ABSOLUTE = 1e-3  # log energies: float32 sums of 400 products
EMPTY_BAND = 3  # 128 bands on 256 bins leave it none
SILENCE = (math.log(1.1920929e-07) - 15.41663) / (2 * 6.55582)


def kaldi_fbank(audio: np.ndarray) -> np.ndarray:
    """Log energies (n_frames, 128), step by step in float64."""
    starts = range(0, audio.size - 399, 160)
    frames = np.stack([32768 * audio[i : i + 400].astype(np.float64) for i in starts])
    frames -= frames.mean(axis=1, keepdims=True)
    frames -= 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    power = np.abs(np.fft.rfft(frames * window, 512)[:, :256]) ** 2
    mel = 1127 * np.log(1 + np.arange(256) * RATE_HZ / 512 / 700)
    edges = np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 8000 / 700), 130)
    rising = (mel[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - mel[:, None]) / np.diff(edges)[1:]
    filters = np.clip(np.minimum(rising, falling), 0, None)
    energies: np.ndarray = np.log(np.maximum(power @ filters, 1.1920929e-07))
    return energies


def log_energies(audio: np.ndarray) -> np.ndarray:
    audio_batch = torch.from_numpy(audio.astype(np.float32))[None, None]
    normalised: np.ndarray = Fbank()(audio_batch)[0].numpy()
    return normalised * (2 * 6.55582) + 15.41663


def noise(n_samples: int, level: float = 0.1) -> np.ndarray:
    return level * np.random.default_rng(0).standard_normal(n_samples)


@pytest.mark.skipif(not REFERENCE.is_file(), reason="needs the shared folder")
def test_filter_bank_is_that_of_the_reference() -> None:
    with np.load(REFERENCE, allow_pickle=False) as reference:
        expected, audio = reference["fbank_raw"], reference["waveform"]
        normalised = reference["fbank_norm"]

    found = Fbank()(torch.from_numpy(audio)[None, None])[0].numpy()

    np.testing.assert_allclose(log_energies(audio), expected, atol=ABSOLUTE)
    np.testing.assert_allclose(found, normalised, atol=ABSOLUTE / (2 * 6.55582))


@pytest.mark.parametrize("offset", [0.0, 0.2])
@pytest.mark.parametrize("level", [1e-3, 0.1])
def test_filter_bank_is_kaldis(level: float, offset: float) -> None:
    audio = noise(RATE_HZ, level) + offset

    np.testing.assert_allclose(log_energies(audio), kaldi_fbank(audio), atol=ABSOLUTE)


def test_loud_hum_does_not_hide_a_quiet_tone() -> None:
    time_s = np.arange(RATE_HZ) / RATE_HZ
    hum = 0.5 * np.sin(2 * np.pi * 50 * time_s)
    audio = hum + 1e-3 * np.sin(2 * np.pi * 3000 * time_s)

    found, expected = log_energies(audio), kaldi_fbank(audio)

    band = expected[:, 60:].mean(0).argmax() + 60
    np.testing.assert_allclose(found[:, band], expected[:, band], atol=ABSOLUTE)


def test_empty_band_is_silent_whatever_is_heard() -> None:
    fbank = Fbank()(torch.from_numpy(noise(RATE_HZ)).float()[None, None])

    values = fbank[0, :, EMPTY_BAND].unique()
    assert values.tolist() == [pytest.approx(SILENCE, abs=1e-6)]
    assert (fbank[0].amax(0) > fbank[0].amin(0)).sum() == 127


def test_silence_is_the_floor_everywhere() -> None:
    fbank = Fbank()(torch.zeros(1, 1, RATE_HZ))

    torch.testing.assert_close(fbank, torch.full((1, 98, 128), SILENCE))


@pytest.mark.parametrize("n_samples", [400, 559, 560, 2800, 160_000])
def test_frames_are_whole(n_samples: int) -> None:
    assert Fbank()(torch.zeros(1, 1, n_samples)).shape == (1, n_frames(n_samples), 128)


def test_less_than_a_frame_holds_none() -> None:
    assert n_frames(399) == 0
    assert n_frames(10) == 0


def test_exported_graph_repeats_torch(tmp_path: Path) -> None:
    fbank, file = Fbank(), tmp_path / "fbank.onnx"
    audio = torch.from_numpy(noise(3 * RATE_HZ)).float().reshape(3, 1, RATE_HZ)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            fbank, (audio[:2],), str(file), input_names=["audio"], output_names=["fbank"],
            dynamic_axes={"audio": {0: "batch"}}, opset_version=17, dynamo=False,
        )  # fmt: skip

    (found,) = ort.InferenceSession(str(file)).run(None, {"audio": audio.numpy()})

    np.testing.assert_allclose(found, fbank(audio).numpy(), atol=ABSOLUTE / (2 * 6.55582))
