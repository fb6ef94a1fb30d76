"""The FKIE network against the published table of layers."""

from __future__ import annotations

import pytest
import torch

from edge_asd.scoring.mel import mel_filter_bank
from edge_asd_export.extractors.fkie.learner import FkieLearner, FkieSettings
from edge_asd_export.extractors.fkie.network import Fkie, SpectrogramBranch, SpectrumBranch
from edge_asd_export.training.learner import Task
from edge_asd_export.training.training_set import ClassName


def n_parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


# Millions of trainable parameters by clip length in samples: 10 s, 12 s and 18 s.
@pytest.mark.parametrize(
    ("n_samples", "spectrum_branch", "total"),
    [(160_000, 1.574, 2.54), (192_000, 1.607, 2.57), (288_000, 1.705, 2.67)],
)
def test_parameter_counts_are_the_published_ones(
    n_samples: int, spectrum_branch: float, total: float
) -> None:
    network = Fkie(n_samples, n_bins=513)

    assert round(n_parameters(network.spectrum_branch) / 1e6, 3) == spectrum_branch
    assert round(n_parameters(network.spectrogram_branch) / 1e6, 3) == 0.967
    assert round(n_parameters(network) / 1e6, 2) == total


def test_no_layer_has_a_bias_but_the_normalisations() -> None:
    network = Fkie(16_000, 513)

    biased = [
        name
        for name, module in network.named_modules()
        if getattr(module, "bias", None) is not None and "BatchNorm" not in type(module).__name__
    ]

    assert biased == []


def test_layer_shapes_of_a_ten_second_clip_are_the_published_ones() -> None:
    shapes: dict[str, tuple[int, ...]] = {}
    branch = SpectrogramBranch(513).eval()
    for name in ("stem", "blocks.0", "blocks.1", "blocks.2", "blocks.3"):
        branch.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: shapes.update({name: tuple(out.shape)})
        )

    embedding = branch(torch.rand(1, 1, 513, 311))

    assert shapes == {  # (clip, channels, frequency, time)
        "stem": (1, 16, 257, 156),
        "blocks.0": (1, 16, 128, 77),
        "blocks.1": (1, 32, 64, 39),
        "blocks.2": (1, 64, 32, 20),
        "blocks.3": (1, 128, 16, 10),
    }
    assert embedding.shape == (1, 128)


@pytest.mark.parametrize("n_bins", [8000, 24_001, 80_000])
def test_spectrum_branch_takes_any_clip_length(n_bins: int) -> None:
    assert SpectrumBranch(n_bins).eval()(torch.rand(2, 1, n_bins)).shape == (2, 128)


def test_a_constant_added_to_every_frame_changes_nothing() -> None:
    branch = SpectrogramBranch(513).eval()
    spectrogram = torch.rand(1, 1, 513, 61)

    shifted = spectrogram + torch.rand(1, 1, 513, 1)

    torch.testing.assert_close(branch(shifted), branch(spectrogram), rtol=1e-3, atol=1e-4)


def test_mel_bands_are_those_of_the_sample_rate() -> None:
    task = Task(32_000, 1, 32_000, (ClassName("fan", "source", "", "near"),))

    learner = FkieLearner(task, FkieSettings(input="mel", n_mels=40))

    bands = dict(learner.named_buffers())["extractor.frontends.spectrogram.mel"]
    expected = mel_filter_bank(40, 1024, 32_000, 200.0, 8_000.0, scale="htk", normalise="sum")
    assert bands.equal(torch.from_numpy(expected))
