"""The log-mel front-end against a float64 reference and against librosa's own numbers."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from edge_asd.scoring.mel import mel_filter_bank
from edge_asd_export.nn.front_ends import LogMel

RATE_HZ = 16_000
# float32 sums of 1024 products, 80 dB below the loudest bin; 60 dB deeper they count for more
ABOVE_TOP_DB = 5e-3
ABOVE_AMIN_DB = 5e-2
OF_LIBRARY = 1e-7  # librosa's filters are of size 1e-2, and float32 here


def two_channels(n_samples: int = RATE_HZ) -> np.ndarray:
    """A loud near tone with a whistle; far away the tone is faint, under a fainter sweep."""
    time_s = np.arange(n_samples) / RATE_HZ
    tone = 2 * np.pi * 440 * time_s
    near = 0.1 * np.sin(tone) + 0.02 * np.sin(2 * np.pi * 3000 * time_s + 0.5)
    far = 0.01 * np.sin(tone + 1) + 1e-5 * np.sin(2 * np.pi * 6000 * time_s**2)
    return np.stack([near, far])


def reference_mel(n_mels: int, n_fft: int) -> np.ndarray:
    """Slaney's filters from the inverse of the scale, one filter and bin at a time."""

    def hz(mel: float) -> float:
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    top_mel = 15 + 27 * np.log(8000 / 1000) / np.log(6.4)
    edges = [hz(i * top_mel / (n_mels + 1)) for i in range(n_mels + 2)]
    bins = np.arange(n_fft // 2 + 1) * RATE_HZ / n_fft
    rows = [
        np.interp(bins, edges[i : i + 3], [0, 2 / (edges[i + 2] - edges[i]), 0], left=0, right=0)
        for i in range(n_mels)
    ]
    return np.stack(rows)


def reference_db(
    audio: np.ndarray, top_db: float | None, n_fft: int = 1024, hop: int = 512
) -> np.ndarray:
    padded = np.pad(audio, ((0, 0), (n_fft // 2, n_fft // 2)))
    window = np.hanning(n_fft + 1)[:-1]
    n_frames = 1 + audio.shape[1] // hop
    frames = np.stack([padded[:, i * hop : i * hop + n_fft] for i in range(n_frames)], axis=1)
    power = np.abs(np.fft.rfft(frames * window)) ** 2
    mel = np.einsum("mk,ctk->cmt", reference_mel(128, n_fft), power)
    level_db = 10 * np.log10(np.maximum(mel, 1e-10))
    floor_db = -np.inf if top_db is None else level_db.max() - top_db
    return np.asarray(np.maximum(level_db, floor_db))


def log_mel(audio: np.ndarray, **settings: object) -> np.ndarray:
    batch = torch.from_numpy(audio).float()[None]
    level_db: torch.Tensor = LogMel(**settings)(batch)[0]  # type: ignore[arg-type]
    return level_db.numpy()


@pytest.mark.parametrize(("top_db", "tolerance"), [(80.0, ABOVE_TOP_DB), (None, ABOVE_AMIN_DB)])
@pytest.mark.parametrize("n_samples", [15_871, 15_872, 16_000])
def test_levels_equal_a_float64_fourier_transform(
    top_db: float | None, tolerance: float, n_samples: int
) -> None:
    audio = two_channels(n_samples)

    found = log_mel(audio, top_db=top_db)

    assert found.shape == (2, 128, 1 + n_samples // 512)
    np.testing.assert_allclose(found, reference_db(audio, top_db), atol=tolerance)


@pytest.mark.parametrize(
    ("top_db", "channel", "band", "frame", "level_db"),
    [
        # from librosa 0.11.0: melspectrogram and power_to_db of two_channels()
        (80.0, 0, 14, 0, -8.05151743),
        (80.0, 0, 14, 16, -44.82296479),
        (80.0, 0, 70, 16, -65.82830813),
        (80.0, 1, 127, 31, -61.30389610),
        (None, 1, 5, 8, -95.55224112),
        (None, 0, 70, 16, -100.0),
    ],
)
def test_levels_equal_those_of_librosa(
    top_db: float | None, channel: int, band: int, frame: int, level_db: float
) -> None:
    found = log_mel(two_channels(), top_db=top_db)[channel, band, frame]

    assert found == pytest.approx(level_db, abs=ABOVE_AMIN_DB)


@pytest.mark.parametrize(
    ("band", "frequency_bin", "weight"),
    [
        # from librosa 0.11.0: filters.mel(sr=16000, n_fft=1024, n_mels=128)
        (0, 1, 0.028577779716932577),
        (3, 5, 0.014589244972686334),
        (14, 20, 0.0),
        (127, 505, 0.003046859918465899),
    ],
)
def test_filters_equal_those_of_librosa(band: int, frequency_bin: int, weight: float) -> None:
    filters = mel_filter_bank(128, 1024, RATE_HZ, 0.0, 8_000.0, scale="slaney", normalise="area")

    assert filters[band, frequency_bin] == pytest.approx(weight, abs=OF_LIBRARY)
    np.testing.assert_allclose(filters, reference_mel(128, 1024), atol=OF_LIBRARY)


def test_the_floor_hangs_below_the_louder_channel_of_each_clip() -> None:
    loud, quiet = two_channels(), 0.1 * two_channels()
    batch = torch.from_numpy(np.stack([loud, quiet])).float()

    both = LogMel()(batch)

    torch.testing.assert_close(both[0], LogMel()(batch[:1])[0])
    for clip in both:
        assert clip[0].min().item() == clip[1].min().item() == pytest.approx(clip.max() - 80)


def test_silence_is_the_level_of_amin() -> None:
    level_db = LogMel()(torch.zeros(1, 1, 4096))

    assert torch.equal(level_db, torch.full((1, 1, 128, 9), -100.0))


def test_the_exported_graph_gives_the_same_levels(tmp_path: Path) -> None:
    frontend = LogMel()
    path = tmp_path / "log_mel.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two exporters, tracing is the older
        torch.onnx.export(
            frontend, (torch.zeros(2, 2, 16_000),), str(path), input_names=["audio"],
            dynamic_axes={"audio": {0: "batch"}}, opset_version=17, dynamo=False,
        )  # fmt: skip
    audio = torch.from_numpy(np.stack([two_channels()] * 3)).float()

    (found,) = ort.InferenceSession(str(path)).run(None, {"audio": audio.numpy()})

    np.testing.assert_allclose(found, frontend(audio).numpy(), atol=ABOVE_TOP_DB)
